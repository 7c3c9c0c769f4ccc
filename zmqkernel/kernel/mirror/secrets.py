"""What looks secret is not mirrored: names, keys, parameters' defaults, and texts that show what they are."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

WORDS = frozenset(
    {
        *("password", "passwords", "passwd", "pwd", "passphrase", "secret", "secrets", "token", "credential"),
        *("credentials", "apikey", "authorization", "bearer", "privatekey", "accesskey", "cookie", "cookies", "jwt"),
    }
)
PAIRS = (
    ("api", "key"),
    ("private", "key"),
    ("access", "key"),
    ("auth", "key"),
    ("encryption", "key"),
    ("signing", "key"),
)
"""Words that are secret next to each other: ``api_key``, ``AWS_ACCESS_KEY_ID``."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W_]+")
_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{20}|\bgithub_pat_\w{20}|\bglpat-[\w-]{15}"
    r"|\bxox[abeprs]-[\w-]{10}|\bsk-[\w-]{16}|\bsk_live_\w{10}|\bhf_\w{20}|\bAIza[\w-]{30}|\beyJ[\w-]{10,}\.[\w-]{5,}"
    r"|\w://[^\s/:@]*:[^\s/@]+@|(?i:\bbearer\s+[\w.~+/-]{12}|\b(?:password|passwd|pwd|secret|token|api[_-]?key)\s*[=:]\s*\S)"
)


@lru_cache(maxsize=20_000)
def is_secret_name(name: str) -> bool:
    """Does this name, attribute, key or parameter look as if its value were secret?"""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if not WORDS.isdisjoint(words):
        return True
    joined = set(pairwise(words))
    return any(pair in joined for pair in PAIRS)


def is_secret_key(key: object) -> bool:
    """The same for a key of a dictionary, which may be bytes or a tuple."""
    if type(key) is str:
        return is_secret_name(key)
    if type(key) is bytes:
        return is_secret_name(key[:200].decode("latin-1"))
    return type(key) is tuple and any(is_secret_key(part) for part in key)  # pyright: ignore[reportUnknownVariableType]


def is_secret_text(text: str) -> bool:
    """Does a value give itself away: a private key, a token of a known form, a password in a URL or an assignment?"""
    return _VALUE.search(text) is not None
