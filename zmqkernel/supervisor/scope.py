"""Logout: where systemd would kill the supervisor with its login session, it starts in a scope of its own.

systemd-logind ends every process of a login session when ``KillUserProcesses`` is on. A process in a scope of the user's own
systemd outlives the login session; it still ends with the user's last logout, unless the user lingers.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from .log import log

CGROUP = "/proc/self/cgroup"
CONFIGURATION = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")
"""Where logind.conf and logind.conf.d are; the later ones win."""
LINGER = "/var/lib/systemd/linger"
GUARD = "ZMQKERNEL_IN_SCOPE"
"""In the environment of a supervisor that was started in a scope: it does not ask again."""
ASK_SECONDS = 2.0
"""How long logind may take to answer."""

NO_LINGER = "your last logout ends this session; it lives on if you run once: loginctl enable-linger"

_SESSION = rb"^(?:0:|\d+:name=systemd):.*/session-[^/\n]+\.scope(?:/|$)"  # compiled only where it may be so


def entered() -> bool:
    """Was this process started by :func:`start_in_scope`? Tells it once: nothing that is started from here shall believe it."""
    return bool(os.environ.pop(GUARD, ""))


def start_in_scope(arguments: list[str]) -> int | None:
    """Start this program again in a scope of its own when logging out would kill it here; return its exit status.

    ``arguments`` are its own, without the interpreter's; the one after ``--name`` names the scope. What it prints is printed.
    None: it does not apply, or could not be done (which is said on standard error): go on in this process. Where it does not
    apply, this costs reading one file.
    """
    groups = _read(CGROUP)
    if b"/session-" not in groups or not re.search(_SESSION, groups, re.MULTILINE):
        return None
    import pwd
    import shutil
    import subprocess  # late: these are of use only here, and cost as much as all else that is done before the kernel runs

    user = pwd.getpwuid(os.getuid()).pw_name
    if not _kills(user) or not (run := shutil.which("systemd-run")):
        return None
    # root's processes need no systemd of a user's own, and a scope of the system's ends with no logout.
    whose = [] if os.getuid() == 0 else ["--user"]
    environment = {**os.environ, GUARD: "1"}
    if "XDG_RUNTIME_DIR" not in os.environ and os.path.isdir(f"/run/user/{os.getuid()}"):
        environment["XDG_RUNTIME_DIR"] = f"/run/user/{os.getuid()}"  # systemd-run looks for the user's bus there
    command = [run, *whose, "--scope", "--quiet", "--collect", f"--unit={_unit(arguments)}", "--"]
    own = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]  # as in: -P -m zmqkernel.supervisor
    done = subprocess.run(
        [*command, sys.executable, *own, *arguments], env=environment, stdout=subprocess.PIPE, check=False
    )
    if not done.stdout:
        log(f"zmqkernel: systemd-run failed ({done.returncode}): this session will end when you log out")
        return None
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.flush()
    return done.returncode


def notice() -> str:
    """For a process that :func:`entered`: what to tell the user about the last logout, or an empty text."""
    import pwd

    if os.getuid() == 0 or os.path.exists(f"{LINGER}/{pwd.getpwuid(os.getuid()).pw_name}"):
        return ""
    return NO_LINGER


def _unit(arguments: list[str]) -> str:
    name = arguments[arguments.index("--name") + 1] if "--name" in arguments[:-1] else "session"
    # With our pid: the scope of a supervisor that died lives on as long as its kernel does.
    return f"zmqkernel-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:100]}-{os.getpid()}"


def _kills(user: str) -> bool:
    """Does logind kill what this user leaves in a login session?"""
    settings = _asked() or _configured()
    if settings.get("KillUserProcesses", "no") not in ("yes", "true", "on", "1", "y", "t"):
        return False
    only = settings.get("KillOnlyUsers", "").split()
    excluded = settings.get("KillExcludeUsers", "root").split()
    return user not in excluded and (not only or user in only)


def _asked() -> dict[str, str]:
    """What logind itself says; empty when it cannot be asked."""
    import subprocess

    place = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
    names = ["KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers"]
    try:
        asked = subprocess.run(
            ["busctl", "get-property", *place, *names],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}  # no busctl, or no answer: the files say what logind has read
    # One line per property: "b true", and "as 2 \"root\" \"me\"".
    lines = asked.stdout.splitlines()
    if asked.returncode or len(lines) != len(names):
        return {}
    killing, only, excluded = (line.split()[1:] for line in lines)
    users = [" ".join(part.strip('"') for part in parts[1:]) for parts in (only, excluded)]
    return {names[0]: "".join(killing), names[1]: users[0], names[2]: users[1]}


def _configured() -> dict[str, str]:
    """What logind.conf and the files of logind.conf.d say: of the same name the last place wins, then in order of the names."""
    main, parts = [], dict[str, Path]()
    for place in CONFIGURATION:
        main = [Path(place, "logind.conf")] if Path(place, "logind.conf").is_file() else main
        parts |= {path.name: path for path in Path(place, "logind.conf.d").glob("*.conf")}
    settings: dict[str, str] = {}
    for path in (*main, *(parts[name] for name in sorted(parts))):
        lines = _read(str(path)).decode("utf-8", "replace").splitlines()
        # In the main file the commented settings are what logind was compiled with; distributions differ in that.
        for line in [line[1:] for line in lines if line.startswith("#Kill")] * (path in main) + lines:
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals and key.startswith("Kill"):
                settings[key] = value.lower() if key == "KillUserProcesses" else value
    return settings


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""  # no Linux with control groups, or no such file: then nothing is set there
