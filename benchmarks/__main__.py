"""``python -m benchmarks``: run, print the table, save the samples. Exit 1 when a limit is missed or output was lost."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import zmq

from .figures import Amounts, Samples, in_process, play_round, warm_up
from .report import BARE, DOOR, markdown, summary
from .subjects import subjects


def main() -> int:
    """Parse the command line and play the rounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds; every subject is started once in each")
    parser.add_argument("--quick", action="store_true", help="two small rounds, to see that it runs")
    parser.add_argument("--transport", choices=("tcp", "ipc"), default="tcp", help="for kernels that get a -f file")
    parser.add_argument("--only", default="", help="comma-separated: only subjects whose name contains one of these")
    parser.add_argument("--json", type=Path, help="where to save (default: benchmarks/results/DATE.json)")
    parser.add_argument("--page", type=Path, help="put the table between the <!-- table --> marks of this page")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    batches, batch = (2, 50) if options.quick else (4, 50)

    chosen = subjects(options.transport, [word for word in options.only.split(",") if word])
    samples = Samples()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        warm_up(chosen, context)
        for number in range(rounds):
            # The order rotates, so that nobody is always first.
            order = chosen[number % len(chosen) :] + chosen[: number % len(chosen)]
            heavy = not options.quick and number < 3  # ipykernel alone takes seconds for 20k display_data
            play_round(order, context, Amounts(batches, batch, heavy), samples)
            with tempfile.TemporaryDirectory() as home:
                in_process(Path(home), batch * batches, samples)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    finally:
        context.destroy(linger=0)
        for subject in chosen:
            subject.remove()

    figures = summary(samples)
    about = machine() | {"rounds": rounds, "transport": options.transport}
    text = f"{described(about)}\n\n{markdown(figures)}"
    print(text)
    if options.page:
        fill(options.page, text)
    save(options.json, {"about": about, "figures": figures, "samples": samples.values})
    rows = [row for by_subject in figures.values() for name, row in by_subject.items() if name in (BARE, DOOR)]
    return 0 if all(row.get("kept", True) and row.get("exact", 1) == 1 for row in rows) else 1


def described(about: dict[str, object]) -> str:
    """How to read the table, and where it comes from."""
    facts = ", ".join(f"{key} {value}" for key, value in about.items())
    return (
        "Each cell: the **ratio to ipykernel** of the medians, then the median and, in brackets, the 95th percentile. "
        f"Kernels on {about['transport']}, the door on ipc.\n\n{facts}"
    )


def fill(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page."""
    mark = "<!-- table -->"
    before, _, after = page.read_text().split(mark)
    page.write_text(f"{before}{mark}\n\n{text}\n\n{mark}{after}")


def machine() -> dict[str, object]:
    """Where and with what this was measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "libzmq": zmq.zmq_version(),
        **{name: version(name) for name in ("ipykernel", "async-kernel", "ipython", "pyzmq", "msgspec")},
    }


def processor() -> str:
    """What the kernel of the system calls it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def save(path: Path | None, data: dict[str, object]) -> None:
    """Write everything, samples too."""
    now = datetime.datetime.now(datetime.UTC)
    path = path or Path(__file__).with_name("results") / f"{now:%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")
    print(f"saved {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
