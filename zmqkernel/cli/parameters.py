"""Arguments and options that several commands have, and those that are long to declare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import typer

from ..commands import sessions


def complete_name(incomplete: str) -> Iterable[str]:
    """Shell completion of session names."""
    return [name for name in sessions.names() if name.startswith(incomplete)]


Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The session.", autocompletion=complete_name)]
Where = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME | CONNECTION_FILE", help="The session, or its connection file.", autocompletion=complete_name
    ),
]
SessionOption = Annotated[
    str | None, typer.Option("-s", "--session", metavar="NAME", help="The session.", autocompletion=complete_name)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
VariableOrder = Annotated[
    Literal["name", "size", "recent"],
    typer.Option("--sort", help="By name; by bytes, the largest first; by when it changed, the last at the end."),
]
