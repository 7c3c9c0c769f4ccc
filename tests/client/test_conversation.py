"""The client's state machine with a clock in its hand: deadlines, resending, silence, skipping ahead."""

from __future__ import annotations

from typing import Any

import pytest

from zmqkernel.client.conversation import GRACE, RESEND_SECONDS, SILENCE, SKIP, Conversation
from zmqkernel.protocol import journal
from zmqkernel.protocol.errors import KernelDied, ReplyTimeout, Unreachable
from zmqkernel.protocol.messages import (
    CompleteRequest,
    ExecuteRequest,
    Filter,
    InterruptRequest,
    JournalPage,
    Position,
)
from zmqkernel.protocol.wire import Message, Wire


class Peer:
    """The session's side of one conversation, by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wire = Wire("key", "session")
        self.talk = Conversation(Wire("key", "client"), "tester", lambda: self.now)

    def sent(self) -> list[Message]:
        """What the client has sent since the last time."""
        messages = [self.wire.unpack(frames) for frames in self.talk.outgoing]
        self.talk.outgoing.clear()
        return messages

    def types(self) -> list[str]:
        return [message.msg_type for message in self.sent()]

    def answer(self, request: Message, msg_type: str, content: Any, buffers: Any = ()) -> None:
        answer = self.wire.message(msg_type, content, parent=request.header_json, buffers=buffers)
        self.talk.receive(self.wire.pack(answer))

    def say(self, follow: Message, seq: int, kind: str, execution: str, msg_type: str, content: Any) -> None:
        """A page with one record."""
        message = self.wire.message(msg_type, content)
        record = journal.record_of(seq, 0.0, kind, message, execution, "")
        page = JournalPage(Position(1, seq), live=True)
        self.answer(follow, "journal_page", page, [journal.frame(record)])

    def submit(self, code: str, seq: int) -> tuple[Any, list[Message]]:
        """Submit and acknowledge; returns the run and what the client sends then."""
        run = self.talk.submit(ExecuteRequest(code), None, 10.0)
        (request,) = self.sent()
        self.answer(request, "submitted", {"position": Position(1, seq), "status": "ok"})
        return run, self.sent()


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_a_request_fails_at_its_deadline_and_not_before(peer: Peer) -> None:
    request = peer.talk.ask(CompleteRequest("a", 1), 5.0)
    assert peer.talk.expire() == 5.0
    peer.now = 4.9
    peer.talk.expire()
    assert not request.done
    peer.now = 5.0
    peer.talk.expire()
    assert isinstance(request.error, ReplyTimeout)
    assert peer.talk.expire() == float("inf")


def test_the_first_submit_begins_the_follow_just_before_itself(peer: Peer) -> None:
    _, (follow,) = peer.submit("a", 7)
    assert follow.content["position"] == {"epoch": 1, "seq": 6}
    _, nothing = peer.submit("b", 8)
    assert nothing == []


def test_a_submit_is_sent_again_with_its_msg_id_until_it_is_acknowledged(peer: Peer) -> None:
    run = peer.talk.submit(ExecuteRequest("a"), None, 100.0)
    (first,) = peer.sent()
    peer.now = RESEND_SECONDS
    peer.talk.expire()
    (second,) = peer.sent()
    assert first.msg_id == second.msg_id == run.msg_id
    peer.answer(second, "submitted", {"position": Position(1, 1), "status": "ok"})
    peer.answer(second, "submitted", {"position": Position(1, 1), "status": "ok"})
    peer.sent()
    peer.now = 3 * RESEND_SECONDS
    peer.talk.expire()
    assert "execute_request" not in peer.types()


def test_the_end_is_reply_and_idle_in_any_order(peer: Peer) -> None:
    for first, second in (("reply", "iopub"), ("iopub", "reply")):
        run, sent = peer.submit("a", 1)
        follow = sent[0] if sent else follow  # noqa: F821  of the round before
        said = {
            "reply": ("execute_reply", {"status": "ok", "execution_count": 1}),
            "iopub": ("status", {"execution_state": "idle"}),
        }
        at = peer.talk._main.position.seq  # pyright: ignore
        peer.say(follow, at + 1, first, run.msg_id, *said[first])
        assert not run.done
        peer.say(follow, at + 2, second, run.msg_id, *said[second])
        assert run.done


def test_silence_is_followed_again(peer: Peer) -> None:
    _, (follow,) = peer.submit("a", 1)
    peer.say(follow, 1, "submit", "", "execute_request", {"code": "a"})
    peer.now = SILENCE - 0.1
    peer.talk.expire()
    assert peer.types() == []
    peer.now = SILENCE
    peer.talk.expire()
    assert peer.types() == ["unfollow_request", "follow_request"]


def test_what_was_submitted_must_be_in_a_page_soon(peer: Peer) -> None:
    """A session that dropped a client which had not read for long would send no page, and not say so."""
    peer.submit("a", 5)
    peer.now = RESEND_SECONDS
    peer.talk.expire()
    assert peer.types() == ["unfollow_request", "follow_request"]


def test_an_idle_client_moves_ahead(peer: Peer) -> None:
    run, (follow,) = peer.submit("a", 1)
    peer.say(follow, 1, "reply", run.msg_id, "execute_reply", {"status": "aborted"})
    _, sent = peer.submit("b", SKIP + 2)
    assert [message.msg_type for message in sent] == ["unfollow_request", "follow_request"]
    assert sent[1].content["position"] == {"epoch": 1, "seq": SKIP + 1}
    peer.say(follow, 2, "iopub", "", "stream", {"name": "stdout", "text": "late"})
    assert peer.talk.refused == 0


def test_after_a_reconnect_everything_but_deeds_is_said_again(peer: Peer) -> None:
    reader = peer.talk.follow(Position(1, 3), Filter())
    question = peer.talk.ask(CompleteRequest("a", 1), 10.0)
    deed = peer.talk.ask(InterruptRequest(), 10.0)
    run = peer.talk.submit(ExecuteRequest("a"), None, 10.0)
    before = {message.msg_type: message.msg_id for message in peer.sent()}
    peer.talk.reconnected()
    after = {message.msg_type: message.msg_id for message in peer.sent()}
    assert set(after) == {"follow_request", "complete_request", "execute_request"}
    assert after["complete_request"] == before["complete_request"] == question.message.msg_id
    assert after["execute_request"] == run.msg_id
    assert after["follow_request"] != before["follow_request"]
    assert isinstance(deed.error, Unreachable)
    assert not reader.ready


def test_what_a_power_failure_took_is_answered(peer: Peer) -> None:
    run, (follow,) = peer.submit("a", 9)
    peer.say(follow, 9, "submit", run.msg_id, "execute_request", {"code": "a"})
    peer.answer(follow, "follow_reply", {"end": Position(2, 5), "rewind": Position(1, 4), "status": "ok"})
    assert isinstance(run.error, KernelDied)
    assert run.done


def test_garbage_is_counted_and_ends_nothing(peer: Peer) -> None:
    request = peer.talk.ask(CompleteRequest("a", 1), 5.0)
    (sent,) = peer.sent()
    liar = Wire("other", "x")
    for frames in ([b"x"], [], liar.pack(liar.message("complete_reply", {}, parent=sent.header_json))):
        peer.talk.receive(frames)
    peer.answer(sent, "journal_page", {"nonsense": 1})
    peer.talk.receive(peer.wire.pack(peer.wire.message("complete_reply", {})))
    assert peer.talk.refused == 4
    assert not request.done
    peer.now = 5.0
    peer.talk.expire()
    assert "4 messages of the peer were refused" in str(getattr(request.error, "hint", ""))


def test_a_damaged_page_ends_its_reader(peer: Peer) -> None:
    reader = peer.talk.follow(Position(), Filter())
    (follow,) = peer.sent()
    peer.answer(follow, "journal_page", JournalPage(Position(1, 1), live=True), [b"damage"])
    assert reader.ready
    assert "damaged" in str(reader.error)


def test_no_deadline_passes_while_the_supervisor_is_started_again(peer: Peer) -> None:
    request = peer.talk.ask(CompleteRequest("a", 1), 5.0)
    peer.now = 4.0
    peer.talk.hold(True)
    peer.now = 30.0
    assert peer.talk.expire() == float("inf")
    peer.talk.hold(True)  # said at every turn
    peer.talk.hold(False)
    peer.now = 30.0 + GRACE - 0.1
    peer.talk.expire()
    assert not request.done
    peer.now = 30.0 + GRACE
    peer.talk.expire()
    assert isinstance(request.error, ReplyTimeout)


def test_after_a_shutdown_nothing_waits_and_nothing_is_sent(peer: Peer) -> None:
    run, _ = peer.submit("a", 1)
    question = peer.talk.ask(CompleteRequest("a", 1), 5.0)
    peer.sent()
    reader = peer.talk.follow(Position(), Filter())
    (read,) = peer.sent()
    peer.say(read, 1, "submit", run.msg_id, "execute_request", {"code": "a"})
    error = Unreachable("the session was shut down")
    assert peer.talk.end(error)
    assert not peer.talk.end(error)
    assert question.error is run.error is error
    assert reader.error is None
    record = peer.talk.take_record(reader)
    assert record
    assert record.seq == 1
    assert reader.finished
    peer.sent()
    assert peer.talk.ask(CompleteRequest("a", 1), 5.0).error is error
    assert peer.talk.submit(ExecuteRequest("a"), None, 5.0).done
    assert peer.talk.follow(Position(), Filter()).ready
    assert peer.sent() == []


def gap(peer: Peer, follow: Message, first: int, last: int, live: bool) -> None:
    record = journal.event(last, 0.0, "gap", {"reason": "retention", "from": first, "to": last})
    peer.answer(follow, "journal_page", JournalPage(Position(1, last), live=live), [journal.frame(record)])


def test_what_retention_took_is_told_and_passed_over(peer: Peer) -> None:
    reader = peer.talk.follow(Position(1, 3), Filter())
    (follow,) = peer.sent()
    gap(peer, follow, 4, 900, live=False)
    peer.say(follow, 901, "iopub", "", "stream", {"name": "stdout", "text": "kept"})
    records = [peer.talk.take_record(reader) for _ in range(3)]
    assert [record and (record.seq, record.msg_type) for record in records] == [(900, "gap"), (901, "stream"), None]
    assert reader.position == Position(1, 901)


def test_an_execution_whose_end_retention_took_is_given_up(peer: Peer) -> None:
    """And only when the end of the journal is there without it: its reply may have been kept."""
    gone, (follow,) = peer.submit("a", 1)
    later, _ = peer.submit("b", 950)
    gap(peer, follow, 1, 900, live=False)
    assert not gone.done
    peer.say(follow, 950, "submit", later.msg_id, "execute_request", {"code": "b"})
    assert "no longer has the end" in str(gone.error)
    assert not later.done


def test_trouble_is_in_the_hint_of_a_timeout(peer: Peer) -> None:
    reader = peer.talk.follow(Position(), Filter())
    (follow,) = peer.sent()
    peer.answer(follow, "journal_page", JournalPage(Position(1, 0), live=True, trouble="the disk is full"), [b""])
    assert peer.talk.trouble == "the disk is full"
    run = peer.talk.submit(ExecuteRequest("a"), None, 5.0)
    peer.now = 5.0
    peer.talk.expire()
    assert isinstance(run.error, ReplyTimeout)
    assert run.error.hint == "It may still be executed. The session has trouble: the disk is full"
    assert not reader.ready
