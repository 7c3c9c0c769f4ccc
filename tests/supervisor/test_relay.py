"""What the relay waits for, and what it keeps."""

from __future__ import annotations

import json
from typing import Any

from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import AdoptReply, PendingInput
from zmqkernel.protocol.wire import Message, Wire
from zmqkernel.supervisor.cursor import Epochs
from zmqkernel.supervisor.death import Death
from zmqkernel.supervisor.endings import kernel_died, reconcile
from zmqkernel.supervisor.recall import Recall
from zmqkernel.supervisor.relay import UNANSWERED, Pending, Relay

WIRE = Wire(b"", "here")
CLIENT = Wire(b"", "client")


class Doors:
    """Takes what is sent."""

    has_subscribers = False
    wire = WIRE

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def publish(self, message: Message, detail: str = "", after: int = 0) -> None:
        raise AssertionError("nobody has subscribed")

    def send(self, channel: str, message: Message, after: int = 0) -> None:
        self.sent.append(message)


class Journal:
    """Records in a list."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    @property
    def next(self) -> int:
        return len(self.records) + 1

    def stage(self, record: Record) -> Record:
        self.records.append(record)
        return record

    def read(self, after: int, most: int, filter: Any) -> tuple[int, list[bytes]]:
        from zmqkernel.protocol.journal import frame

        return after + 1, [frame(self.records[after])]


def new(recall: Recall | None = None, journal: Journal | None = None) -> tuple[Relay, Journal, Doors]:
    journal, doors = journal or Journal(), Doors()
    return Relay(doors, journal, Epochs(1, {}), recall or Recall()), journal, doors  # pyright: ignore[reportArgumentType]


def submit(relay: Relay, code: str, ours: bool = True) -> str:
    """As requests.py does it."""
    metadata = {"zmqkernel": {"sender": "me"}} if ours else {}
    message = CLIENT.message("execute_request", {"code": code}, metadata=metadata, idents=[b"client"])
    known = relay.remember(message, relay.journal.next)
    relay.stage("submit", message, message.msg_id)
    pending = Pending("control", [b"client"], known.header, "execute_request", ours, relay.doors)
    relay.pend(message.msg_id, pending)
    return message.msg_id


def says(relay: Relay, msg_type: str, content: Any, execution: str, channel: str = "iopub") -> None:
    relay.message(channel, WIRE.message(msg_type, content, parent=relay.executions[execution].header))


def recalled(journal: Journal) -> Recall:
    recall = Recall()
    for record in journal.records:
        recall.see(record)
    return recall


def types(journal: Journal) -> list[str]:
    return [f"{record.kind} {record.msg_type}" for record in journal.records]


def test_requests_that_a_kernel_never_answers_do_not_pile_up_nor_keep_the_session_busy() -> None:
    relay, _, doors = new()

    def pending(msg_type: str) -> Pending:
        return Pending("control", [b"c"], b"{}", msg_type, False, doors)  # pyright: ignore[reportArgumentType]

    relay.pend("cell", pending("execute_request"))
    assert relay.is_busy
    for number in range(2 * UNANSWERED):
        relay.pend(f"usage {number}", pending("usage_request"))
    assert len(relay.pending) == UNANSWERED
    assert "cell" in relay.pending
    assert f"usage {2 * UNANSWERED - 1}" in relay.pending
    del relay.pending["cell"]
    assert not relay.is_busy


def test_what_is_pending_and_what_was_said_is_recalled() -> None:
    relay, journal, _ = new()
    relay.link = lambda: (len(journal.records) * 10, 1, 2)
    done, running, waiting = (submit(relay, code) for code in ("1", "input()", "3"))
    says(relay, "status", {"execution_state": "busy"}, done)
    says(relay, "execute_reply", {"status": "ok"}, done, "shell")
    says(relay, "status", {"execution_state": "idle"}, done)
    says(relay, "status", {"execution_state": "busy"}, running)
    says(relay, "input_request", {"prompt": "? ", "password": False}, running, "stdin")
    recall = recalled(journal)
    assert list(recall.pending) == [running, waiting]
    assert recall.running == running
    assert recall.input is not None
    assert recall.input.execution == running
    assert recall.link == ((len(journal.records) - 1) * 10, 1, 2)
    heir, _, _ = new(recall, journal)
    assert heir.unanswered() == [running, waiting]
    assert heir.pending[waiting].ours


def test_a_state_record_stands_for_everything_before_it() -> None:
    relay, journal, _ = new()
    relay.link = lambda: (7, 8, 9)
    running, waiting = submit(relay, "1"), submit(relay, "2", ours=False)
    says(relay, "status", {"execution_state": "busy"}, running)
    relay.held["old"] = 1
    relay.note_state()
    recall = Recall()
    recall.see(journal.records[-1])
    recall.fill(lambda seq: journal.records[seq - 1])
    assert list(recall.pending) == [running, waiting]
    assert recall.held == {"old": 1}
    assert (recall.running, recall.link) == (running, (7, 8, 9))
    heir, _, _ = new(recall, journal)
    assert [one.ours for one in heir.pending.values()] == [True, False]
    assert heir.pending[waiting].channel == "shell"
    assert heir.pending[waiting].idents == [b"client"]
    assert heir.needed() == 1


def test_a_pending_cell_whose_record_is_damaged_does_not_keep_the_session_from_starting() -> None:
    relay, journal, _ = new()
    lost = submit(relay, "1")
    relay.executions.clear()
    relay.executions[lost] = relay.remember(CLIENT.message("execute_request", {"code": "1"}, msg_id=lost), 1)
    relay.note_state()
    content = journal.records[-1].data
    content["known"] = {}
    recall = Recall()
    recall._state(content)  # pyright: ignore[reportPrivateUsage]  as ``see`` does
    recall.fill(lambda _: None)
    heir, told, _ = new(recall, journal)
    kernel_died(heir, Death(None, "", ""), expected=False, exact=True)
    assert [r.execution for r in told.records if r.kind == "reply"] == [lost]


def test_cells_that_waited_when_the_kernel_died_are_kept() -> None:
    relay, journal, _ = new()
    running, waiting, last = (submit(relay, code) for code in ("1", "2", "3"))
    says(relay, "status", {"execution_state": "busy"}, running)
    kernel_died(relay, Death(-11, "", ""), expected=False, exact=True)
    assert list(relay.held) == [waiting, last]
    assert not relay.pending
    replies = {r.execution: r.data for r in journal.records if r.kind == "reply"}
    assert "segmentation fault" in replies[running]["evalue"]
    assert "zmqkernel resume" in replies[last]["evalue"]
    assert recalled(journal).held == {waiting: 2, last: 3}


def test_a_cell_that_may_have_begun_is_not_kept() -> None:
    relay, _, _ = new()
    first, second = submit(relay, "1"), submit(relay, "2")
    kernel_died(relay, Death(-9, "", ""), expected=False, exact=False)
    assert list(relay.held) == [second]
    assert first not in relay.held


def test_nothing_is_kept_when_the_kernel_was_restarted_on_purpose() -> None:
    relay, journal, _ = new()
    submit(relay, "1")
    submit(relay, "2")
    kernel_died(relay, Death(0, "", ""), expected=True, exact=True)
    assert not relay.held
    assert "event held" not in types(journal)


def test_output_beyond_the_cap_is_not_kept_and_that_is_said() -> None:
    relay, journal, _ = new()
    relay.cap = 1000
    loud, other = submit(relay, "1"), submit(relay, "2")
    says(relay, "status", {"execution_state": "busy"}, loud)
    for _ in range(20):
        relay.text("stdout", loud, "x" * 100)
    says(relay, "display_data", {"data": {"text/plain": "y" * 500}, "metadata": {}}, loud)
    relay.text("stdout", other, "still here")
    says(relay, "execute_reply", {"status": "ok"}, loud, "shell")
    says(relay, "status", {"execution_state": "idle"}, loud)
    texts = [r.data["text"] for r in journal.records if r.msg_type == "stream" and r.execution == loud]
    assert "".join(texts[:10]) == "x" * 1000
    assert len(texts) == 11
    assert "not kept" in texts[10]
    gaps = [r for r in journal.records if r.msg_type == "gap"]
    assert [gap.execution for gap in gaps] == [loud]
    assert gaps[0].data["bytes"] >= 1000
    assert [r.kind for r in journal.records if r.execution == loud][-3:] == ["reply", "event", "iopub"]
    assert [r.data["text"] for r in journal.records if r.execution == other and r.kind == "iopub"] == ["still here"]


def test_what_did_not_reach_the_kernel_is_sent_again_and_nothing_else() -> None:
    relay, _, _ = new()
    running, queued, lost, new_one = (submit(relay, code) for code in ("1", "2", "3", "4"))
    sent: list[tuple[str, Message]] = []
    reconcile(relay, AdoptReply(running, [queued]), {new_one}, lambda channel, message: sent.append((channel, message)))
    assert [(channel, message.msg_id) for channel, message in sent] == [("shell", lost)]
    assert (relay.state, relay.running) == ("busy", running)


def test_an_answer_that_did_not_reach_the_kernel_is_sent_again_but_no_password() -> None:
    relay, journal, _ = new()
    running = submit(relay, "input()")
    sent: list[Message] = []
    relay.answered = "question", "blue"
    reconcile(relay, AdoptReply(running, [], "question"), set(), lambda _, message: sent.append(message))
    assert sent[0].content == {"value": "blue"}
    assert json.loads(sent[0].parent_json)["msg_id"] == "question"
    relay.answered = "question", ""
    reconcile(relay, AdoptReply(running, [], "question"), set(), lambda _, message: sent.append(message))
    assert len(sent) == 1
    assert relay.input == PendingInput("question", running, "Password: ", True)
    assert types(journal)[-1] == "input input_request"
