"""The command line, as processes, on real sessions."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from docs import cli_page
from zmqkernel.client import Client

COMMAND = [sys.executable, "-m", "zmqkernel"]
COMMANDS = [
    "start",
    "attach",
    "run",
    "exec",
    "list",
    "info",
    "log",
    "vars",
    "interrupt",
    "restart",
    "resume",
    "shutdown",
]
KEYS = ["name", "path", "state", "kernel_pid", "supervisor_pid", "connection_file", "epoch", "seq", "unclean"]
KEYS += ["held", "trouble"]


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, the working directory."""
    project = tmp_path / "shop"
    project.mkdir()
    (project / "pyproject.toml").touch()
    monkeypatch.chdir(project)
    return project


def zk(*words: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command; its exit code must be ``code``."""
    done = subprocess.run([*COMMAND, *words], input=stdin, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on; it is killed at the end, whatever the test found."""
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        try:
            yield command
        finally:
            command.kill()


def records(*words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in zk("log", "--json", *words).stdout.splitlines()]


def test_a_session_from_start_to_end(project: Path) -> None:
    state = json.loads(zk("start", "--json").stdout)
    assert list(state) == KEYS
    assert (state["name"], state["path"], state["unclean"]) == ("shop", str(project), False)
    assert "runs already" in zk("start").stdout
    assert zk("exec", "x = 20; x + 1").stdout == "21\n"
    assert zk("exec", "-", stdin="print(x)").stdout == "20\n"
    (listed,) = json.loads(zk("list", "--json").stdout)
    info = json.loads(zk("info", "--json").stdout)
    assert list(listed) == list(info) == KEYS
    assert (info["state"], info["kernel_pid"]) == ("idle", state["kernel_pid"])
    os.kill(info["kernel_pid"], 0)

    assert str(info["kernel_pid"]) not in zk("restart").stdout
    assert zk("exec", "x", code=1).stderr.endswith("NameError: name 'x' is not defined\n")
    zk("interrupt")  # nothing runs: no harm

    zk("shutdown")
    assert json.loads(zk("info", "--json").stdout)["state"] == "dead"
    assert zk("list").stdout == f"NAME  STATE       PATH\nshop  dead        {project}\n"
    assert "\nstate:      dead\n" in zk("info").stdout
    done = zk("interrupt", code=3)
    assert done.stderr == "error: the session 'shop' does not run\nhint: Start it: zmqkernel start shop\n"
    assert zk("exec", "'again'").stdout == "'again'\n"  # running starts it


def test_exit_codes(project: Path) -> None:
    assert "ZeroDivisionError" in zk("exec", "1/0", code=1).stderr
    assert "No such command" in zk("nix", code=2).stderr
    assert "hint: This project has: shop" in zk("info", "nix", code=3).stderr
    assert "cannot read nix.json" in zk("attach", "./nix.json", code=3).stderr
    died = zk("exec", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", code=4)
    assert "KernelDied: the kernel died: segmentation fault (SIGSEGV)" in died.stderr
    assert died.stderr.endswith("\na new kernel was started: the variables are gone\n")
    assert zk("exec", "'alive'").stdout == "'alive'\n"


def test_the_cells_of_a_file(project: Path) -> None:
    file = project / "work.py"
    file.write_text(
        "x = 3\n# %% one\nprint('one', x)\nx * 2\n# %% [markdown]\n# text\n# %% two\n# %time y = 5\n"
        "# %% bad\n\n1/0\n# %% never\nz = 1\n"
    )
    done = zk("run", "work.py", code=1)
    assert done.stdout.startswith("── cell 0  work.py:1\n── cell 1  one  work.py:3\none 3\nOut[2]: 6\n── cell 3  two  ")
    assert f"{file.name}:11" in done.stderr.replace("\n", "")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\nstopped at cell 4; 1 not run\n")
    both = zk("run", "work.py", "--cell", "5", "--cell", "1").stdout
    assert both == "── cell 5  never  work.py:13\n── cell 1  one  work.py:3\none 3\nOut[6]: 6\n"
    assert zk("run", "work.py", "--cell", "1").stdout == "one 3\nOut[7]: 6\n"
    assert zk("exec", "y, z").stdout == "(5, 1)\n"
    assert "no cell 9 (there are: 0 to 5)" in zk("run", "work.py", "--cell", "9", code=2).stderr
    assert "cannot read nix.py" in zk("run", "nix.py", code=1).stderr

    submits = [record for record in records() if record["kind"] == "submit" and record["document"]]
    assert {record["document"] for record in submits} == {file.as_uri()}
    assert [record["origin"].get("line", 0) for record in submits] == [0, 2, 7, 10, 12, 2, 2]


def test_only_files_with_cells_are_run(project: Path) -> None:
    (project / "README.md").write_text("# Not code")
    assert "README.md is not a .py file or notebook" in zk("run", "README.md", code=2).stderr.replace("\n│", "")
    assert zk("list").stdout == "there is no session yet: zmqkernel start\n"


def test_a_notebook_and_its_pictures(project: Path, home: Path) -> None:
    png = base64.b64encode(b"not really").decode()
    show = f"from IPython.display import display\ndisplay({{'image/png': '{png}'}}, raw=True)"
    cells = [
        {"cell_type": "markdown", "source": "# T", "metadata": {}},
        {"cell_type": "code", "source": show.splitlines(keepends=True), "id": "pic", "metadata": {}},
    ]
    (project / "book.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    (picture,) = (line for line in zk("run", "book.ipynb", "-s", "nb").stdout.splitlines() if "image/png" in line)
    (path,) = (home / "cache" / "zmqkernel" / "images" / "nb").iterdir()
    assert picture == f"[image/png: {path.as_uri()}]"
    assert path.read_bytes() == b"not really"
    (submit,) = (record for record in records("nb") if record["kind"] == "submit")
    assert submit["origin"] == {"uri": (project / "book.ipynb").as_uri(), "cell": "pic"}


def test_attach_reads_standard_input(project: Path) -> None:
    assert zk("attach", stdin="# %%\nx = 1\n# %%\nprint(x + 1)\n").stdout == "2\n"
    done = zk("attach", stdin="raise KeyError(1)", code=1)
    assert "KeyError" in done.stderr
    (line,) = zk("attach", stdin="input()", code=1).stderr.splitlines()
    assert line.startswith("StdinNotImplementedError: ")
    connection_file = json.loads(zk("info", "--json").stdout)["connection_file"]
    assert zk("attach", connection_file, stdin="print(x)").stdout == "1\n"


def test_the_log_tells_who_ran_what(project: Path) -> None:
    with Client.connect(sender="neovim 77") as client:
        client.execute("print('hello')\n1 + 1").wait()
        client.execute("1/0").wait()
    text = zk("log").stdout
    assert "neovim 77  In [1]\n│ print('hello')\n│ 1 + 1\nhello\nOut[1]: 2\n" in text
    assert text.rstrip().endswith("ZeroDivisionError: division by zero")
    lines = records()
    seqs = [line["seq"] for line in lines]
    assert seqs == list(range(1, len(seqs) + 1))
    (stream,) = (line for line in lines if line["msg_type"] == "stream" and "hello" in line["content"]["text"])
    assert (stream["sender"], stream["kind"]) == ("neovim 77", "iopub")
    zk("shutdown")
    kept = records("--since", str(seqs[-1]))  # a session that does not run is read as well
    assert kept[0]["seq"] == seqs[-1] + 1
    assert "close" in [line["msg_type"] for line in kept]
    assert json.loads(zk("info", "--json").stdout)["kernel_pid"] == 0
    assert zk("exec", "'back'").stdout == "'back'\n"  # the journal was open without a kernel


def test_the_log_of_the_last_cells(project: Path) -> None:
    for code in ("print('one')", "print('two')", "print('three')"):
        zk("exec", code)
    text = zk("log", "-n", "2").stdout
    assert "one" not in text
    assert text.count("In [") == 2
    assert re.search(r"In \[2\]\n│ print\('two'\)\ntwo\n.*In \[3\]\n│ print\('three'\)\nthree\n", text)
    assert [line["content"]["code"] for line in records("-n", "1") if line["kind"] == "submit"] == ["print('three')"]
    assert zk("log", "-n", "99").stdout.count("In [") == 3


def test_a_log_from_beyond_the_end(project: Path) -> None:
    zk("exec", "1")
    end = json.loads(zk("info", "--json").stdout)["seq"]
    done = zk("log", "--since", "9999")
    assert (done.stdout, done.stderr) == ("", f"the journal ends at {end}\n")
    assert zk("log", "--since", str(end)).stderr == ""
    with running("log", "-f", "--since", "9999") as log:
        assert log.stdout is not None
        with Client.connect() as client:
            wait_for_followers(client, 1)  # the log; we have asked for nothing yet
            client.execute("print('new')").wait()
            client.shutdown()
        text = log.stdout.read()  # it ends with the session
        assert log.wait(30) == 0
    assert "power failure" not in text
    assert "\nnew\n" in text
    assert text.endswith("the session was shut down\n")


def wait_for_followers(client: Client, number: int) -> None:
    deadline = time.monotonic() + 20
    while len(client.info().clients) < number:
        assert time.monotonic() < deadline, client.info().clients
        time.sleep(0.01)


def test_the_log_follows_until_ctrl_c(project: Path) -> None:
    zk("start")
    with running("log", "-f", "--json") as log:
        assert log.stdout is not None
        zk("exec", "print('live')")
        assert any('"live\\n"' in line or '"live"' in line for line in log.stdout)
        log.send_signal(signal.SIGINT)
        log.stdout.read()
        assert log.wait(30) == 0


def test_who_waits_is_told_for_whom(project: Path) -> None:
    with Client.connect(sender="neovim 77") as client:
        asking = client.execute("input()")
        assert next(asking).msg_type == "input_request"
        with running("exec", "print('mine')") as waiting:
            assert waiting.stderr is not None
            assert waiting.stderr.readline() == "waiting for neovim 77's cell ...\n"
            text = zk("info").stdout
            assert re.search(r"^runs: +a cell of neovim 77, 1 waiting$", text, re.MULTILINE)
            assert re.search(r"^asks: +input\(\) waits for an answer$", text, re.MULTILINE)
            client.interrupt()
            client.execute("1").wait()
            out, _ = waiting.communicate(timeout=60)
    assert out in ("mine\n", "")  # what waits behind a cell that fails may be dropped


def test_exit_ends_nothing(project: Path) -> None:
    assert zk("exec", "x = 1").stderr == f"started a new session shop in {project}\n"
    done = zk("exec", "exit()")
    assert done.stderr == "exit() ends nothing in a session; zmqkernel shutdown does\n"
    assert zk("exec", "x").stdout == "1\n"
    zk("shutdown")
    assert zk("exec", "1").stderr == f"started session shop again in {project}\n"


def test_ctrl_c_interrupts_the_cell(project: Path) -> None:
    zk("start")
    code = "import time\nprint('begun', flush=True)\nfor i in range(600): time.sleep(0.1)"
    with running("exec", code) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "begun\n"
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 1
        assert "KeyboardInterrupt" in errors


def test_the_documented_python_example(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (cli_page.PAGE.parent.parent / "how-to" / "scripts.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "scripts.md", "exec"), {})
    assert capsys.readouterr().out.endswith("\nok\n")


def test_a_reader_that_leaves_is_no_error(project: Path) -> None:
    zk("exec", "for i in range(20_000): print(i)")
    done = subprocess.run(
        f"{sys.executable} -m zmqkernel log | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_home_needs_a_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert "needs a name" in zk("start", code=1).stderr
    assert "hint: Give a NAME: zmqkernel list shows them" in zk("info", code=1).stderr


def test_a_wrong_setting_is_said(project: Path, home: Path) -> None:
    (home / "config" / "zmqkernel").mkdir(parents=True)
    (home / "config" / "zmqkernel" / "config.toml").write_text("timeout = 'x'")
    assert "config.toml" in zk("start", code=1).stderr


def test_names_are_completed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zk("start", "work")
    monkeypatch.setenv("_ZMQKERNEL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "zmqkernel info w")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert zk().stdout.split() == ["work"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples_and_exit_codes(command: str) -> None:
    text = zk(command, "--help").stdout
    assert f"\n  zmqkernel {command}" in text
    assert "Exit codes: 0 done;" in text


def test_kernelspec(home: Path) -> None:
    places = [Path(line) for line in zk("kernelspec", "install").stdout.splitlines()]
    assert places == [home / "jupyter-data" / "kernels" / name for name in ("zmqkernel", "zmqkernel-session")]
    assert all(json.loads((place / "kernel.json").read_text())["language"] == "python" for place in places)
    zk("kernelspec", "install", "--prefix", "/tmp", "--sys-prefix", code=2)


def test_the_bridge_does_not_pay_for_the_command_line() -> None:
    code = (
        "import runpy, sys\n"
        "runpy.run_module = lambda name, **how: print(name, how['run_name'], 'typer' in sys.modules)\n"
        "sys.argv = ['zmqkernel', 'lsp']\n"
        "from zmqkernel.cli import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "lsp_bridge __main__ False\n"


def test_the_reference_page_is_what_the_commands_say() -> None:
    assert cli_page.PAGE.read_text() == cli_page.page(), "stale: python docs/cli_page.py"
