"""A client that may be killed: ``python -m benchmarks.witness PROJECT NAME NOTES EPOCH SEQ [CODE_FILE]``.

It follows the journal after (EPOCH, SEQ) and notes every record in the file NOTES before it takes the next one. With
CODE_FILE it submits that code first. It ends when its parent does.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

from zmqkernel.client import Client
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.protocol.messages import Position

from .check import checksum

NOTE = struct.Struct("<QQQ")
"""Epoch, number and checksum of a record."""


def main() -> None:
    """Follow until killed."""
    project, name, notes, epoch, seq = sys.argv[1:6]
    descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    parent = os.getppid()
    while True:
        try:
            client = Client.connect(Session(Path(project), name), sender="witness", timeout=60.0)
            break
        except ZmqKernelError:  # somebody killed the supervisor while it started: the next try starts another
            if os.getppid() != parent:
                return
            time.sleep(0.1)
    with client:
        if len(sys.argv) > 6:
            client.execute(Path(sys.argv[6]).read_text())
        following = client.follow(Position(int(epoch), int(seq)))
        while os.getppid() == parent:
            record = following.next(0.5)
            if record is not None:
                os.write(descriptor, NOTE.pack(following.position.epoch, record.seq, checksum(record)))


class Witness:
    """Starts the process, reads its notes, kills it. The notes of one file go on when the next process does."""

    def __init__(self, session: Session, notes: Path, position: Position, code: str = "") -> None:
        self._session = session
        self._notes = notes
        self._code = code
        self._last = position
        self._offset = 0
        self._unchecked: list[tuple[int, int]] = []
        self.start()

    def start(self) -> None:
        """Start the process (again) where it had come to."""
        self._read()
        session, at = self._session, self._last
        command = [sys.executable, "-m", "benchmarks.witness", str(session.project), session.name, str(self._notes)]
        command += [str(at.epoch), str(at.seq)]
        if self._code:
            file = self._notes.with_suffix(".code")
            file.write_text(self._code)
            command.append(str(file))
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def _read(self) -> None:
        if not self._notes.exists():
            return
        with self._notes.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: len(data) // NOTE.size * NOTE.size]
        self._offset += len(whole)
        for epoch, seq, crc in NOTE.iter_unpack(whole):
            self._last = Position(epoch, seq)
            self._unchecked.append((seq, crc))

    def wait_for(self, seq: int, seconds: float) -> bool:
        """Wait until it has read up to ``seq``; False when it did not in time."""
        deadline = time.monotonic() + seconds
        while True:
            self._read()
            if self._last.seq >= seq:
                return True
            if time.monotonic() > deadline or self._process.poll() is not None:
                return False
            time.sleep(0.005)

    def take(self, seq: int) -> list[tuple[int, int]]:
        """Position and checksum of everything that it got up to ``seq`` and that was not taken before."""
        self._read()
        taken = [note for note in self._unchecked if note[0] <= seq]
        self._unchecked = [note for note in self._unchecked if note[0] > seq]
        return taken

    def kill(self) -> None:
        """SIGKILL, wherever it is."""
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    main()
