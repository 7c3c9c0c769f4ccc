"""nbclient's own tests, with ``zmqkernel-session`` in the place of the kernel that they all name, ``python3``.

With ipykernel all of them pass. They run side by side: each has a kernel of its own, and most of the time they wait.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.jupyter.install_nbclient import install
from zmqkernel import kernelspec

ROOT = Path(__file__).parents[2]
WORKERS = 3
SECONDS = 400

KEPT = """a session outlives its kernel: the cell is answered (KernelDied, with the signal) and a new kernel is started;
nbclient waits for a kernel that is gone"""
DIFFERENT = {
    "test_error_notebook_hook": KEPT,
    "test_kernel_death_during_execution": KEPT,
    "test_run_all_notebooks[update-display-id.ipynb-opts14]": "the notebook uses objects that only ipykernel has: "
    "get_ipython().kernel.iopub_socket and kernel.session.send",
}
"""What fails, and why that stays so. A test that passes all the same must leave this list."""


@pytest.fixture(scope="module")
def source() -> Path:
    """nbclient's source distribution; fetched with the real home directory, before a test gets one of its own."""
    return install()


@pytest.mark.timeout(SECONDS + 30)
def test_nbclients_own_tests(source: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = tmp_path / "jupyter" / "kernels"
    (kernels / "python3").mkdir(parents=True)
    spec = kernelspec.specs()[kernelspec.SESSION_NAME]
    (kernels / "python3" / "kernel.json").write_text(json.dumps(spec))
    # JUPYTER_PATH comes before the environment's own ipykernel, which JUPYTER_DATA_DIR in a venv does not.
    monkeypatch.setenv("JUPYTER_PATH", str(kernels.parent))
    # Beside ours, nbclient's folder ``tests`` is the package of that name: the plugin is found by its folder.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(ROOT)]))
    # Commands of the environment (jupyter-execute), as in an activated one.
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    assert argv_of("python3")[:4] == [sys.executable, "-P", "-m", "zmqkernel.hosted"]

    copy = shutil.copytree(source, tmp_path / "nbclient")
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "nbclient_plugin", "-p", "no:randomly"]
    command += [
        "-p",
        "no:cacheprovider",
        "--color",
        "no",
        "-n",
        str(WORKERS),
        "--timeout",
        "60",
        "--junit-xml",
        str(report),
        "tests",
    ]
    done = subprocess.run(
        command, cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False
    )
    assert report.exists(), done.stdout
    passed, failed = outcomes(report)
    assert len(passed) + len(failed) > 120, done.stdout
    assert failed == set(DIFFERENT), done.stdout


def argv_of(kernel: str) -> list[str]:
    """How jupyter_client starts a kernel in the environment of now."""
    code = f"import json, jupyter_client.kernelspec as k; print(json.dumps(k.get_kernel_spec({kernel!r}).argv))"
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def outcomes(report: Path) -> tuple[set[str], set[str]]:
    """The names of the tests that passed and that failed."""
    passed: set[str] = set()
    failed: set[str] = set()
    for case in ElementTree.parse(report).iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        (failed if bad else passed).add(f"{case.get('name')}")
    return passed, failed
