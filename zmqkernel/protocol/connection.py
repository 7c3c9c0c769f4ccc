"""Connection files, in exactly Jupyter's format.

https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files

This module only translates text; writing the file (mode 0600) is the business of the process that owns it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .errors import RemoteProtocolError
from .layout import connection_text

Channel = Literal["shell", "iopub", "stdin", "control", "hb"]
CHANNELS: tuple[Channel, ...] = ("shell", "iopub", "stdin", "control", "hb")


class ConnectionInfo(msgspec.Struct, kw_only=True):
    """The content of a connection file.

    With ``transport="ipc"`` the field ``ip`` is a path prefix and channel N listens on ``ip-N``, as Jupyter has it.
    ``kernel_name`` is always written: molten-nvim refuses a file without it.
    """

    shell_port: int
    iopub_port: int
    stdin_port: int
    control_port: int
    hb_port: int
    ip: str = "127.0.0.1"
    key: str = ""
    transport: Literal["tcp", "ipc"] = "tcp"
    signature_scheme: str = "hmac-sha256"
    kernel_name: str = ""

    @classmethod
    def ipc(cls, prefix: str, key: str, kernel_name: str) -> ConnectionInfo:
        """Endpoints ``prefix-1`` ... ``prefix-5`` in a directory that the caller has made private."""
        return cls.decode(connection_text(prefix, key, kernel_name))

    @classmethod
    def decode(cls, text: bytes, source: str = "connection file") -> ConnectionInfo:
        """Parse the JSON text of a connection file; ``source`` names it in the error."""
        try:
            info = msgspec.json.decode(text, type=cls)
        except ValueError as error:  # msgspec's errors and UnicodeDecodeError
            raise RemoteProtocolError(
                f"{source} is not a Jupyter connection file: {error}",
                hint="A connection file is JSON with five ports, ip, key and transport.",
            ) from None
        if info.signature_scheme != "hmac-sha256":
            raise RemoteProtocolError(
                f"{source} asks for signature scheme {info.signature_scheme!r}",
                hint="zmqkernel signs with hmac-sha256 only.",
            )
        return info

    def encode(self) -> bytes:
        """The JSON text to write, ending in a newline."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def port(self, channel: Channel) -> int:
        """The port number (tcp) or suffix (ipc) of a channel."""
        return int(getattr(self, f"{channel}_port"))

    def endpoint(self, channel: Channel) -> str:
        """The ZeroMQ endpoint of a channel, for bind and connect alike."""
        separator = "-" if self.transport == "ipc" else ":"
        return f"{self.transport}://{self.ip}{separator}{self.port(channel)}"
