"""A session without supervisor and kernel: a thread with one ROUTER that speaks docs/architecture.md, and misbehaves on demand.

Code is a small language of its own, one statement per line: ``print TEXT``, ``raise``, ``input PROMPT``, ``die``,
``many N SIZE`` (N streams of SIZE bytes), ``wait`` (runs until interrupted). Anything else does nothing.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import zmq

from zmqkernel.protocol import journal
from zmqkernel.protocol.connection import ConnectionInfo
from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.layout import connection_text
from zmqkernel.protocol.messages import FEATURES, FollowRequest, JournalPage, Position, SessionInfoReply
from zmqkernel.protocol.wire import BadSignature, Message, Wire

KEY = "0123456789abcdef"
PAGE = 64 * 1024
DOCUMENT = "document"


class Follower:
    def __init__(self, message: Message, wanted: FollowRequest, end: int) -> None:
        self.message, self.wanted = message, wanted
        self.credit = wanted.credit
        self.at = wanted.position.seq
        self.until = end if wanted.until_end else 0


class FakeSession:
    def __init__(self, directory: Path) -> None:
        self.info = ConnectionInfo.decode(connection_text(str(directory / "door"), KEY, "fake"))
        self.epoch = 1
        self.records: list[Record] = []
        self.silent = False
        """Nothing is answered."""
        self.bad_signature = False
        """Everything is signed with another key."""
        self.repeat_pages = False
        """Every page is sent twice, the second time overlapping."""
        self.lose_submitted = 0
        """So many ``submitted`` are lost."""
        self.trouble = ""
        """What every page and session_info_reply says of it."""
        self.has_kernel = True
        self.features = list(FEATURES)
        self.executed: list[str] = []
        self.seen: list[str] = []
        """msg_types that came in, and every credit in ``credits``."""
        self.credits: list[int] = []
        self._submits: dict[str, int] = {}
        self._ends: dict[int, int] = {}
        self._waiting: dict[str, Message] = {}
        self._followers: dict[str, Follower] = {}
        self._commands: list[Any] = []
        self._wire = Wire(KEY, "fake")
        self._liar = Wire("another key", "fake")
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._thread = threading.Thread(target=self._run, name="fake session")

    def __enter__(self) -> FakeSession:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._context.term()

    def do(self, command: Any) -> None:
        """Run ``command()`` in the session's thread and wait for it."""
        done = threading.Event()
        self._commands.append(lambda: (command(), done.set()))
        assert done.wait(10)

    def go_away(self, down: float = 0.0) -> None:
        """The supervisor dies and another opens the same door: followers are forgotten, the journal stays."""

        def again() -> None:
            self._router.close(0)
            self._followers.clear()
            time.sleep(down)
            self._bind()

        self.do(again)

    def die(self) -> None:
        """The supervisor dies; :meth:`come_back` starts another."""
        self.do(lambda: (self._router.close(0), self._followers.clear()))

    def come_back(self) -> None:
        self.do(self._bind)

    def lose_tail(self, seq: int) -> None:
        """A power failure: records after ``seq`` are gone, a new epoch begins."""

        def forget() -> None:
            del self.records[seq:]
            self._ends[self.epoch] = seq
            self.epoch += 1

        self.do(forget)
        self.go_away()

    def say(self, text: str, execution: str = "") -> None:
        """Somebody else's output."""
        self.do(lambda: self._publish(execution, "stream", {"name": "stdout", "text": text}))

    # --- the thread --------------------------------------------------------------------------------------------------

    def _bind(self) -> None:
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._router.bind(self.info.endpoint("control"))

    def _run(self) -> None:
        self._bind()
        while not self._stop.is_set():
            while self._commands:
                self._commands.pop(0)()
            if self._router.closed:
                time.sleep(0.005)
            elif self._router.poll(5):
                try:
                    self._handle(self._wire.unpack(self._router.recv_multipart()))
                except BadSignature:
                    pass  # as the door: garbage is dropped
            for key in list(self._followers):
                self._pump(key)
        self._router.close(0)

    def _send(self, request: Message, msg_type: str, content: Any, buffers: Any = ()) -> None:
        wire = self._liar if self.bad_signature else self._wire
        answer = wire.message(msg_type, content, parent=request.header_json, buffers=buffers, idents=request.idents)
        if not self.silent:
            self._router.send_multipart(wire.pack(answer))

    def _handle(self, message: Message) -> None:
        self.seen.append(message.msg_type)
        name = message.msg_type.removesuffix("_request")
        content = message.content
        if name == "execute":
            self._execute(message)
        elif name == "follow":
            self._follow(message)
        elif name == "follow_credit":
            self.credits.append(content["credit"])
            if content["follow"] in self._followers:
                self._followers[content["follow"]].credit += content["credit"]
        elif name == "unfollow":
            self._followers.pop(content["follow"], None)
            self._send(message, "unfollow_reply", {"status": "ok"})
        elif name == "interrupt":
            self._send(message, "interrupt_reply", {"status": "ok"})
            for execution in list(self._waiting):
                self._end(execution, {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []})
        elif name == "answer":
            self._answer(message)
        else:
            self._send(message, f"{name}_reply", self._facts(name, content))

    def _facts(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        if name == "kernel_info":
            language = dict.fromkeys(
                (
                    "name",
                    "version",
                    "mimetype",
                    "file_extension",
                    "pygments_lexer",
                    "codemirror_mode",
                    "nbconvert_exporter",
                ),
                "",
            )
            head = {"implementation": "fake", "implementation_version": "1", "banner": "", "language_info": language}
            return {**head, "supported_features": self.features}
        if name == "session_info":
            state = "idle" if self.has_kernel else "dead"
            place = ("fake", "/", state, 0, 0, "", self.epoch, len(self.records), False)
            facts = SessionInfoReply(*place, "fake", 1, "", [], [], None, 0.0, trouble=self.trouble)
            return msgspec.to_builtins(facts)
        if name == "resume":
            return {"status": "ok", "executions": dict.fromkeys(content.get("executions", ()), "new")}
        if name == "shutdown":
            self.has_kernel = content["restart"]
        if name == "complete":
            return {"matches": [content["code"] + "x"], "cursor_start": 0, "cursor_end": content["cursor_pos"]}
        if name == "inspect":
            return {"status": "error", "ename": "KernelDied", "evalue": "no kernel"}
        return {"status": "ok", "restart": content.get("restart", False)}

    def _execute(self, message: Message) -> None:
        if message.msg_id not in self._submits:
            self._record("submit", message, message.msg_id)
            self._submits[message.msg_id] = len(self.records)
            self.executed.append(message.content["code"])
            self._waiting[message.msg_id] = message
            self._interpret(message)
        if self.lose_submitted:
            self.lose_submitted -= 1
            return
        position = Position(self.epoch, self._submits[message.msg_id])
        self._send(message, "submitted", {"position": position, "status": "ok"})

    def _interpret(self, message: Message) -> None:
        execution = message.msg_id
        reply: dict[str, Any] = {"status": "ok", "execution_count": len(self.executed)}
        self._publish(execution, "status", {"execution_state": "busy"})
        self._publish(
            execution, "execute_input", {"code": message.content["code"], "execution_count": len(self.executed)}
        )
        for line in message.content["code"].splitlines():
            word, _, rest = line.partition(" ")
            if word == "print":
                self._publish(execution, "stream", {"name": "stdout", "text": rest + "\n"})
            elif word == "many":
                count, size = map(int, rest.split())
                for number in range(count):
                    self._publish(execution, "stream", {"name": "stdout", "text": f"{number:<{size}}"})
            elif word == "input":
                request = self._wire.message("input_request", {"prompt": rest}, parent=message.header_json)
                self._record("input", request, execution)
                return
            elif word == "wait":
                return
            elif word in ("raise", "die"):
                name = "KernelDied" if word == "die" else "ValueError"
                error = {"ename": name, "evalue": "bad", "traceback": [f"{name}: bad"]}
                self._publish(execution, "error", error)
                reply = {"status": "error", **error}
        self._end(execution, reply)

    def _answer(self, message: Message) -> None:
        asked = [r for r in self.records if r.kind == "input" and r.message().msg_id == message.content["request"]]
        if not asked or asked[0].execution not in self._waiting:
            self._send(message, "answer_reply", {"status": "error", "ename": "TooLate", "evalue": "answered already"})
            return
        self._send(message, "answer_reply", {"status": "ok"})
        self._publish(asked[0].execution, "stream", {"name": "stdout", "text": f"got {message.content['value']}\n"})
        self._end(asked[0].execution, {"status": "ok", "execution_count": len(self.executed)})

    def _end(self, execution: str, reply: dict[str, Any]) -> None:
        request = self._waiting.pop(execution)
        self._record("reply", self._wire.message("execute_reply", reply, parent=request.header_json), execution)
        self._publish(execution, "status", {"execution_state": "idle"})

    def _publish(self, execution: str, msg_type: str, content: dict[str, Any]) -> None:
        self._record("iopub", self._wire.message(msg_type, content), execution)

    def _record(self, kind: str, message: Message, execution: str) -> None:
        self.records.append(journal.record_of(len(self.records) + 1, time.time(), kind, message, execution, DOCUMENT))

    def _follow(self, message: Message) -> None:
        wanted = message.read(FollowRequest)
        end = Position(self.epoch, len(self.records))
        asked = wanted.position
        lost = asked.seq > self._ends.get(asked.epoch, asked.seq)
        rewind = Position(asked.epoch, self._ends[asked.epoch]) if lost else None
        follower = Follower(message, wanted, end.seq)
        follower.at = rewind.seq if rewind else asked.seq
        self._followers[message.msg_id] = follower
        content: dict[str, Any] = {"end": end, "status": "ok"}
        self._send(message, "follow_reply", {**content, "rewind": rewind} if rewind else content)

    def _pump(self, key: str) -> None:
        follower = self._followers[key]
        while follower.credit > 0 and (follower.at < len(self.records) or follower.until):
            frames, size = list[bytes](), 0
            start = follower.at
            while follower.at < (follower.until or len(self.records)) and size < min(PAGE, follower.credit):
                record = self.records[follower.at]
                follower.at += 1
                wanted = follower.wanted.filter
                if journal.wanted(record, wanted.document, wanted.execution, wanted.outputs_only):
                    frames.append(journal.frame(record))
                    size += len(frames[-1])
            finished = bool(follower.until) and follower.at >= follower.until
            page = JournalPage(
                Position(self.epoch, follower.at),
                live=follower.at >= len(self.records),
                finished=finished,
                trouble=self.trouble,
            )
            follower.credit -= size
            self._send(follower.message, "journal_page", page, [b"".join(frames)])
            if self.repeat_pages:
                before = [journal.frame(record) for record in self.records[max(0, start - 3) : start]]
                self._send(follower.message, "journal_page", page, [b"".join([*before, *frames])])
            if finished:
                del self._followers[key]
                return
