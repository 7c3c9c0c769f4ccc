"""The error taxonomy of the whole house.

User code that fails is data (an ``execute_reply`` with status ``error``) and never one of these.
Foreign errors (``zmq.ZMQError``, ``OSError``) are translated once, in the file that imports the library.
"""

from __future__ import annotations


class ZmqKernelError(Exception):
    """Base of every error that zmqkernel raises on purpose.

    ``code`` is a stable kebab-case string for programs, ``hint`` one actionable line for people.
    """

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ProtocolError(ZmqKernelError):
    """A message breaks the rules of the protocol."""

    code = "protocol"


class LocalProtocolError(ProtocolError):
    """We built something illegal: a bug of ours, so it is raised."""

    code = "local-protocol"


class RemoteProtocolError(ProtocolError):
    """The peer sent something illegal: logged and refused, never fatal."""

    code = "remote-protocol"


class BadSignature(RemoteProtocolError):
    """The HMAC of a message does not match the connection's key."""

    code = "bad-signature"


class Unreachable(ZmqKernelError):
    """Nobody answers at the endpoints of a connection file."""

    code = "unreachable"


class NoSuchSession(Unreachable):
    """No session has that name here."""

    code = "no-such-session"


class KernelDied(ZmqKernelError):
    """The kernel process ended while a request was pending."""

    code = "kernel-died"


class LockHeld(ZmqKernelError):
    """Another supervisor owns this session."""

    code = "lock-held"


class JournalDamaged(ZmqKernelError):
    """A journal holds bytes that are not what was written."""

    code = "journal-damaged"


class ReplyTimeout(ZmqKernelError):
    """No reply within the time that the caller allowed."""

    code = "reply-timeout"


class NotAllowed(ZmqKernelError):
    """A file or directory is not private to this user, or belongs to somebody else."""

    code = "not-allowed"
