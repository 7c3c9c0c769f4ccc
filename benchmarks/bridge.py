"""``python -m benchmarks.bridge [--peers NAME ...]``: what the bridge promises, measured at a real process.

Latencies are the excess over a null request (a hover where nothing is) of the same state and run. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .language_server import Json, LanguageServer
from .report import p95

BRIDGE = [sys.executable, "-m", "lsp_bridge"]
PEERS = {
    "jedi-language-server": ["jedi-language-server"],
    "pylsp": ["pylsp"],
    "basedpyright": ["basedpyright-langserver", "--stdio"],
    "ty": ["ty", "server"],
    "pyrefly": ["pyrefly", "lsp"],
}
STATES = ["idle", "loop", "gil", "stopped", "dead"]
TEXT = """\
# %%
import os
import pandas as pd
df = pd.DataFrame({"height": [1, 2], "weight": [3, 4]})
class Node: pass
obj = Node(); obj.attr = Node(); obj.attr.deep = Node(); obj.attr.deep.er = Node(); obj.attr.deep.er.est = 1
globals().update({f"name_{n}": n for n in range(1000)})
print("pid", os.getpid())

# %%

# %%
exec("born_in_cell = 1")
print("begun", flush=True)
while True:
    pass

# %%
print("begun", flush=True)
sum(range(10**12))
"""
FIRST, HERE, LOOP, GIL = 1, 10, 12, 18
CASES = {'df["': "'height'", "df.": "weight", "df.de": "describe", "name_99": "name_999", "obj.attr.": "deep"}
LIVE_CASES = {"obj.attr.deep.er.": "est", "born_in": "born_in_cell"}


class Bench:
    """A server with the document open. ``typed`` is what stands in its empty line."""

    def __init__(self, folder: Path, argv: list[str], ours: Json | None) -> None:
        path = folder / "analysis.py"
        path.write_text(TEXT)
        self.server = LanguageServer(argv, folder, ours)
        self.uri = self.server.open(path)
        self.typed = ""

    def type(self, text: str) -> None:
        self.server.type(self.uri, HERE, self.typed, text)
        self.typed = text

    def at(self) -> Json:
        return {"textDocument": {"uri": self.uri}, "position": {"line": HERE, "character": len(self.typed)}}

    def complete(self, text: str) -> tuple[float, dict[str, Any]]:
        self.type(text)
        taken, found = self.server.timed("textDocument/completion", self.at())
        items = (found or {}).get("items", []) if isinstance(found, dict) else found or []
        return taken, {item["label"]: item for item in items}

    def null(self) -> float:
        """A request that asks nothing."""
        place = {"textDocument": {"uri": self.uri}, "position": {"line": HERE - 1, "character": 0}}
        return self.server.timed("textDocument/hover", place)[0]

    def run(self, line: int, until: str) -> str:
        """Run a cell; the text that it has put out when ``until`` is in it."""
        argument = {"uri": self.uri, "position": {"line": line, "character": 0}}
        params = {"command": "zmqkernel.server.runCell", "arguments": [argument]}
        execution = self.server.request("workspace/executeCommand", params)["execution"]
        note = self.server.wait_note(
            "zmqkernel/output", lambda p: p["execution"] == execution and until in json.dumps(p.get("outputs", p))
        )
        return "".join(one.get("text", "") for one in note["outputs"])

    def run_first(self) -> int:
        """Run the first cell and wait for the mirror; the kernel's pid."""
        pid = int(self.run(FIRST, "pid").split()[1])
        self.wait_for(lambda: "as of" in str(self.complete("obj.attr.")[1].get("deep")))
        return pid

    def wait_for(self, ready: Any) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.05)


def states(folder: Path, rounds: int) -> Json:
    """Warm completion in five states of the kernel: excess over the null request, right answers."""
    result: Json = {}
    for state in STATES:
        bench = Bench(folder, BRIDGE, {"siblings": []})
        pid = bench.run_first()
        time.sleep(3)  # static analysis warms up
        if state in ("loop", "gil"):
            bench.run(LOOP if state == "loop" else GIL, "begun")
        elif state in ("stopped", "dead"):
            os.kill(pid, signal.SIGSTOP)
            if state == "dead":
                os.kill(pid, signal.SIGKILL)
        for text in CASES:
            bench.complete(text)
        taken, nulls, right = list[float](), list[float](), 0
        cases = [case for case in CASES.items() for _ in range(rounds)]
        random.shuffle(cases)
        for text, expected in cases:
            bench.type("")
            nulls.append(bench.null())
            milliseconds, found = bench.complete(text)
            taken.append(milliseconds)
            right += expected in found
            time.sleep(0.02)
        null = statistics.median(nulls)
        result[state] = {
            "null": null,
            "p50": statistics.median(taken) - null,
            "p95": p95(taken) - null,
            "right": right / len(cases),
        }
        if state in ("idle", "loop"):
            live = [case for case in LIVE_CASES.items() if state == "loop" or case[0] != "born_in"]
            result[state]["live only"] = [expected in bench.complete(text)[1] for text, expected in live]
        if state in ("loop", "stopped"):
            os.kill(pid, signal.SIGKILL)
        result[state]["exit"] = bench.server.exit()
        end_sessions(folder)
    return result


def typing(bench: Bench, words: list[str], repeat: int) -> Json:
    """50 ms per key, each key overtakes the request before it."""
    last, honoured, cancelled, unanswered, right = list[float](), 0, 0, 0, 0
    for _ in range(repeat):
        for word, expected in (text.split("|") for text in words):
            bench.type("")
            open_: list[int] = []
            start = 0.0
            for end in range(1, len(word) + 1):
                for number in [n for n in open_ if n not in bench.server.replies]:
                    bench.server.notify("$/cancelRequest", {"id": number})
                    cancelled += 1
                start = time.perf_counter()
                bench.type(word[:end])
                open_.append(bench.server.begin("textDocument/completion", bench.at()))
                time.sleep(0.05)
            try:
                when, reply = bench.server.answer(open_[-1], 30)
                last.append((when - start) * 1000)
                found = reply.get("result") or {}
                items = found.get("items", []) if isinstance(found, dict) else found
                right += any(item["label"] == expected for item in items)
            except TimeoutError:
                last.append(30_000.0)
            for number in open_[:-1]:
                try:
                    reply = bench.server.answer(number, 5)[1]
                    honoured += "error" in reply
                except TimeoutError:
                    unanswered += 1
    count = len(words) * repeat
    return {"p50": statistics.median(last), "p95": p95(last), "right": right / count, "cancels": cancelled,
            "honoured": honoured, "unanswered": unanswered}  # fmt: skip


def storm(bench: Bench, text: str, repeat: int) -> list[float]:
    """A hover behind twenty completions that were cancelled at once."""
    taken: list[float] = []
    for _ in range(repeat):
        bench.type(text + ".")
        numbers = [bench.server.begin("textDocument/completion", bench.at()) for _ in range(20)]
        for number in numbers:
            bench.server.notify("$/cancelRequest", {"id": number})
        place = {"textDocument": {"uri": bench.uri}, "position": {"line": HERE, "character": 1}}
        taken.append(bench.server.timed("textDocument/hover", place)[0])
        for number in numbers:
            bench.server.answer(number)
        time.sleep(0.05)
    return taken


def spread(values: list[float]) -> Json:
    return {"p50": statistics.median(values), "p95": p95(values)}


def first_hover(folder: Path, rounds: int) -> Json:
    """Processor time from spawn to the first right hover: ours says the value, jedi-language-server the signature."""
    bench = Bench(folder, BRIDGE, {"siblings": ["jedi-language-server"]})
    bench.run(FIRST, "pid")
    bench.server.exit()
    found: dict[str, list[float]] = {"bridge": [], "jedi-language-server": []}
    for _ in range(rounds):
        bench = Bench(folder, BRIDGE, {"siblings": ["jedi-language-server"]})
        bench.type("name_999")
        bench.wait_for(lambda bench=bench: "999" in str(bench.server.request("textDocument/hover", bench.at())))
        found["bridge"].append(bench.server.processor_time())
        bench.server.exit()
        if shutil.which("jedi-language-server"):
            bench = Bench(folder, PEERS["jedi-language-server"], None)
            bench.type("os.getpid")
            bench.wait_for(lambda bench=bench: "getpid" in str(bench.server.request("textDocument/hover", bench.at())))
            found["jedi-language-server"].append(bench.server.processor_time())
            bench.server.exit()
    end_sessions(folder)
    return {name: statistics.median(values) for name, values in found.items() if values}


def memory(folder: Path) -> float:
    """PSS with a mirror of 10,000 names and no static child."""
    bench = Bench(folder, BRIDGE, {"siblings": ["other"]})
    bench.server.type(bench.uri, 6, TEXT.splitlines()[6], "globals().update({f'name_{n}': n for n in range(10000)})")
    bench.run(FIRST, "pid")
    bench.wait_for(lambda: "name_9999" in bench.complete("name_999")[1])
    used = bench.server.pss()
    bench.server.exit()
    end_sessions(folder)
    return used


def hung_exit(folder: Path) -> float:
    """Milliseconds to leave with a stopped kernel, a stopped static child and questions open."""
    bench = Bench(folder, BRIDGE, {"siblings": []})
    pid = bench.run_first()
    time.sleep(1)
    os.kill(pid, signal.SIGSTOP)
    for child in bench.server.pids()[1:]:
        os.kill(child, signal.SIGSTOP)
    for what in ("completion", "hover", "definition", "signatureHelp"):
        bench.server.begin(f"textDocument/{what}", bench.at())
    taken = bench.server.exit()
    os.kill(pid, signal.SIGKILL)
    end_sessions(folder)
    return taken


def end_sessions(folder: Path) -> None:
    """End the session of the project, so that the next one begins anew."""
    from zmqkernel.client import Client, discovery
    from zmqkernel.protocol.errors import ZmqKernelError

    session, alive = discovery.find_or_new(None, folder)
    if alive:
        try:
            with Client.connect(session, start=False) as client:
                client.shutdown()
        except ZmqKernelError:
            pass  # it was leaving
    shutil.rmtree(session.directory, ignore_errors=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", nargs="*", default=[], choices=list(PEERS))
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        folder.mkdir()
        (folder / "pyproject.toml").touch()
        figures: Json = {"warm completion": states(folder, arguments.rounds)}
        print(json.dumps(figures), flush=True)
        words = ["df[\"hei|'height'", "df.descr|describe", "name_99|name_999"]
        bench = Bench(folder, BRIDGE, {"siblings": []})
        bench.run_first()
        time.sleep(3)
        figures["typing"] = {"bridge": typing(bench, words, 6)}
        figures["hover behind 20 cancelled"] = {"bridge": spread(storm(bench, "df", 40))}
        bench.server.exit()
        end_sessions(folder)
        for peer in arguments.peers:
            bench = Bench(folder, PEERS[peer], None)
            bench.complete("df.")
            figures["typing"][peer] = typing(bench, ["df.descr|describe"], 3)
            figures["hover behind 20 cancelled"][peer] = spread(storm(bench, "df", 5))
            figures.setdefault("exit", {})[peer] = bench.server.exit()
        print(json.dumps(figures), flush=True)
        figures["first hover, processor time"] = first_hover(folder, 4)
        figures["PSS, 10,000 names"] = memory(folder)
        figures["exit, everything hangs"] = hung_exit(folder)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
