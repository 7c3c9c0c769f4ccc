"""Ground truth: what a cell did, noted by itself outside of us. Cells under test are methods of :class:`Cell`.

A cell maps a small file and stores there, after each ``print`` has returned, how many have. The stores are in the page
cache of the system: they survive the death of the process, whatever it was. That a cell began is a line in another file.

Every piece of output is a token ``<CELL KIND NUMBER>``, for example ``<12p345>``, numbered from 0 within its kind.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

KINDS = {"p": "print", "c": "os.write to descriptor 1", "s": "a child process", "d": "display_data"}
_AT = {kind: number for number, kind in enumerate(KINDS)}
COMMAND = 8
SIZE = 4096

STOP, EXIT, ABORT, NULL = 1, 2, 3, 4
"""Values of the word COMMAND: end normally, ``os._exit(3)``, ``os.abort()``, read the address 0."""

MOST = 400_000
"""Most pieces of output of one cell."""
MOST_LARGE = 1000
"""The same for large ones: they are on the disk twice, and more while nobody takes them."""
LARGE = 600_000
"""Characters in a large display_data."""
CHILD_EVERY = 40
"""A child process says something after this many writes of the cell's own."""


class Cell:
    """For the code under test: ``Cell(directory, number).flood()``."""

    def __init__(self, directory: str, number: int) -> None:
        descriptor = os.open(f"{directory}/begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, b"%d %d\n" % (number, os.getpid()))
        os.close(descriptor)
        with open(f"{directory}/cell-{number}", "r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("Q")
        self._number = number
        self._next = dict.fromkeys(KINDS, 0)

    def flood(self) -> None:
        """Print as fast as it goes until told to end."""
        words, number = self._words, self._number
        for i in range(MOST):
            print(f"<{number}p{i}>")
            words[0] = i + 1
            if words[COMMAND]:
                break
        self._obey()

    def hold(self, exponent: int) -> None:
        """Print, and then one call in C that holds the GIL; print again."""
        self._print()
        7**exponent
        self._print()

    def ask(self) -> None:
        """``input()``; raises when the answer is not "yes"."""
        self._print()
        if input("go on?") != "yes":
            raise ValueError("a wrong answer")
        self._print()

    def chain(self) -> None:
        """A short cell."""
        self._print()
        time.sleep(0.01)
        self._print()

    def tick(self, period: float, seconds: float) -> None:
        """Print now and then, for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._words[COMMAND]:
            self._print()
            time.sleep(period)

    def large(self) -> None:
        """Messages that are larger than the shared memory takes."""
        from IPython.display import display

        for i in range(MOST_LARGE):
            display({"text/plain": f"<{self._number}d{i}>", "image/png": chr(65 + i % 26) * LARGE}, raw=True)
            self._words[_AT["d"]] = i + 1
            if self._words[COMMAND]:
                break
        self._obey()

    def below(self) -> None:
        """Output behind Python's back, in turn with print: the descriptor itself and child processes."""
        for i in range(MOST):
            os.write(1, f"<{self._number}c{i}>\n".encode())
            self._words[_AT["c"]] = i + 1
            self._print()
            if i % CHILD_EVERY == CHILD_EVERY - 1:
                child = i // CHILD_EVERY
                subprocess.run(["echo", f"<{self._number}s{child}>"], check=True)
                self._words[_AT["s"]] = child + 1
            if self._words[COMMAND]:
                break
        self._obey()

    def _print(self) -> None:
        count = self._next["p"]
        print(f"<{self._number}p{count}>")
        self._next["p"] = self._words[0] = count + 1

    def _obey(self) -> None:
        command = self._words[COMMAND]
        if command > STOP:
            _die(command)


def _die(command: int) -> NoReturn:
    if command == EXIT:
        os._exit(3)
    if command == ABORT:
        os.abort()
    ctypes.string_at(0)
    raise AssertionError("the address 0 could be read")


@dataclass
class Noted:
    """What the ground says about one cell: how often it began, and how much of each kind had returned."""

    begun: int = 0
    returned: dict[str, int] = field(default_factory=dict)


class Ground:
    """The other side: makes the files, gives commands, reads the notes. One directory for one session."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self._begun = directory / "begun"
        self._begun.touch()

    def code(self, number: int, call: str) -> str:
        """The code of a new cell; ``call`` is a call of a method of :class:`Cell`."""
        with (self.directory / f"cell-{number}").open("xb") as file:
            file.truncate(SIZE)
        return f"import benchmarks.ground\nbenchmarks.ground.Cell({str(self.directory)!r}, {number}).{call}"

    def command(self, number: int, command: int) -> None:
        """Tell a running cell to end."""
        with (self.directory / f"cell-{number}").open("r+b") as file:
            file.seek(8 * COMMAND)
            file.write(command.to_bytes(8, "little"))

    def noted(self, number: int) -> Noted:
        """What is known about a cell."""
        data = (self.directory / f"cell-{number}").read_bytes()
        words = memoryview(data).cast("Q")
        begun = [line for line in self._begun.read_text().splitlines() if int(line.split()[0]) == number]
        return Noted(len(begun), {kind: words[at] for kind, at in _AT.items()})

    def forget(self, number: int) -> None:
        """Remove the file of a cell that was checked."""
        (self.directory / f"cell-{number}").unlink()
