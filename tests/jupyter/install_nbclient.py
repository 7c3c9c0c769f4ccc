"""Fetch nbclient's own tests: they are in its source distribution and not in its wheel.

    python -m tests.jupyter.install_nbclient        prints the unpacked source distribution

Version and hash are those of ``requirements/test.txt``. It is kept where the tests' other tools are; a second call finds it and
returns at once.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.editors.install_neovim import cache_dir

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "test.txt"


def install() -> Path:
    """The source distribution's directory, fetched if need be. Raises CalledProcessError when pip cannot fetch it."""
    pinned = re.search(r"^nbclient==(\S+)(?: \\\n    --hash=\S+)+", REQUIREMENTS.read_text(), re.MULTILINE)
    if not pinned:
        raise RuntimeError(f"{REQUIREMENTS} does not pin nbclient")
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"nbclient-{pinned[1]}"
    with open(cache / "nbclient.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _fetch(pinned[0], target)
    return target


def _fetch(requirement: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nbclient-", dir=target.parent) as scratch:
        wanted = Path(scratch) / "requirement.txt"
        wanted.write_text(requirement + "\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes", "--dest", scratch, "-r", wanted]
        subprocess.run(command, check=True, stdout=sys.stderr)
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(scratch, filter="data")
        (Path(scratch) / archive.name.removesuffix(".tar.gz")).rename(target)


if __name__ == "__main__":
    try:
        print(install())
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"cannot fetch nbclient's tests: {error}")
