"""Sending and receiving the frames of a message: on the path of every message, where pyzmq's own loops are slow."""

from __future__ import annotations

from collections.abc import Sequence

import zmq
from zmq.backend import Socket as PlainSocket

from ..protocol.wire import Buffer

# Plain numbers and the C method: an IntFlag's ``|`` and the Python face cost four times as much as the sending.
LAST = int(zmq.NOBLOCK)
MORE = int(zmq.NOBLOCK) | int(zmq.SNDMORE)
LARGE = 64 * 1024
"""Larger frames are lent to ZeroMQ and not copied, in bytes."""

_send, _recv, _get = PlainSocket.send, PlainSocket.recv, PlainSocket.get
_HAS_MORE = int(zmq.RCVMORE)


def send_frames(socket: zmq.Socket[bytes], frames: Sequence[Buffer]) -> None:
    """Send a message without waiting; raises zmq.Again when the socket's mark is reached."""
    last = len(frames) - 1
    for number, frame in enumerate(frames):
        _send(socket, frame, LAST if number == last else MORE, len(frame) < LARGE)


def receive_frames(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """The next message, None when none is there."""
    try:
        frames = [_recv(socket, LAST)]
    except zmq.Again:
        return None
    while _get(socket, _HAS_MORE):
        frames.append(_recv(socket, LAST))
    return frames
