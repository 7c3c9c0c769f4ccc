"""Every request that is not a cell, and what replies look like."""

from __future__ import annotations

from typing import Any

import pytest

from zmqkernel.protocol.messages import CONTENT, VERSION

from .conftest import Bench, Row


def types(rows: list[Row]) -> list[str]:
    return [message.msg_type for _, message in rows]


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_kernel_info(bench: Bench, channel: str) -> None:
    info = bench.reply("kernel_info_request", channel=channel)
    assert (info["status"], info["protocol_version"], info["implementation"]) == ("ok", VERSION, "zmqkernel")
    assert info["language_info"]["name"] == "python"


@pytest.mark.parametrize("channel", ["shell", "control"])
@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("is_complete_request", {"code": "x ="}),
        ("history_request", {"hist_access_type": "tail", "n": 3, "output": False, "raw": True}),
        ("comm_info_request", {}),
        ("connect_request", {}),
        ("interrupt_request", {}),
        ("complete_request", {"code": "pri", "cursor_pos": 3}),
        ("inspect_request", {"code": "print", "cursor_pos": 3}),
    ],
)
def test_a_request_is_answered_where_it_came(
    bench: Bench, msg_type: str, content: dict[str, Any], channel: str
) -> None:
    rows = bench.serve(bench.request(msg_type, content), channel=channel)
    assert types(rows) == ["status", msg_type.replace("request", "reply"), "status"]
    where, reply = rows[1]
    assert where == channel
    assert reply.idents == [b"client"]
    assert reply.content["status"] in ("ok", "invalid", "incomplete")


def test_parents_are_kept_verbatim(bench: Bench) -> None:
    request = bench.request("execute_request", {"code": "print(1); 2; display(3); 4"})
    request.header_json = request.header_json[:-1] + b', "theirs" : [1 , 2]}'
    assert {message.parent_json for _, message in bench.serve(request)} == {request.header_json}


def test_bad_content_is_an_error_reply(bench: Bench) -> None:
    for content in (b"[1", b"[]", b'{"code": 1}', b"\xff"):
        rows = bench.serve(bench.client.message("execute_request", content, idents=[b"client"]))
        assert types(rows) == ["status", "execute_reply", "status"]
        assert rows[1][1].content["status"] == "error"
    assert bench.reply("complete_request", {"code": 5})["status"] == "error"


def test_a_bug_of_ours_is_an_error_reply(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.kernel.shell, "check_complete", lambda code: 1 / 0)
    assert bench.reply("is_complete_request", {"code": "x"})["ename"] == "ZeroDivisionError"


def test_unknown_types_are_dropped(bench: Bench) -> None:
    assert bench.serve(bench.request("no_such_request")) == []


def test_the_same_execute_request_is_executed_once(bench: Bench) -> None:
    request = bench.request("execute_request", {"code": "pass"})
    assert types(bench.serve(request, request)).count("execute_reply") == 1
    assert bench.serve(request) == []


def test_execute_reply_is_jupyters(bench: Bench) -> None:
    first = bench.reply("execute_request", {"code": "a = 5", "user_expressions": {"x": "a + 1", "y": "nope"}})
    assert (first["status"], first["payload"]) == ("ok", [])
    assert first["user_expressions"]["x"]["data"] == {"text/plain": "6"}
    assert first["user_expressions"]["y"]["ename"] == "NameError"
    error = bench.reply("execute_request", {"code": "1/0", "user_expressions": {"x": "1"}})
    assert set(error) >= {"status", "ename", "evalue", "traceback", "execution_count", "payload", "user_expressions"}
    assert error["execution_count"] == first["execution_count"] + 1
    assert error["user_expressions"] == {}


def test_silent_and_store_history(bench: Bench) -> None:
    count = bench.reply("execute_request", {"code": "1"})["execution_count"]
    rows = bench.execute("2", silent=True)
    assert types(rows) == ["status", "execute_reply", "status"]
    assert rows[1][1].content["execution_count"] == count
    assert types(bench.execute("3", store_history=False)) == [
        "status", "execute_input", "execute_result", "execute_reply", "status",
    ]  # fmt: skip
    assert bench.reply("execute_request", {"code": "4"})["execution_count"] == count + 1
    history = bench.reply("history_request", {"hist_access_type": "tail", "n": 2, "raw": True, "output": False})
    assert [entry[2] for entry in history["history"]] == ["1", "4"]


def test_payloads(bench: Bench) -> None:
    (page,) = bench.reply("execute_request", {"code": "print?"})["payload"]
    assert page["source"] == "page"
    assert "text/plain" in page["data"]
    (text,) = bench.reply("execute_request", {"code": "get_ipython().set_next_input('x', replace=True)"})["payload"]
    assert text == {"source": "set_next_input", "text": "x", "replace": True}
    assert bench.reply("execute_request", {"code": "pass"})["payload"] == []


def test_an_error_aborts_what_waits_of_the_same_session(bench: Bench) -> None:
    def request(code: str, **keys: Any) -> Any:
        return bench.request("execute_request", {"code": code, **keys})

    def statuses(*codes: Any) -> list[str]:
        return [m.content["status"] for _, m in bench.serve(*codes) if m.msg_type == "execute_reply"]

    assert statuses(request("1/0"), request("1"), request("2")) == ["error", "aborted", "aborted"]
    assert statuses(request("1/0", stop_on_error=False), request("1")) == ["error", "ok"]
    assert statuses(request("1/0", silent=True), request("1")) == ["error", "ok"]
    other = bench.client.message("execute_request", {"code": "3"})
    other.header.session = "other"
    assert statuses(request("1/0"), request("1"), other, request("2")) == ["error", "aborted", "ok", "aborted"]


def test_shutdown_is_told_to_everybody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(bench.kernel, "shutdown", lambda: asked.append(1))
    rows = bench.serve(bench.request("shutdown_request", {"restart": True}), channel="control")
    replies = [(where, m.content) for where, m in rows if m.msg_type == "shutdown_reply"]
    assert replies == [("iopub", {"restart": True, "status": "ok"}), ("control", {"restart": True, "status": "ok"})]
    assert asked == [1]


def test_comms(bench: Bench) -> None:
    rows = bench.serve(bench.request("comm_open", {"comm_id": "a", "target_name": "nobody", "data": {}}))
    assert types(rows) == ["status", "comm_close", "status"]
    bench.execute(
        "import comm\nheard = []\ndef opened(c, m):\n    c.on_msg(lambda m: heard.append((m['content']['data'], m['buffers'])))\n"
        "comm.get_comm_manager().register_target('t', opened)\nmine = comm.create_comm('other', {'a': 1}, buffers=[b'x'])"
    )
    opened = next(m for _, m in bench.outlet.rows if m.msg_type == "comm_open")
    assert (opened.content["target_name"], opened.content["data"]) == ("other", {"a": 1})
    assert [bytes(b) for b in opened.buffers] == [b"x"]
    bench.serve(bench.request("comm_open", {"comm_id": "b", "target_name": "t", "data": {}}))
    bench.serve(bench.request("comm_msg", {"comm_id": "b", "data": {"n": 1}}, buffers=[b"yy"]))
    heard = bench.kernel.shell.user_ns["heard"]
    assert [(data, [bytes(b) for b in buffers]) for data, buffers in heard] == [({"n": 1}, [b"yy"])]
    assert bench.reply("comm_info_request", {"target_name": "t"})["comms"] == {"b": {"target_name": "t"}}
    bench.serve(bench.request("comm_close", {"comm_id": "b", "data": {}}))
    assert bench.reply("comm_info_request", {"target_name": "t"})["comms"] == {}
    bench.execute("mine.close()")


def test_input_goes_to_the_asker(bench: Bench) -> None:
    def answer(channel: str, message: Any) -> None:
        if channel == "stdin":
            bench.kernel.accept("stdin", bench.client.message("input_reply", {"value": "typed"}))

    bench.outlet.on_send = answer
    rows = bench.execute("input('? ')", allow_stdin=True)
    (question,) = [m for where, m in rows if where == "stdin"]
    assert (question.idents, question.content) == ([b"client"], {"prompt": "? ", "password": False})
    assert [m.content["data"]["text/plain"] for _, m in rows if m.msg_type == "execute_result"] == ["'typed'"]


def test_numbers_and_strings_of_other_libraries(bench: Bench) -> None:
    rows = bench.execute(
        "import numpy\nclass Html(str): pass\n"
        "display({'text/html': Html('<b>')}, raw=True, metadata={'text/html': {'n': numpy.int64(3), 'x': numpy.float64(.5)}})"
    )
    shown = next(m.content for _, m in rows if m.msg_type == "display_data")
    assert (shown["data"], shown["metadata"]) == ({"text/html": "<b>"}, {"text/html": {"n": 3, "x": 0.5}})


def test_every_reply_of_ours_is_in_the_table_of_messages(bench: Bench) -> None:
    replies = {route.reply for route in bench.kernel.table.values() if route.reply} - {"connect_reply"}
    assert replies <= set(CONTENT)


def test_config_knows_the_completer(bench: Bench) -> None:
    assert bench.reply("execute_request", {"code": "%config IPCompleter.use_jedi = False"})["status"] == "ok"
    assert not bench.kernel.shell.Completer.use_jedi
