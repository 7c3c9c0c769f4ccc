"""Starting in a scope of its own where systemd would end the supervisor at logout. systemd's commands are stand-ins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zmqkernel.supervisor import scope

LOGIN = "0::/user.slice/user-1000.slice/session-3.scope\n"
HYBRID = "5:memory:/user.slice\n1:name=systemd:/user.slice/user-1000.slice/session-c2.scope\n0::/x\n"
ELSEWHERE = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/zmqkernel-a-1.scope\n"

PROGRAM = """
import os, sys
from pathlib import Path
from zmqkernel.supervisor import scope
scope.CGROUP, scope.CONFIGURATION = sys.argv[1], (sys.argv[2],)
arguments = sys.argv[3:]
if scope.entered():
    print("in a scope", *arguments, scope.GUARD in os.environ)
    sys.exit(3)
status = scope.start_in_scope(arguments)
print("went on" if status is None else f"status {status}", flush=True)
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with ``bin`` (first in PATH), ``cgroup`` (a login session) and ``etc``."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "etc" / "logind.conf.d").mkdir(parents=True)
    (tmp_path / "cgroup").write_text(LOGIN)
    (tmp_path / "etc" / "logind.conf").write_text("[Login]\n#KillUserProcesses=no\n#KillExcludeUsers=nobody-here\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv(scope.GUARD, raising=False)
    return tmp_path


def command(places: Path, name: str, script: str) -> None:
    """A stand-in for a command of systemd; it notes that it was called."""
    file = places / "bin" / name
    file.write_text(f'#!/bin/sh\necho "$@" >> {places}/{name}.calls\n{script}\n')
    file.chmod(0o755)


def calls(places: Path, name: str) -> list[str]:
    file = places / f"{name}.calls"
    return file.read_text().splitlines() if file.exists() else []


def start(places: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that starts itself in a scope if it must."""
    (places / "program.py").write_text(PROGRAM)
    argv = [sys.executable, str(places / "program.py"), str(places / "cgroup"), str(places / "etc"), *arguments]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )


ANSWER = r'printf "b true\nas 0\nas 2 \"nobody-here\" \"her\"\n"'
RUN = 'while [ "$1" != "--" ]; do shift; done; shift; exec "$@"'


@pytest.mark.parametrize("cgroup", [LOGIN, HYBRID])
def test_in_a_login_session_that_kills_it_starts_again_in_a_scope(places: Path, cgroup: str) -> None:
    (places / "cgroup").write_text(cgroup)
    command(places, "busctl", ANSWER)
    command(places, "systemd-run", RUN)
    done = start(places, "--name", "my analysis", "--project", "/p")
    assert done.stdout == "in a scope --name my analysis --project /p False\nstatus 3\n", done.stderr
    (call,) = calls(places, "systemd-run")
    assert "--scope" in call.split()
    assert ("--user" in call.split()) is (os.getuid() != 0)
    assert "--unit=zmqkernel-my_analysis-" in call


@pytest.mark.parametrize(
    ("cgroup", "answer"),
    [(ELSEWHERE, ANSWER), ("", ANSWER), (LOGIN, r'printf "b false\nas 0\nas 0\n"'), (LOGIN, "exit 1")],
    ids=["in a scope already", "no control groups", "logind does not kill", "no logind, and its file says no"],
)
def test_where_nothing_kills_it_nothing_is_started(places: Path, cgroup: str, answer: str) -> None:
    (places / "cgroup").write_text(cgroup)
    command(places, "busctl", answer)
    command(places, "systemd-run", RUN)
    assert start(places, "--name", "a").stdout == "went on\n"
    assert not calls(places, "systemd-run")
    assert len(calls(places, "busctl")) == (1 if cgroup == LOGIN else 0)


def test_when_systemd_run_fails_it_goes_on_and_says_so(places: Path) -> None:
    command(places, "busctl", ANSWER)
    command(places, "systemd-run", "echo 'Failed to connect to bus' >&2; exit 1")
    done = start(places, "--name", "a")
    assert done.stdout == "went on\n"
    assert "will end when you log out" in done.stderr


def test_the_files_of_logind_are_read_when_it_does_not_answer(places: Path) -> None:
    command(places, "busctl", "exit 1")
    command(places, "systemd-run", RUN)
    drop_in = places / "etc" / "logind.conf.d" / "50-kill.conf"
    drop_in.write_text("[Login]\nKillUserProcesses = Yes\n")
    assert "in a scope" in start(places).stdout
    (places / "etc" / "logind.conf.d" / "90-not.conf").write_text("[Login]\nKillUserProcesses=no\n")
    assert start(places).stdout == "went on\n"


def test_users_that_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"KillUserProcesses": "yes", "KillOnlyUsers": "", "KillExcludeUsers": "root anna"}
    monkeypatch.setattr(scope, "_asked", lambda: settings)
    assert scope._kills("bert")
    assert not scope._kills("anna")
    settings["KillOnlyUsers"] = "carl"
    assert not scope._kills("bert")


def test_without_lingering_the_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    name = pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(scope, "LINGER", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: pwd.getpwnam("nobody").pw_uid)
    name = "nobody"
    assert "loginctl enable-linger" in scope.notice()
    (tmp_path / name).touch()
    assert scope.notice() == ""


def test_it_costs_one_file_where_it_does_not_apply(places: Path) -> None:
    """And no import: the kernel waits for what is done before it is started."""
    (places / "cgroup").write_text(ELSEWHERE)
    code = (
        "import json, sys; from zmqkernel.supervisor import scope; before = set(sys.modules);"
        f"scope.CGROUP = {str(places / 'cgroup')!r}; scope.start_in_scope([]); print(json.dumps(list(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
