"""Files and folders that go on from what was typed, relative to the working directory."""

from __future__ import annotations

import os

from .budget import Budget
from .keys import inside_quotes
from .matches import Match

MOST = 1000


def looks_like_path(text: str) -> bool:
    """Does a string begin as paths do?"""
    return text.startswith(("/", "~", "./", "../")) or ("/" in text and "://" not in text and " " not in text)


def paths_at(prefix: str, budget: Budget, quote: str = "", only_folders: bool = False) -> list[Match]:
    """Each match is the whole path from the start of the string on. ``quote``: it stands between such quotes."""
    typed = prefix.replace("\\\\", "\\").replace(f"\\{quote}", quote) if quote else prefix.replace("\\ ", " ")
    name = typed.rpartition("/")[2]
    shown = prefix[: len(prefix) - len(prefix.rpartition("/")[2])]
    try:
        with os.scandir(os.path.expanduser(typed[: len(typed) - len(name)]) or ".") as entries:
            found = [
                (entry.name, entry.is_dir())
                for entry in budget.within(entries)
                if entry.name.startswith(name) and (name or not entry.name.startswith("."))
            ]
    except (OSError, ValueError):
        return []  # no such folder, or a string that is no path
    matches: list[Match] = []
    for own, is_folder in sorted(found)[:MOST]:
        if is_folder or not only_folders:
            text = inside_quotes(own, quote) if quote else own.replace(" ", "\\ ")
            matches.append(Match(f"{shown}{text}{'/' if is_folder else ''}", "path", label=own))
    return matches
