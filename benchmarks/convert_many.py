"""Whether a batch may be large: what a file more takes, and how much memory, of many files and of few.

    python benchmarks/convert_many.py [--most 100000] [--turns 7] [--json]

Pictures of 64 px go through a network with next to nothing to compute, so that it is the files that are measured. One
process converts many, up to its last tenth. There it takes turns with another one, which begins a new small batch each
time: so both have the same machine, the same disk and the same moment. What the start of the many takes longer is
shared among them. Memory is the most that the command and its processes held (each one's own, where the system tells
it, as Linux does). OpenVINO stays out of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from os import getpid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import convert_small
from benchmarks.photographs import write_photographs
from benchmarks.turns import Answer, Worker, in_turns, serve

SIZE = 64
_MOST_A_TURN = 500
_FEW_TURNS = 20
FLAT_UP_TO = 10_000
"""Of memory the target is about so many files."""


def measure(most: int, turns: int, folder: Path) -> Answer:
    """Convert many files in turns with few.

    Args:
        most: The many.
        turns: How often each side is measured.
        folder: For everything.

    Returns:
        The `few` and the `many` files, the milliseconds `few_ms` and `many_ms` that a file more takes in each turn, how
        much of the latter is the longer `start_ms`, the bytes of `memory` by the number of files, as pairs.
    """
    a_turn = min(_MOST_A_TURN, most // (2 * _FEW_TURNS))
    few = 2 * a_turn
    _, model = convert_small.draw_model(folder, 1, 4)
    memory = [(count, _memory_of(model, count, folder)) for count in dict.fromkeys((few, min(most, FLAT_UP_TO)))]
    sources = {
        count: write_photographs(folder / f"pictures-{count}", count, size=(SIZE, SIZE)) for count in (few, most)
    }
    program = [sys.executable, __file__, "--model", model, "--a-turn", a_turn]
    commands = {
        "few": [*program, "--few", sources[few], "--to", folder / "to-few"],
        "many": [*program, "--few", sources[few], "--many", sources[most], "--to", folder / "to-many"],
    }
    with Worker(commands["many"]) as worker_of_many, Worker(commands["few"]) as worker_of_few:
        # The first file is converted by then, and some more than those that were counted are under way.
        for _ in range((most - 1) // a_turn - turns - 1):
            worker_of_many.turn()
        answers = in_turns({"few": worker_of_few, "many": worker_of_many}, turns)
        last = worker_of_many.finish()
    start = statistics.median(answer["start"] for answer in answers["few"])
    start_ms = 1000 * (last["start"] - start) / most
    if most > FLAT_UP_TO:
        memory.append((most, last["memory_bytes"]))
    each = {name: [1000 * answer["seconds"] / a_turn for answer in given] for name, given in answers.items()}
    many_ms = [ms + start_ms for ms in each["many"]]
    return {
        "few": few, "many": most, "few_ms": each["few"], "many_ms": many_ms, "start_ms": start_ms, "memory": memory
    }  # fmt: skip


def _memory_of(model: Path, count: int, folder: Path) -> int:
    """The most bytes that the whole command holds which converts so many files."""
    pictures, to = folder / "pictures", folder / "to"
    write_photographs(pictures, count, size=(SIZE, SIZE))
    arguments = [model, pictures, "--to", to, "--direction", "a2b", "--format", "png"]
    _, memory = convert_small.run([*convert_small.COMMAND_WITHOUT_EXTRA, *arguments])
    shutil.rmtree(pictures)
    shutil.rmtree(to)
    return memory


class _Batch:
    """A batch that is converted as far as it is asked to.

    Attributes:
        start: Seconds until its first file was converted.
        memory: The most bytes that this process and those that work for it were seen to hold.
    """

    def __init__(self, model: Path, source: Path, to: Path) -> None:
        from engine import convert
        from engine.config import ConvertJob

        self.memory = 0
        self._to = to
        started = time.perf_counter()
        job = ConvertJob(model=model, sources=(source,), to=to, direction="a2b", format="png")
        self._events = convert(job)
        self.go_on(1)
        self.start = time.perf_counter() - started

    def go_on(self, count: int) -> float:
        """Convert so many more; the seconds that it takes."""
        from engine.events import Converted

        started = time.perf_counter()
        converted = (event for event in self._events if isinstance(event, Converted))
        done = sum(1 for _ in itertools.islice(converted, count))
        seconds = time.perf_counter() - started
        assert done == count
        self.memory = max(self.memory, convert_small.memory_of_tree(getpid()))
        return seconds

    def end(self) -> None:
        """Stop, and remove the results."""
        self._events.close()  # type: ignore[attr-defined]
        shutil.rmtree(self._to)


def _work(options: argparse.Namespace) -> None:
    """Be one of the two sides."""
    sys.modules["openvino"] = None  # type: ignore[assignment]
    # So that neither side's start has the import of torch in it.
    _Batch(options.model, options.few, options.to).end()
    if options.many is None:

        def few() -> Answer:
            batch = _Batch(options.model, options.few, options.to)
            batch.go_on(options.a_turn // 2)
            seconds = batch.go_on(options.a_turn)
            batch.end()
            return {"seconds": seconds, "start": batch.start}

        serve(few)
        return
    batch = _Batch(options.model, options.many, options.to)
    serve(lambda: {"seconds": batch.go_on(options.a_turn)})
    batch.end()
    print(json.dumps({"start": batch.start, "memory_bytes": batch.memory}), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=100_000, help="files of the large batch")
    parser.add_argument("--turns", type=int, default=7, help="how often each side is measured")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line, and nothing else")
    for name in ("model", "few", "many", "to"):
        parser.add_argument(f"--{name}", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--a-turn", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.few is not None:
        _work(options)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = measure(options.most, options.turns, Path(folder))
    if options.json:
        print(json.dumps(found))
        return 0
    few, many = (statistics.median(found[name]) for name in ("few_ms", "many_ms"))
    print(f"a file more: {few:.2f} ms of {found['few']:,}, {many:.2f} ms of {found['many']:,}, {many / few:.2f} times")
    print(f"turns: {[round(ms, 2) for ms in found['few_ms']]}, {[round(ms, 2) for ms in found['many_ms']]}")
    print(f"of which a longer start: {found['start_ms']:.3f} ms")
    for count, memory in found["memory"]:
        print(f"{count:,} files: {memory / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
