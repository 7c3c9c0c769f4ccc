"""A real kernel process, driven by the reference client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from zmqkernel.protocol.connection import CHANNELS, ConnectionInfo
from zmqkernel.protocol.wire import Wire

from .real import SECONDS, RealKernel, real_kernel, text_of


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKernel]:
    root = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "IPYTHONDIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(root))
        with real_kernel(root) as kernel:
            yield kernel


@pytest.fixture
def kernel(shared: RealKernel) -> RealKernel:
    shared.execute("%reset -f")
    return shared


@pytest.fixture
def fresh(home: Path, tmp_path: Path) -> Iterator[RealKernel]:
    with real_kernel(tmp_path) as kernel:
        yield kernel


# --- interrupts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["signal", "message"])
@pytest.mark.parametrize(
    "code",
    [
        "print('go')\nwhile True: pass",
        "import time; print('go')\ntime.sleep(1000)",
        "import asyncio; print('go')\nasyncio.run(asyncio.sleep(1000))",
        "import asyncio; print('go')\nawait asyncio.sleep(1000)",
        "import asyncio; await asyncio.sleep(0); print('go')\nwhile True: pass",
        "%%bash\necho go\nsleep 1000",
        "!echo go; sleep 1000",
    ],
    ids=["loop", "sleep", "asyncio.run", "await", "await-loop", "bash", "system"],
)
def test_a_cell_is_interrupted_and_the_next_one_runs(kernel: RealKernel, code: str, way: str) -> None:
    def interrupt(message: dict) -> None:
        if message["content"].get("text", "").startswith("go"):
            if way == "signal":
                kernel.interrupt()
            else:
                kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request", {}))

    reply, outputs = kernel.execute(code, on_output=interrupt)
    if "echo" in code:
        assert reply["content"]["status"] in (
            "ok",
            "error",
        )  # IPython ends the child, and takes the interrupt as handled
    else:
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert [m["content"]["ename"] for m in outputs if m["msg_type"] == "error"] == ["KeyboardInterrupt"]
    assert kernel.execute("6 * 7")[1][0]["content"]["data"] == {"text/plain": "42"}


def test_an_interrupt_while_idle_does_nothing(kernel: RealKernel) -> None:
    for prepare in ("1", "import asyncio"):
        kernel.execute(prepare)
        for _ in range(5):
            sleeps = main_thread_slept(kernel)
            kernel.interrupt()
            deadline = time.monotonic() + SECONDS
            while main_thread_slept(kernel) == sleeps and time.monotonic() < deadline:
                time.sleep(0.01)  # it has not woken, handled the signal, and gone to sleep again
        reply, _ = kernel.execute("2")
        assert reply["content"]["status"] == "ok"


def main_thread_slept(kernel: RealKernel) -> int:
    """How often the kernel's main thread has gone to sleep."""
    pid = kernel.process.pid
    status = Path(f"/proc/{pid}/task/{pid}/status").read_text()
    return int(status.partition("voluntary_ctxt_switches:")[2].split()[0])


def test_an_interrupt_also_means_a_cell_that_still_waits(kernel: RealKernel) -> None:
    first = kernel.client.execute("print('go'); import time; time.sleep(1000)", stop_on_error=False)
    second = kernel.client.execute("print('second')", stop_on_error=False)
    reply, _ = kernel.collect(
        first, on_output=lambda message: kernel.interrupt() if "text" in message["content"] else None
    )
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    reply, outputs = kernel.collect(second)
    assert (reply["content"]["status"], text_of(outputs)) == ("ok", "second\n")


def test_a_background_task_that_hogs_the_loop_can_be_interrupted(kernel: RealKernel) -> None:
    client = kernel.client
    kernel.execute(
        "import asyncio\nasync def hog():\n    print('hogging')\n    while True: pass\nawait asyncio.sleep(0)"
    )
    client.execute("task = asyncio.get_event_loop().create_task(hog())")
    client.get_shell_msg(timeout=SECONDS)
    while client.get_iopub_msg(timeout=SECONDS)["content"].get("text") != "hogging\n":
        pass
    waiting = client.execute("'free'")
    deadline = time.monotonic() + SECONDS
    while not client.shell_channel.msg_ready() and time.monotonic() < deadline:
        kernel.interrupt()
        time.sleep(0.05)
    assert client.get_shell_msg(timeout=1)["parent_header"]["msg_id"] == waiting
    assert kernel.execute("1")[0]["content"]["status"] == "ok"


# --- asyncio ---------------------------------------------------------------------------------------------------------


def test_asyncio_run_and_background_tasks(kernel: RealKernel) -> None:
    kernel.execute("import asyncio\nasync def f(): return 5\nticks = []")
    assert kernel.execute("asyncio.run(f())")[1][0]["content"]["data"]["text/plain"] == "5"
    kernel.execute(
        "async def tick():\n    while True:\n        await asyncio.sleep(.01); ticks.append(1)\n"
        "task = asyncio.create_task(tick())\nawait asyncio.sleep(0)"
    )
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.05)  # nothing runs in the kernel but its task
        if int(kernel.execute("len(ticks)")[1][0]["content"]["data"]["text/plain"]) > 3:
            break
    else:
        pytest.fail("the task does not run between cells")
    assert kernel.execute("asyncio.run(f())")[1][0]["content"]["data"]["text/plain"] == "5"
    kernel.execute("task.cancel()")


def test_output_of_a_task_belongs_to_the_cell_that_made_it(kernel: RealKernel) -> None:
    kernel.execute("import asyncio\nasync def late():\n    await asyncio.sleep(.2); print('late')")
    msg_id = kernel.client.execute("t = asyncio.create_task(late()); await asyncio.sleep(0)")
    kernel.collect(msg_id)
    other = kernel.client.execute("await asyncio.sleep(.5); print('other')")
    seen: dict[str, str] = {}
    while "late" not in seen or "other" not in seen:
        message = kernel.client.get_iopub_msg(timeout=SECONDS)
        if message["msg_type"] == "stream" and message["content"]["text"].strip():
            seen[message["content"]["text"].strip()] = message["parent_header"]["msg_id"]
    assert seen == {"late": msg_id, "other": other}
    kernel.client.get_shell_msg(timeout=SECONDS)


# --- stdin -----------------------------------------------------------------------------------------------------------


def test_input_and_getpass(kernel: RealKernel) -> None:
    _, outputs = kernel.execute("input('name? ') * 2", answer="ab")
    assert (outputs[0]["content"], outputs[-1]["content"]["data"]["text/plain"]) == (
        {"prompt": "name? ", "password": False},
        "'abab'",
    )
    _, outputs = kernel.execute("import getpass; getpass.getpass('key: ')", answer="s")
    assert outputs[0]["content"] == {"prompt": "key: ", "password": True}
    reply, _ = kernel.execute("input()")
    assert reply["content"]["ename"] == "StdinNotImplementedError"
    reply, _ = kernel.execute("input()", answer="\x04")
    assert reply["content"]["ename"] == "EOFError"


def test_input_is_interrupted(kernel: RealKernel) -> None:
    msg_id = kernel.client.execute("input('?')", allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=SECONDS)
    kernel.interrupt()
    reply, _ = kernel.collect(msg_id)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    dropped = kernel.log.read_text().count("nobody asks")  # other tests send what nobody asks for as well
    kernel.client.input("too late")
    deadline = time.monotonic() + SECONDS
    while kernel.log.read_text().count("nobody asks") == dropped:
        assert time.monotonic() < deadline, "the late answer was not dropped"
        time.sleep(0.01)  # the stdin socket is not in step with the shell socket
    _, outputs = kernel.execute("input('again? ')", answer="new")
    assert outputs[-1]["content"]["data"]["text/plain"] == "'new'"


# --- output ----------------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_lines_arrive_exactly(kernel: RealKernel) -> None:
    _, outputs = kernel.execute("for i in range(100_000): print(i)")
    assert text_of(outputs) == "".join(f"{i}\n" for i in range(100_000))


def test_twenty_thousand_displays_arrive_exactly(kernel: RealKernel) -> None:
    _, outputs = kernel.execute("for i in range(20_000): display({'text/plain': str(i)}, raw=True)")
    assert [m["content"]["data"]["text/plain"] for m in outputs] == [str(i) for i in range(20_000)]


def test_matplotlib_figures_are_shown(kernel: RealKernel) -> None:
    for code in (
        "import matplotlib.pyplot as plt; plt.plot([1, 2]);",
        "%matplotlib inline\nplt.plot([2, 1]); plt.show()",
    ):
        _, outputs = kernel.execute(code)
        (figure,) = [m for m in outputs if m["msg_type"] == "display_data"] or pytest.fail(str(outputs))
        assert figure["content"]["data"]["image/png"].startswith("iVBOR")


def test_child_processes_and_c_code_are_heard(kernel: RealKernel) -> None:
    _, outputs = kernel.execute(
        "import os\nprint('a'); os.system('echo b'); os.write(1, b'c\\n'); os.write(2, b'd\\n');"
    )
    assert (text_of(outputs), text_of(outputs, "stderr")) == ("a\nb\nc\n", "d\n")


# --- comms -----------------------------------------------------------------------------------------------------------


def test_a_comm_with_buffers_is_echoed(kernel: RealKernel) -> None:
    kernel.execute(
        "import comm\ndef opened(c, message):\n    @c.on_msg\n    def echo(m):\n        print('heard')\n"
        "        c.send(m['content']['data'], buffers=[bytes(b)[::-1] for b in m['buffers']])\n"
        "comm.get_comm_manager().register_target('echo', opened)"
    )
    client = kernel.client
    client.shell_channel.send(client.session.msg("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}}))
    message = client.session.msg("comm_msg", {"comm_id": "c1", "data": {"n": 1}})
    client.session.send(client.shell_channel.socket, message, buffers=[b"abc", b"\0" * 100_000])
    outputs = kernel.outputs(message["header"]["msg_id"])
    assert text_of(outputs) == "heard\n"
    (echo,) = [m for m in outputs if m["msg_type"] == "comm_msg"]
    assert echo["content"] == {"comm_id": "c1", "data": {"n": 1}}
    assert [bytes(buffer) for buffer in echo["buffers"]] == [b"cba", b"\0" * 100_000]


# --- several clients, and bad ones -----------------------------------------------------------------------------------


def test_garbage_and_wrong_signatures_leave_the_kernel_alive(kernel: RealKernel) -> None:
    info = ConnectionInfo.decode(kernel.file.read_bytes())
    context = zmq.Context()
    try:
        for channel in ("shell", "control", "stdin", "hb"):
            dealer = context.socket(zmq.DEALER)
            dealer.linger = 1000
            dealer.connect(info.endpoint(channel))
            wrong = Wire("wrong key", "x").pack(
                Wire("", "x").message("execute_request", {"code": "import os; os._exit(1)"})
            )
            right = Wire(info.key, "x")
            broken = right.message("execute_request", b"[1")
            for frames in (
                [b""],
                [b"a", b"b"],
                [b"<IDS|MSG>"],
                [b"<IDS|MSG>"] + [b"\xff"] * 5,
                wrong,
                right.pack(broken),
            ):
                dealer.send_multipart(frames)
            dealer.send_multipart(right.pack(right.message("no_such_request", {})))
            dealer.close()
    finally:
        context.term()
    assert kernel.execute("6 * 7")[1][0]["content"]["data"] == {"text/plain": "42"}


def test_two_clients_see_each_other(kernel: RealKernel) -> None:
    other = kernel.connect()
    reply, _ = kernel.execute("print('mine')")
    seen = []
    while "stream" not in seen:
        message = other.get_iopub_msg(timeout=SECONDS)
        if message["parent_header"].get("msg_id") == reply["parent_header"]["msg_id"]:
            seen.append(message["msg_type"])
    assert seen == ["status", "execute_input", "stream"]
    assert kernel.execute("1 + 1", client=other)[1][0]["content"]["data"] == {"text/plain": "2"}


def test_requests_are_answered_while_a_cell_runs(kernel: RealKernel) -> None:
    client = kernel.client
    running = client.execute("print('go'); import time\nwhile not globals().get('stop'): time.sleep(.01)")
    while client.get_iopub_msg(timeout=SECONDS)["msg_type"] != "stream":
        pass
    asked = {client.kernel_info(), client.is_complete("x ="), client.history(n=1), client.comm_info()}
    answered = {client.get_shell_msg(timeout=SECONDS)["parent_header"]["msg_id"] for _ in asked}
    kernel.interrupt()
    kernel.collect(running)
    assert answered == asked


def test_an_error_aborts_the_cells_of_the_same_session_that_wait(kernel: RealKernel) -> None:
    other = kernel.connect()
    ids = [kernel.client.execute(code) for code in ("import time; time.sleep(.2); 1/0", "print(2)", "print(3)")]
    theirs = other.execute("print('theirs')")
    statuses = [kernel.collect(msg_id)[0]["content"]["status"] for msg_id in ids]
    assert statuses == ["error", "aborted", "aborted"]
    assert kernel.collect(theirs, client=other)[0]["content"]["status"] == "ok"
    assert kernel.execute("4")[0]["content"]["status"] == "ok"


def test_the_same_request_is_executed_once(kernel: RealKernel) -> None:
    client = kernel.client
    kernel.execute("n = 0")
    message = client.session.msg("execute_request", {"code": "n += 1", "silent": False, "store_history": True})
    for _ in range(3):
        client.session.send(client.shell_channel.socket, message)
    kernel.collect(message["header"]["msg_id"])
    assert kernel.execute("n")[1][0]["content"]["data"] == {"text/plain": "1"}


# --- the end ---------------------------------------------------------------------------------------------------------


def test_shutdown_while_a_cell_runs(fresh: RealKernel) -> None:
    fresh.client.execute("print('go')\nwhile True: pass")
    while fresh.client.get_iopub_msg(timeout=SECONDS)["msg_type"] != "stream":
        pass
    fresh.client.shutdown()
    assert fresh.client.get_control_msg(timeout=SECONDS)["content"] == {"status": "ok", "restart": False}
    assert fresh.process.wait(SECONDS) == 0


def test_exit_alone_in_a_cell(fresh: RealKernel) -> None:
    fresh.client.execute("exit")
    (payload,) = fresh.client.get_shell_msg(timeout=SECONDS)["content"]["payload"]
    assert payload["source"] == "ask_exit"
    assert fresh.process.wait(SECONDS) == 0


def test_history_is_written(fresh: RealKernel, tmp_path: Path) -> None:
    fresh.execute("'remember me'")
    fresh.client.shutdown()
    fresh.process.wait(SECONDS)
    with real_kernel(tmp_path) as again:
        again.client.history(hist_access_type="search", pattern="*remember*", raw=True, output=False)
        found = again.client.get_shell_msg(timeout=SECONDS)["content"]["history"]
    assert [entry[2] for entry in found] == ["'remember me'"]


def test_nobody_needs_a_kernel_whose_manager_died(
    fresh: RealKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = os.fork()
    if manager == 0:
        signal.pause()
        os._exit(0)
    monkeypatch.setenv("JPY_PARENT_PID", str(manager))
    (tmp_path / "other").mkdir()
    with real_kernel(tmp_path / "other") as orphan:
        os.kill(manager, signal.SIGKILL)
        os.waitpid(manager, 0)
        assert orphan.process.wait(SECONDS) == 0


def test_ports_that_are_zero_are_chosen_and_written(home: Path, tmp_path: Path) -> None:
    zeros = {f"{channel}_port": 0 for channel in CHANNELS}
    file = tmp_path / "tcp.json"
    file.write_bytes(ConnectionInfo(**zeros, key="0123456789abcdef").encode())
    kernel = RealKernel(file, tmp_path / "kernel.log", [sys.executable, "-m", "zmqkernel.kernel"], wait_for=file)
    try:
        assert kernel.execute("6 * 7")[1][0]["content"]["data"] == {"text/plain": "42"}
        assert file.stat().st_mode & 0o777 == 0o600
    finally:
        kernel.close()


def test_a_kernel_that_cannot_start_says_why(home: Path, tmp_path: Path) -> None:
    for arguments, code, reason in ((["-f", "none.json"], 1, "none.json"), ([], 2, "usage"), (["--help"], 0, "usage")):
        command = [sys.executable, "-m", "zmqkernel.kernel", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS)
        assert (done.returncode, reason in done.stdout + done.stderr) == (code, True)


def test_what_slows_the_start_is_not_imported(home: Path, tmp_path: Path) -> None:
    heavy = {"jedi", "jupyter_client", "tornado", "ipykernel", "prompt_toolkit", "asyncio", "IPython.core.completer"}
    with real_kernel(tmp_path) as kernel:
        _, outputs = kernel.execute(f"import sys; sorted({heavy} & set(sys.modules))")
        assert outputs[0]["content"]["data"]["text/plain"] == "[]"
        kernel.client.complete("import os; os.pa")
        kernel.client.inspect("print")
        _, outputs = kernel.execute(f"sorted({heavy} & set(sys.modules))")
        assert outputs[0]["content"]["data"]["text/plain"] == "[]"
