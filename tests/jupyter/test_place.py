"""Which session a manager's kernel belongs to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zmqkernel import kernelspec
from zmqkernel.hosted import Place, place_of, session_name
from zmqkernel.protocol.errors import ZmqKernelError

FILE = Path("/run/kernel-0a1b.json")


def place(cwd: Path, name: str = "", **environment: str) -> Place:
    """The place for a manager that writes its session's name into the connection file."""
    return place_of(FILE, {"jupyter_session": name}, cwd, environment)


@pytest.fixture
def project(home: Path) -> Path:
    folder = home / "penguins"
    (folder / "deep").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    return folder


def test_a_notebook_in_the_projects_folder_has_its_own_name(project: Path) -> None:
    found = place(project, str(project / "train.ipynb"))
    assert (found.session.project, found.session.name) == (project, "train")
    assert (found.owner, found.ephemeral) == (str(project / "train.ipynb"), False)


def test_notebooks_of_one_stem_do_not_share_a_session(project: Path) -> None:
    paths = ["train.ipynb", "train.py", "deep/train.ipynb", "penguins.ipynb", "a b.ipynb", "a-b.ipynb", "a%b.ipynb"]
    names = [place(project, str(project / path)).session.name for path in paths]
    assert len(set(names)) == len(names)
    assert "penguins" not in names  # that is the project's own session
    assert [name.partition("-")[0] for name in names] == ["train", "train", "train", "penguins", "a", "a", "a"]


def test_the_same_notebook_has_the_same_session_however_it_is_called(project: Path) -> None:
    deep = project / "deep"
    names = [str(deep / "train.ipynb"), "deep/train.ipynb", "penguins/deep/train.ipynb", "RTC:deep/train.ipynb"]
    found = [place(deep, name) for name in names]
    assert {one.session.id for one in found} == {found[0].session.id}
    assert {one.owner for one in found} == {str(deep / "train.ipynb")}


@pytest.mark.parametrize(
    "name",
    ["", "Console 1", "x-jvsc-6f1d2a4e-0f57-4f0e-9d0b-0d9a5f6c7e8b.ipynb", "6f1d2a4e-0f57-4f0e-9d0b-0d9a5f6c7e8b"],
)
def test_what_is_no_document_gets_a_session_for_itself(project: Path, name: str) -> None:
    found = place(project, name)
    assert (found.session.name, found.owner, found.ephemeral) == ("jupyter-0a1b", str(FILE), True)


def test_a_given_name_wins_and_home_is_no_obstacle(project: Path, home: Path) -> None:
    found = place(project, str(project / "train.ipynb"), ZMQKERNEL_NAME="mine")
    assert (found.session.name, found.owner, found.ephemeral) == ("mine", str(project / "train.ipynb"), False)
    assert place(home).session.project == home
    assert place(home, str(home / "x.ipynb")).session.name == "x"


def test_names_of_notebooks_are_names_for_the_command_line(project: Path) -> None:
    names = [
        place(project, str(project / path)).session.name for path in ("-x.ipynb", "x.json.ipynb", "日本.ipynb", "%.py")
    ]
    assert names[2] == "日本"
    for name in names:
        assert not name.startswith("-") and not name.endswith(".json") and "/" not in name


def test_the_environment_counts_when_the_file_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    inherited = {"JPY_SESSION_NAME": "/a/outer.ipynb"}
    assert session_name({}, inherited) == "/a/outer.ipynb"
    assert session_name({"jupyter_session": ""}, inherited) == ""


def test_a_name_that_the_manager_itself_was_started_with_is_not_its_kernels() -> None:
    """nbclient in a notebook: the kernel that it starts must not join the notebook's session."""
    code = (
        "import json, subprocess, sys\n"
        "inner = 'import os; from zmqkernel.hosted import session_name; print(session_name({}, dict(os.environ)))'\n"
        "sys.exit(subprocess.run([sys.executable, '-c', inner]).returncode)"
    )
    environment = {"JPY_SESSION_NAME": "/a/outer.ipynb", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_encrypted_channels_are_refused(tmp_path: Path) -> None:
    from zmqkernel.hosted import read_connection

    file = tmp_path / "kernel.json"
    file.write_text(json.dumps({"curve_secretkey": "x"}))
    with pytest.raises(ZmqKernelError, match="encrypted"):
        read_connection(file)


def test_kernelspecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    assert kernelspec.install() == [tmp_path / "data" / "kernels" / name for name in ("zmqkernel", "zmqkernel-session")]
    places = kernelspec.install(tmp_path, "/python")
    assert places[1] == tmp_path / "share/jupyter/kernels/zmqkernel-session"
    bare, session = (read(path) for path in places)
    assert bare["argv"] == ["/python", "-m", "zmqkernel.kernel", "-f", "{connection_file}"]
    assert session["argv"] == ["/python", "-P", "-m", "zmqkernel.hosted", "-f", "{connection_file}"]
    assert (bare["interrupt_mode"], session["interrupt_mode"]) == ("signal", "message")


def read(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "kernel.json").read_text())
