"""The commands with their arguments, options and help: the only file that knows typer. What they do is in commands/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
import typer

from .. import __version__, config
from ..client.blocking import Client
from ..client.discovery import SessionState
from ..commands import listing, sessions
from ..commands.render import Renderer
from ..config import Config
from .ending import EXIT_CODES, reported
from .parameters import Json, Name, SessionOption, VariableOrder, Where

HELP = f"""A live Python session that outlives editors, networks and crashes.

A session belongs to a project: the nearest folder with pyproject.toml or .git, else the working directory. NAME is a session of
this project, or one anywhere when only one has that name; without NAME it is called like the project's folder.

{EXIT_CODES}
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
kernelspec_app = typer.Typer(help="What Jupyter knows about zmqkernel.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(kernelspec_app, name="kernelspec")


def _renderer(settings: Config, client: Client, *, prompts: bool, err: TextIO | None = None) -> Renderer:
    return Renderer(settings.image_dir / client.info().name, prompts=prompts, err=err)


def _print_json(states: SessionState | list[SessionState]) -> None:
    print(msgspec.json.encode(states).decode())


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command(
    help=f"""Start a session, or say that it is there.

Options that are not given are as they were the last time; the kernel's working directory is the project.

Examples:

zmqkernel start

zmqkernel start gpu --python ~/envs/torch/bin/python --cwd data

{EXIT_CODES}"""
)
@reported
def start(
    name: Name = None,
    python: Annotated[str, typer.Option(metavar="EXE", help="The interpreter of the kernel; it needs zmqkernel.")] = "",
    kernel: Annotated[str, typer.Option(metavar="SPEC", help="Another Jupyter kernel, by its kernelspec.")] = "",
    cwd: Annotated[str, typer.Option(metavar="DIR", help="The kernel's working directory.")] = "",
    restart: Annotated[bool, typer.Option(help="Start a new kernel when one dies.")] = True,
    json: Json = False,
) -> None:
    state, was_up = sessions.start(name, config.load(), python, kernel, cwd, restart=restart)
    if json:
        _print_json(state)
    else:
        verb = "runs already" if was_up else "started"
        print(f"session {state.name} {verb} in {state.path} (kernel {state.kernel_pid})")


@app.command(
    help=f"""A prompt in a session, which is started when there is none.

Ctrl-C interrupts the cell that this terminal waits for. Ctrl-D leaves, also while a cell runs, and so do exit and quit at the
prompt: the session goes on. Tab completes. What is typed while a cell runs comes to the next prompt and is not run. Standard
input that is no terminal is read as code and run; the exit code tells how that went.

Examples:

zmqkernel attach

echo "print(x)" | zmqkernel attach work

{EXIT_CODES}"""
)
@reported
def attach(target: Where = None) -> None:
    from ..console import attach as open_prompt

    settings = config.load()
    with sessions.open_client(target, settings) as client:
        raise typer.Exit(open_prompt(client, _renderer(settings, client, prompts=sys.stdin.isatty())))


@app.command(
    help=f"""Run the cells of a .py file (# %%) or a notebook in a session, which is started when there is none.

It stops at the first cell that fails. Text before the first marker is cell 0; each of several cells gets a heading: its number,
title and line. The session is that of the file's project.

Examples:

zmqkernel run analysis.py

zmqkernel run analysis.py --cell 3 -s work

{EXIT_CODES}"""
)
@reported
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file.")],
    session: SessionOption = None,
    cell: Annotated[
        list[int] | None, typer.Option("--cell", metavar="N", help="Only this cell; may be given again.")
    ] = None,
) -> None:
    from ..commands import running

    settings = config.load()
    if file.suffix not in running.ENDINGS:
        raise typer.BadParameter(f"{file} is not a .py file or notebook")
    cells = running.read_cells(file)
    for number in cell or ():
        if all(one.index != number for one in cells):
            known = f"{cells[0].index} to {cells[-1].index}" if cells else "none"
            raise typer.BadParameter(f"{file} has no cell {number} (there are: {known})")
    chosen = [one for number in cell for one in cells if one.index == number] if cell else cells
    with sessions.open_client(session, settings, file) as client:
        raise typer.Exit(running.run_cells(client, chosen, _renderer(settings, client, prompts=True), file))


@app.command(
    "exec",
    help=f"""Run code in a session, which is started when there is none; "-" reads it from standard input.

Examples:

zmqkernel exec "len(birds)"

zmqkernel exec - -s work < setup.py

{EXIT_CODES}""",
)
@reported
def exec_(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code.")],
    session: SessionOption = None,
) -> None:
    from ..commands import running

    settings = config.load()
    text = sys.stdin.read() if code == "-" else code
    with sessions.open_client(session, settings) as client:
        renderer = _renderer(settings, client, prompts=False)
        reply = running.run_code(client, text, renderer)
        raise typer.Exit(running.finish(client, reply, renderer))


@app.command(
    "list",
    help=f"""All sessions of this user, dead or alive.

Examples:

zmqkernel list

zmqkernel list --json | jq '.[] | select(.state == "busy")'

{EXIT_CODES}""",
)
@reported
def list_(json: Json = False) -> None:
    states = sessions.states()
    if json:
        _print_json(states)
    else:
        print(listing.table(states))


@app.command(
    help=f"""How a session is.

state is starting, idle, busy, restarting or dead, or unknown when its supervisor does not answer. unclean: its last end was no
shutdown. held: cells that waited when the kernel died (zmqkernel resume). trouble: what keeps it from going on, as a full disk.

Examples:

zmqkernel info

zmqkernel info work --json

{EXIT_CODES}"""
)
@reported
def info(target: Where = None, json: Json = False) -> None:
    settings = config.load()
    if json:
        _print_json(sessions.info(target, settings))
    else:
        print(sessions.described(target, settings))


@app.command(
    help=f"""The journal of a session: what ran, who ran it, what came out. Also of a session that does not run.

A heading is: the number of the record (for --since), the time, who ran the cell, where it stands, its In [n].

With --json one record per line: seq, time, kind (submit, iopub, reply, input, answer, event), msg_type, execution, document,
sender, content, buffers (their sizes), and origin where there is one.

Examples:

zmqkernel log -f

zmqkernel log work --since 1200 --json

zmqkernel log -n 3

{EXIT_CODES}"""
)
@reported
def log(
    target: Where = None,
    since: Annotated[int, typer.Option(metavar="SEQ", min=0, help="Only what came after record SEQ.")] = 0,
    last: Annotated[int, typer.Option("-n", "--last", metavar="N", min=0, help="Only the last N cells.")] = 0,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what comes, until Ctrl-C or the session's shutdown.")
    ] = False,
    json: Json = False,
) -> None:
    from ..commands import journal

    settings = config.load()
    with sessions.open_journal(target, settings) as client:
        renderer = _renderer(settings, client, prompts=True, err=sys.stdout)  # in the order in which it came
        journal.show(client, renderer, since=since, last=last, follow=follow, as_json=json)


@app.command(
    "vars",
    help=f"""The variables of a session, without asking its kernel, which may be busy, stopped or dead.

A row is: name, type, length or shape, the cell that bound it, value or signature. What looks secret is left out.

With --json an object: generation, stale (that kernel is dead), execution_count, truncated, variables.

Examples:

zmqkernel vars work --sort size

zmqkernel vars --json | jq '.variables | keys'

{EXIT_CODES}""",
)
@reported
def vars_(target: Where = None, json: Json = False, sort: VariableOrder = "name") -> None:
    from ..commands import variables

    with sessions.open_running(target, config.load()) as client:
        print(variables.as_json(client) if json else variables.table(client, sort))


@app.command(
    help=f"""Interrupt the running cell of a session.

Example:

zmqkernel interrupt work

{EXIT_CODES}"""
)
@reported
def interrupt(target: Where = None) -> None:
    sessions.interrupt(target, config.load())


@app.command(
    help=f"""Give a session a new kernel: the variables are gone, the journal stays.

Example:

zmqkernel restart work

{EXIT_CODES}"""
)
@reported
def restart(target: Where = None) -> None:
    state = sessions.restart(target, config.load())
    print(f"session {state.name} has a new kernel ({state.kernel_pid})")


@app.command(
    help=f"""Run the cells that were kept when the kernel died: they waited behind the cell in which it happened.

They run in their order, as new executions; see them with zmqkernel attach or log -f. zmqkernel info shows which cells are kept.

Examples:

zmqkernel resume

zmqkernel resume work --drop

{EXIT_CODES}"""
)
@reported
def resume(
    target: Where = None,
    drop: Annotated[bool, typer.Option("--drop", help="Do not run them: forget them.")] = False,
    json: Json = False,
) -> None:
    executions = sessions.resume(target, config.load(), drop=drop)
    if json:
        print(msgspec.json.encode({"executions": executions}).decode())
    else:
        print(listing.resumed(len(executions), drop=drop))


@app.command(
    help=f"""End a session, kernel and supervisor. Its journal stays.

Example:

zmqkernel shutdown work

{EXIT_CODES}"""
)
@reported
def shutdown(target: Where = None) -> None:
    sessions.shutdown(target, config.load())


@app.command(
    help="""The language server on standard input and output, for editors.

Example:

zmqkernel lsp"""
)
def lsp() -> None:
    from . import bridge

    raise typer.Exit(bridge())


@kernelspec_app.command(
    help="""Make both kernels known to Jupyter: zmqkernel-session joins or starts a session, zmqkernel is the bare kernel.

Examples:

zmqkernel kernelspec install

zmqkernel kernelspec install --sys-prefix"""
)
@reported
def install(
    prefix: Annotated[Path | None, typer.Option(metavar="DIR", help="Install below this directory.")] = None,
    sys_prefix: Annotated[bool, typer.Option("--sys-prefix", help="Install into this Python's environment.")] = False,
) -> None:
    from ..kernelspec import install as write

    if prefix and sys_prefix:
        raise typer.BadParameter("--prefix and --sys-prefix say the same: give one")
    for directory in write(sys.prefix if sys_prefix else prefix):
        print(directory)


@kernelspec_app.callback()
def _kernelspec() -> None:
    """Without this, a group of one command would be that command."""
