"""Sending the frames of a message. Apart because it is on the path of every message and pyzmq's own loop is slow."""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from ..protocol.wire import Buffer

# Plain numbers: an IntFlag's ``|``, once for every frame, cost three times as much as the sending.
LAST = int(zmq.NOBLOCK)
MORE = int(zmq.NOBLOCK) | int(zmq.SNDMORE)
COPY = 64 * 1024
"""Larger frames are lent to ZeroMQ and not copied, in bytes."""


def send_frames(socket: zmq.Socket[bytes], frames: Sequence[Buffer]) -> None:
    """Send a message without waiting; raises zmq.Again when the socket's mark is reached."""
    send = socket.send
    for frame in frames[:-1]:
        send(frame, MORE, len(frame) < COPY)
    send(frames[-1], LAST, len(frames[-1]) < COPY)
