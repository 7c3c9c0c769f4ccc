"""``input()`` and ``getpass.getpass()``: a question to the client whose cell asks, on the stdin channel.

The question goes to the identity that the execute_request came from. One question is open at a time; an answer that comes
without one (its cell was interrupted), or names another, is dropped. Waiting can be interrupted.
"""

from __future__ import annotations

import builtins
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ..protocol.messages import InputReply, InputRequest
from ..protocol.wire import Message
from . import log
from .ownership import owner

if TYPE_CHECKING:
    from .dispatch import Kernel

END_OF_FILE = "\x04"
"""What a console sends for Ctrl-D."""


class Stdin:
    """Asks the front end."""

    def __init__(self) -> None:
        self._kernel: Kernel
        self._replies: SimpleQueue[Message] = SimpleQueue()
        self._asking = threading.Lock()
        self.question = ""
        """The msg_id of the input_request that is open, or an empty string."""

    def install(self, kernel: Kernel) -> None:
        """Replace ``input`` and ``getpass.getpass``."""
        import getpass

        self._kernel = kernel
        builtins.input = self.input
        getpass.getpass = self.getpass

    def put(self, message: Message) -> None:
        """Take what came on the stdin channel; the io thread calls this."""
        if message.msg_type == "input_reply" and self.question and answers(message, self.question):
            self._replies.put(message)
        else:
            log.say(f"dropped on stdin: {message.msg_type}, nobody asks")

    def input(self, prompt: Any = "", /) -> str:
        """Ask the front end for a line of text.

        The user's front end shows ``prompt``. Raises StdinNotImplementedError where it cannot ask (allow_stdin is false),
        EOFError when it answers with an end of file.
        """
        return self._ask(str(prompt), password=False)

    def getpass(self, prompt: str = "Password: ", stream: object = None) -> str:
        """Ask the front end for a password."""
        del stream
        return self._ask(prompt, password=True)

    def _ask(self, prompt: str, *, password: bool) -> str:
        asker, kernel = owner(), self._kernel
        if asker is None or not asker.allow_stdin:
            from IPython.core.error import StdinNotImplementedError

            # ipykernel's words: programs look for them
            raise StdinNotImplementedError("raw_input was called, but this frontend does not support input requests.")
        with self._asking:
            self._drop_replies()
            kernel.outlet.settle(asker)
            question = kernel.wire.message(
                "input_request", InputRequest(prompt, password), parent=asker.header_json, idents=asker.idents
            )
            self.question = question.msg_id
            try:
                kernel.outlet.send("stdin", question)
                while not answers(reply := self._replies.get(), question.msg_id):
                    pass  # it was let in for the question before this one
                value = reply.read(InputReply).value
            finally:
                self.question = ""
        if value == END_OF_FILE:
            raise EOFError
        return value

    def _drop_replies(self) -> None:
        try:
            while True:
                self._replies.get_nowait()
        except Empty:
            pass  # none was left over


def answers(reply: Message, question: str) -> bool:
    """Is this the answer to the input_request with this msg_id? A late or repeated one names another; many clients name none."""
    parent = reply.parent
    return parent is None or parent.msg_id in ("", question)
