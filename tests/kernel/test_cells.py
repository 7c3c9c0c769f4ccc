"""One cell in, what came out: a row says it all."""

from __future__ import annotations

import pytest

from .conftest import Bench, Row


def told(rows: list[Row]) -> str:
    """What the rows of one execution say, in one line; busy, execute_input and idle are checked and left out."""
    (channel, reply), *_ = [row for row in rows if row[1].msg_type == "execute_reply"]
    assert channel == "shell"
    iopub = [message for where, message in rows if where == "iopub"]
    assert iopub[0].content == {"execution_state": "busy"}
    assert iopub[-1].content == {"execution_state": "idle"}
    assert {message.parent_json for _, message in rows} == {reply.parent_json}
    words = [_word(message.msg_type, message.content) for message in iopub[1:-1]]
    content = reply.content
    end = content["status"] if content["status"] != "error" else f"error {content['ename']}"
    return " | ".join([*filter(None, words), end])


def _word(kind: str, content: dict) -> str:
    match kind:
        case "execute_input":
            return ""
        case "stream":
            name = "stream" if content["name"] == "stdout" else "stderr"
            return f"{name} {content['text']}"
        case "execute_result":
            return f"result {content['data']['text/plain']}"
        case "display_data" | "update_display_data":
            return f"{kind.removesuffix('_data')} {'+'.join(sorted(content['data']))}"
        case "error":
            return f"error {content['ename']}: {content['evalue']}"
        case "clear_output":
            return "clear wait" if content["wait"] else "clear"
        case _:
            return kind


ROWS = [
    ("", "ok"),
    ("pass", "ok"),
    ("print(1); 2", "stream 1\n | result 2 | ok"),
    ("2;", "ok"),
    ("2; # said nothing", "ok"),
    ("';'", "result ';' | ok"),
    ("None", "ok"),
    ("x = 1\nx", "result 1 | ok"),
    ("1\n2", "result 2 | ok"),
    ("print('a'); print('b')", "stream a\nb\n | ok"),
    ("import sys; sys.stderr.write('e'); print('o')", "stderr e | stream o\n | ok"),
    ("print('a'); display(1); print('b')", "stream a\n | display text/plain | stream b\n | ok"),
    ("1/0", "error ZeroDivisionError: division by zero | error ZeroDivisionError"),
    ("print(1); nope", "stream 1\n | error NameError: name 'nope' is not defined | error NameError"),
    ("class E(Exception): pass\nraise E('why')", "error E: why | error E"),
    ("def f(:", "error SyntaxError: invalid syntax (<ipython-input"),
    ("if 1:\nx", "error IndentationError"),
    ("return 1", "error SyntaxError: 'return' outside function"),
    ("raise ExceptionGroup('g', [ValueError(1)])", "error ExceptionGroup: g (1 sub-exception) | error ExceptionGroup"),
    ("raise KeyboardInterrupt", "error KeyboardInterrupt:  | error KeyboardInterrupt"),
    ("raise SystemExit(3)", "error SystemExit: 3"),
    ("class Bad(Exception):\n    def __str__(self): 1/0\nraise Bad", "error Bad: <the exception cannot be shown"),
    (
        "class R:\n    def __repr__(self): 1/0\nR()",
        "error ZeroDivisionError: division by zero | error ZeroDivisionError",
    ),
    ("%nosuchmagic", "stderr UsageError: Line magic function `%nosuchmagic` not found.\n | error UsageError"),
    ("from IPython.display import HTML; HTML('<b>')", "result <IPython.core.display.HTML object> | ok"),
    ("from IPython.display import HTML; display(HTML('<b>'))", "display text/html+text/plain | ok"),
    ("display({'image/png': b'abc'}, raw=True)", "display image/png | ok"),
    ("h = display(1, display_id='d'); h.update(2)", "display text/plain | update_display text/plain | ok"),
    ("from IPython.display import clear_output; clear_output()", "clear | ok"),
    ("from IPython.display import clear_output; clear_output(wait=True)", "clear wait | ok"),
    ("await asyncio.sleep(0)\n", "error NameError: name 'asyncio' is not defined | error NameError"),
    ("import asyncio\nawait asyncio.sleep(0, 5)", "result 5 | ok"),
    ("import asyncio\nasync def f(): return 7\nasyncio.run(f())", "result 7 | ok"),
    ("import asyncio\nasyncio.get_event_loop().run_until_complete(asyncio.sleep(0, 3))", "result 3 | ok"),
    ("%%capture c\nprint(1)", "ok"),
    ("%%time\nx = 3", "stream CPU times"),
    ("%timeit -n1 -r1 pass", "stream "),
    ("!echo hi", "stream hi\r\n | ok"),
    ("x = !echo hi\nx", "result ['hi'] | ok"),
    ("%%bash\necho from bash", "stream from bash\n | ok"),
    ("%load_ext autoreload\n%autoreload 2", "ok"),
    ("%%writefile /dev/null\nabc", "stream Overwriting /dev/null\n | ok"),
    ("get_ipython().__class__.__name__", "result 'ZMQInteractiveShell' | ok"),
    ("__name__", "result '__main__' | ok"),
]


@pytest.mark.parametrize(("code", "expected"), ROWS, ids=[row[0][:30] for row in ROWS])
def test_cell(bench: Bench, code: str, expected: str) -> None:
    said = told(bench.execute(code))
    if expected.rsplit(" ", 1)[-1] == "ok" or expected.count(" | "):
        assert said == expected
    else:  # a row that says how it begins
        assert said.startswith(expected)
