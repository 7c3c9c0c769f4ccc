"""What the relay waits for."""

from __future__ import annotations

from zmqkernel.supervisor.cursor import Epochs
from zmqkernel.supervisor.relay import UNANSWERED, Pending, Relay


def pending(msg_type: str) -> Pending:
    return Pending("control", [b"c"], b"{}", msg_type, ours=False)


def test_requests_that_a_kernel_never_answers_do_not_pile_up_nor_keep_the_session_busy() -> None:
    relay = Relay(None, None, Epochs(1, {}))  # pyright: ignore[reportArgumentType]
    relay.pend("cell", pending("execute_request"))
    assert relay.is_busy
    for number in range(2 * UNANSWERED):
        relay.pend(f"usage {number}", pending("usage_request"))
    assert len(relay.pending) == UNANSWERED
    assert "cell" in relay.pending
    assert f"usage {2 * UNANSWERED - 1}" in relay.pending
    del relay.pending["cell"]
    assert not relay.is_busy
