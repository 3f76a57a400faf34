"""How fast this is: every figure of docs/benchmarks.md in one command.

    python benchmarks/speed.py [--quick] [--rows step convert ...] [--turns N] [--to docs/benchmarks.md]
    python benchmarks/speed.py --merge FILE.json [--to docs/benchmarks.md]

Each figure is a ratio, measured side by side in one run against the plain implementation (`benchmarks/plain.py`), or
against what is named: processes of their own take turns, A B A B, and what is printed is the median and the range.
Beside it stands the ceiling: the rate of a matrix product of the same precision, measured in the same turns, and which
share of it the work's own multiplications reach. A row that fails says why; the others go on.

All of it takes half an hour on two cores, and should have the machine to itself. `--quick` takes a few minutes with
networks and pictures so small that the figures mean nothing: it shows that everything runs, and writes nothing unless
told where to. `--rows` measures some of the groups of rows, and takes the others from what is stored beside the
document (benchmarks.json), each with its own machine, day and commit. So the whole can be done in pieces, and where
there is a GPU: measure there `--to` a folder, bring its benchmarks.json here, and `--merge` it.

`--turns` governs every group, down to one turn of each side. What a group takes on two cores for each: step 50 s,
convert 3 min for 200 pictures and 15 for 1,000, large 3 min, megapixels 3 min with 100 megapixels and 1 without. Of
many the turns are short, but all files before them are converted, too: 3 min up to 10,000 and 15 up to 100,000. The
others take none: paint 1 min, lag and waits 2. These are estimates; on a GPU, whose commands mostly start and load
torch, about a minute for step and for 1,000 pictures, half for each other one with `--seconds 12`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.groups import GROUPS, QUICK, Scale, Work
from benchmarks.machine import ROOT, commit, machine, others_share
from benchmarks.table import (
    COLUMN_NAMES,
    LINES,
    Column,
    Found,
    Origin,
    Results,
    document,
    read_results,
    results_beside,
    write_results,
)
from benchmarks.turns import TurnError

# More than that of the processor in use by others when a row begins is worth saying.
_MUCH = 0.1


def measure(column: Column, group: str, scale: Scale, at: str) -> Origin:
    """Measure a group of lines.

    Args:
        column: On what.
        group: Which one.
        scale: How large everything is.
        at: The commit.
    """
    others = others_share()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            lines = GROUPS[group](Work(scale, column, Path(folder)))
        except Exception as error:  # One row must not cost the others.
            reason = str(error) if isinstance(error, TurnError) else f"{type(error).__name__}: {error}"
            failed = Found(failed=" ".join(reason.replace("|", "/").split()))
            lines = {line.key: failed for line in LINES[column] if line.group == group}
    if others > _MUCH:
        words = f"while other programs took {others:.0%} of the processor"
        lines = {
            key: replace(value, note=f"{value.note}; {words}" if value.note else words) for key, value in lines.items()
        }
    print(f"{COLUMN_NAMES[column]}, {group}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return Origin(machine(gpu=column == "gpu"), at, datetime.date.today().isoformat(), scale.quick, lines)


def has_gpu() -> bool:
    """Whether there is a GPU to measure on."""
    import torch

    return torch.cuda.is_available()


def measured(options: argparse.Namespace, results: Results) -> Iterator[None]:
    """Measure what is asked for, group by group, and put it in the place of what was there."""
    if sys.platform == "linux" and not os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sizes = {name: getattr(options, name) for name in ("jpegs", "most_files", "megapixels", "turns", "seconds")}
    sizes["rounds"] = options.turns
    scale = replace(
        QUICK if options.quick else Scale(), **{name: size for name, size in sizes.items() if size is not None}
    )
    at = options.commit or commit()
    columns: list[Column] = options.column or [name for name in COLUMN_NAMES if name == "cpu" or has_gpu()]
    for column in columns:
        for group in GROUPS if options.rows is None else options.rows:
            if any(line.group == group for line in LINES[column]):
                results.setdefault(column, {})[group] = measure(column, group, scale, at)
                yield


def merge(others: Results, results: Results) -> None:
    """Put groups that were measured elsewhere in the place of those that were there."""
    for column, groups in others.items():
        results.setdefault(column, {}).update(groups)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it runs: small networks, few pictures")
    parser.add_argument("--rows", nargs="*", choices=list(GROUPS), help="measure these (all)")
    parser.add_argument("--column", nargs="+", choices=list(COLUMN_NAMES), help="on these (those that there are)")
    parser.add_argument("--jpegs", type=int, help=f"pictures of the row convert ({Scale().jpegs})")
    parser.add_argument("--most-files", type=int, help=f"files of the row many ({Scale().most_files})")
    parser.add_argument("--megapixels", type=float, nargs="+", help="sizes of the row megapixels (0.065536 1 8 24)")
    turns = f"how often each side is measured ({Scale().turns}, and {Scale().rounds} where that takes minutes)"
    parser.add_argument("--turns", type=int, help=turns)
    parser.add_argument("--seconds", type=float, help=f"of training in the rows waits and lag ({Scale().seconds:g})")
    parser.add_argument("--commit", help="which this is, where git is not there to tell")
    parser.add_argument("--merge", type=Path, metavar="FILE.json", help="measure nothing: take in what was elsewhere")
    parser.add_argument("--to", type=Path, help="the document; results are stored beside it (docs/benchmarks.md)")
    options = parser.parse_args(arguments)
    to = options.to or (None if options.quick else ROOT / "docs/benchmarks.md")
    results = {} if to is None else read_results(results_beside(to))
    if options.merge is not None:
        if not options.merge.is_file():
            parser.error(f"{options.merge} is not a file")
        merge(read_results(options.merge), results)
    else:
        for _ in measured(options, results):
            # After each, so that who stops it half way keeps what there is.
            if to is not None:
                write_results(results, to)
    if to is not None:
        write_results(results, to)
    print(document(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
