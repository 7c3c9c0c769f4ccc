"""Settings: the file, the environment over it, and what is said about mistakes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from zmqkernel import config
from zmqkernel.config import Config, load
from zmqkernel.protocol.errors import ZmqKernelError


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Config.__struct_fields__:
        monkeypatch.delenv(f"ZMQKERNEL_{name.upper()}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "zmqkernel").mkdir()
    return tmp_path / "zmqkernel" / "config.toml"


def test_no_file_is_the_defaults() -> None:
    assert load() == Config()


def test_the_documented_example_is_the_defaults(settings: Path) -> None:
    text = (config.__doc__ or "").partition("::\n")[2]
    values = tomllib.loads("\n".join(line.strip() for line in text.splitlines()))
    assert set(values) == set(Config.__struct_fields__)
    settings.write_text(text.replace("    ", ""))
    assert load() == Config()


def test_the_environment_wins(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.write_text("timeout = 3\nrestart = true\n")
    assert load().timeout == 3.0
    monkeypatch.setenv("ZMQKERNEL_TIMEOUT", "4.5")
    monkeypatch.setenv("ZMQKERNEL_RESTART", "false")
    assert (load().timeout, load().restart) == (4.5, False)


@pytest.mark.parametrize("text", ["timeout = 'long'", "colour = 1", "timeout = ", "restart = 'yes'"])
def test_mistakes_name_the_file(settings: Path, text: str) -> None:
    settings.write_text(text)
    with pytest.raises(ZmqKernelError, match=r"config\.toml") as caught:
        load()
    assert caught.value.hint


def test_mistakes_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZMQKERNEL_TIMEOUT", "soon")
    with pytest.raises(ZmqKernelError, match=r"ZMQKERNEL_.*timeout"):
        load()


def test_sizes_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().limits == {}
    for text, size in (("4G", 4 * 1024**3), ("1.5 MB", 3 * 1024**2 // 2), ("10kib", 10240), ("7", 7)):
        monkeypatch.setenv("ZMQKERNEL_JOURNAL_SIZE", text)
        assert load().limits == {"journal-size": str(size)}
    monkeypatch.setenv("ZMQKERNEL_JOURNAL_AGE", "0.5")
    assert load().limits["journal-age"] == "0.5"
    monkeypatch.setenv("ZMQKERNEL_OUTPUT_CAP", "much")
    with pytest.raises(ZmqKernelError, match="output_cap is a size like '4G'"):
        load()
