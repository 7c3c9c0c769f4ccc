"""Magics and shell commands that a script keeps in comments, because plain Python could not read them: ``# %time f()``.

jupytext's rule but for one part: it also takes the comment ``# rm the old files`` for a command, because its first word is
one. Here that stays a comment: code that a person did not write as code is not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MAYBE = re.compile("[%!?]")
_MAGIC = re.compile(r"^\s*(?:# |#)*%{1,3}[a-zA-Z]")
_FORCED = re.compile(r"^\s*(?:# |#)*%{1,3}[a-zA-Z].*#\s*escape")
_REFUSED = re.compile(r"^\s*(?:# |#)*%{1,3}[a-zA-Z].*#\s*noescape")
_SHELL_OR_HELP = re.compile(r"^\s*(?:(?:# |#)+\s*)?[?!]\s*[A-Za-z.~$\\/{}]")
_ASSIGNED = re.compile(r"^(?:# |#)*\s*[a-zA-Z_][a-zA-Z_$0-9]*\s*=\s*(?:%{1,3}|!)[a-zA-Z]")
_HELP = re.compile(r"^\s*(?:# )*\S*\?\s*$")
_GOES_ON = re.compile(r".*\\\s*$")
_COMMENT = re.compile(r"^(\s*)# ?")


def uncommented(lines: Iterable[str], quoted: Iterable[bool]) -> list[str]:
    """The lines, with one ``#`` taken off those that hold a magic; ``quoted`` lines begin inside a string and stay."""
    result: list[str] = []
    goes_on = False
    for line, is_quoted in zip(lines, quoted, strict=True):
        if is_quoted or not (goes_on or is_magic(line)):
            result.append(line)
            continue
        goes_on = bool(_GOES_ON.match(line))
        result.append(_COMMENT.sub(r"\1", line))
    return result


def is_magic(line: str) -> bool:
    """Does a line, commented or not, hold a magic, a shell command or a question about an object?"""
    if not _MAYBE.search(line):
        return False  # most lines, and this is asked of each at every key
    if _FORCED.match(line):
        return True
    if _REFUSED.match(line):
        return False
    return any(rule.match(line) for rule in (_MAGIC, _SHELL_OR_HELP, _ASSIGNED, _HELP))


def without_comment(line: str) -> str:
    """The text of a commented line; others stay."""
    return line.removeprefix("# ") if line.startswith("# ") else line.removeprefix("#")
