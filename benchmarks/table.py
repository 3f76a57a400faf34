"""The lines of docs/benchmarks.md: what has a target, how it is judged, and how it is written as a document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.turns import Spread

Column = Literal["cpu", "gpu"]
Figure = Literal["ratio", "share", "ours"]
COLUMN_NAMES: dict[Column, str] = {"cpu": "Processor", "gpu": "GPU"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table.

    Attributes:
        group: What measures it, one of `GROUPS`.
        key: Its name within the group.
        what: In words.
        figure: Which of its figures has a target: the ratio, the share of the ceiling, or what ours is by itself.
        least: The target, if it is a lower limit.
        most: The target, if it is an upper limit.
        unit: That of `plain` and `ours`: "s", "ms", "GB", "x" (a factor) or "%".
    """

    group: str
    key: str
    what: str
    figure: Figure = "ratio"
    least: float | None = None
    most: float | None = None
    unit: str = "s"

    @property
    def target(self) -> str:
        """The target in words."""
        limit = self.least if self.least is not None else self.most
        if limit is None:
            return ""
        words = {"ratio": f"{limit:g} times", "share": f"{limit:.0%} of the ceiling"}.get(self.figure)
        return f"{'≥' if self.least is not None else '≤'} {words or _with_unit(limit, self.unit)}"


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured for a line; all of it may be missing.

    Attributes:
        plain: What the other side took, in the line's unit.
        ours: What ours took.
        ratio: How many times as fast ours is, or, where the target is an upper limit, how many times as much it takes:
            of the medians, and the lowest and the highest of the turns.
        ceiling: The largest rate of a matrix product of the same precision, in FLOP a second.
        share: What ours reaches of it.
        note: What else should be known.
        failed: Why it could not be measured.
    """

    plain: Spread | None = None
    ours: Spread | None = None
    ratio: tuple[float, float, float] | None = None
    ceiling: float | None = None
    share: float | None = None
    note: str = ""
    failed: str = ""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Found:
        """The other way round than `dataclasses.asdict`."""
        values = dict(values)
        for name in ("plain", "ours"):
            values[name] = None if values[name] is None else Spread(**values[name])
        values["ratio"] = None if values["ratio"] is None else tuple(values["ratio"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Origin:
    """What was measured for a group of lines, together, and where and when.

    Attributes:
        machine: The machine and the versions of what was used, from `benchmarks.machine.machine`.
        commit: Of this repository.
        date: The day, as ISO 8601 has it.
        quick: Whether nothing was measured in earnest.
        lines: What was found, by the lines' keys.
    """

    machine: Mapping[str, str]
    commit: str
    date: str
    quick: bool
    lines: Mapping[str, Found]

    @property
    def machine_words(self) -> str:
        """The machine in a line."""
        return ", ".join(
            value if key in ("processor", "gpu") else f"{key} {value}" for key, value in self.machine.items()
        )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Origin:
        """The other way round than `dataclasses.asdict`."""
        lines = {key: Found.from_json(found) for key, found in values["lines"].items()}
        return cls(**{**values, "lines": lines})


# By column and group.
Results = dict[Column, dict[str, Origin]]


def read_results(path: Path) -> Results:
    """What was stored beside a document, or measured elsewhere; nothing where there is no such file."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {
        column: {group: Origin.from_json(values) for group, values in groups.items()}
        for column, groups in stored.items()
    }


def write_results(results: Results, to: Path) -> None:
    """Write the document, and beside it what it is made of."""
    to.parent.mkdir(parents=True, exist_ok=True)
    stored = {column: {group: asdict(origin) for group, origin in groups.items()} for column, groups in results.items()}
    results_beside(to).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    to.write_text(document(results), encoding="utf-8")


def results_beside(document: Path) -> Path:
    """Where the results of a document are stored."""
    return document.with_suffix(".json")


_LAG = tuple(
    Line("lag", f"{phase}, {figure}", f"Window {phase}: lag of its event loop, {words}", "ours", most=most, unit="ms")
    for phase, limits in (("until the first step", (None, None)), ("training", (16, 100)), ("converting", (16, 100)))
    for (figure, words), most in zip((("p99", "p99"), ("longest", "the longest")), limits, strict=True)
)
_WAITS = (
    Line("waits", "small", "Time that a training waits for JPEGs of 256 px", "ours", most=0.01, unit="%"),
    Line("waits", "large", "The same for JPEGs of 12 megapixels", "ours", most=0.01, unit="%"),
)

LINES: dict[Column, tuple[Line, ...]] = {
    "cpu": (
        Line("step", "auto", "Training step, 256 px, 9 blocks, batch 1, in the precision chosen", least=2.5),
        Line("step", "fp32", "The same in fp32", least=1.15),
        Line("step", "memory", "The same: most memory of the process", most=1.0, unit="GB"),
        Line("convert", "files", "JPEGs of 256 px to PNG, whole command", least=2),
        Line("convert", "extra", "The same with an optional extra that converts faster", least=3),
        Line("large", "photograph", "A photograph of 8 megapixels to PNG, whole command", least=2.5),
        Line("many", "time", "Time of a file more, when there are many", most=1.1, unit="ms"),
        Line("many", "memory", "Memory of a conversion, when there are many", most=1.05, unit="GB"),
        Line("paint", "first", "From the start until the window is drawn, against a bare one", most=1.3, unit="ms"),
        Line("paint", "page", "The same until its first page is drawn", unit="ms"),
        Line("paint", "whole", "The same until all its pages are made", unit="ms"),
        Line("megapixels", "each", "Time of a megapixel, the dearest size against the cheapest", most=1.5),
        *_LAG,
        *_WAITS,
    ),
    "gpu": (
        Line("step", "auto", "Training step, 256 px, 9 blocks, batch 1, in the precision chosen", least=4),
        Line("step", "auto", "The same: share of the ceiling", "share", least=0.35),
        Line("step", "batch_8", "Batch 8: share of the ceiling", "share", least=0.5),
        Line("convert", "files", "JPEGs of 256 px to PNG, whole command", least=15),
        Line("large", "photograph", "A photograph of 8 megapixels to PNG, whole command", least=10),
        *_LAG,
        *_WAITS,
        Line("gpu_memory", "standard", "Memory of a training at 256 px", "ours", most=4, unit="GB"),
        Line("gpu_memory", "saving", "At 512 px with the step that saves memory", "ours", most=8, unit="GB"),
    ),
}


def table(column: Column, stored: Mapping[str, Origin]) -> str:
    """The lines of a column as Markdown. Whether targets are reached is not said of what was measured with --quick."""
    rows = [
        "| what | target | plain | ours | ratio | ceiling | of the ceiling | reached | measured |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    letters = machine_letters(stored)
    for line in LINES[column]:
        origin = stored.get(line.group)
        found = None if origin is None else origin.lines.get(line.key)
        row = cells(line, found)
        if origin is None or found is None:
            rows.append(f"| {' | '.join(row)} | |")
            continue
        if origin.quick and row[-1] in ("yes", "no"):
            row[-1] = ""
        letter = f", on ({letters[origin.machine_words]})" if len(letters) > 1 else ""
        rows.append(f"| {' | '.join(row)} | {origin.date} at {origin.commit}{letter} |")
    return "\n".join(rows)


def machine_letters(stored: Mapping[str, Origin]) -> dict[str, str]:
    """A letter for each machine that something was measured on, in the order of the alphabet."""
    machines = dict.fromkeys(origin.machine_words for origin in stored.values())
    return dict(zip(machines, "abcdefghijklmnopqrstuvwxyz", strict=False))


def cells(line: Line, found: Found | None) -> list[str]:
    """The eight cells of a line."""
    if found is None:
        return [line.what, line.target, "", "", "", "", "", "not measured"]
    if found.failed:
        return [line.what, line.target, "", "", "", "", "", f"not measured: {found.failed}"]
    ratio = ""
    if found.ratio is not None:
        ratio, low, high = (f"{value:.2f}" for value in found.ratio)
        ratio = ratio if low == high else f"{ratio} ({low} to {high})"
    ceiling = "" if found.ceiling is None else f"{number(found.ceiling / 1e12)} TFLOP/s"
    share = "" if found.share is None else f"{found.share:.0%}"
    what = f"{line.what} ({found.note})" if found.note else line.what
    return [
        what,
        line.target,
        spread(found.plain, line.unit),
        spread(found.ours, line.unit),
        ratio,
        ceiling,
        share,
        met(line, found),
    ]


def met(line: Line, found: Found) -> str:
    """Whether the target is reached."""
    value = {
        "ratio": found.ratio[0] if found.ratio else None,
        "share": found.share,
        "ours": found.ours.median if found.ours else None,
    }[line.figure]
    if value is None or (line.least is None and line.most is None):
        return ""
    return "yes" if (line.least is None or value >= line.least) and (line.most is None or value <= line.most) else "no"


def spread(values: Spread | None, unit: str) -> str:
    """The median, and the range if there is one."""
    if values is None:
        return ""
    middle = _with_unit(values.median, unit)
    if values.count == 1:
        return middle
    return f"{middle} ({number(values.low)} to {number(values.high)})"


def _with_unit(value: float, unit: str) -> str:
    return (
        f"{100 * value:.3g}%" if unit == "%" else f"{number(value)} times" if unit == "x" else f"{number(value)} {unit}"
    )


def number(value: float) -> str:
    """Three digits, or as many as there are before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


_INTRODUCTION = """# How fast it is

Written by `python benchmarks/speed.py`. Every figure is a ratio, measured side by side in one run against a plain
implementation, `benchmarks/plain.py`: what the authors' PyTorch program does, as somebody would run it who has
installed PyTorch and nothing else. It has 32 bits, batch 1, a call for each picture and network, and decodes,
translates and encodes one after the other. Tests see that it computes what the engine computes
(`tests/benchmarks/test_plain.py`).

Both sides are processes of their own that take turns. Figures are medians, with the lowest and the highest turn behind
them. The *ceiling* is what a matrix product of the same precision reaches on that machine, in the same turns (1 TFLOP
is 10^12 multiplications or additions), and *of the ceiling* is what the convolutions of the work reach of it; in fp32
that can pass 100%, since they are counted as they are written and trained with fewer multiplications (0020). A ceiling
is of its moment: where it is lower than that of another row in the same precision, the machine was busy, and the share
looks better than it is. Seconds are of this machine, and of no other; ratios tell more, but another machine has others,
too. Rows are measured in pieces: the last column names the day and the commit of each.

What brought it, what was tried and dropped, and what each costs: `docs/decisions/0014` to `0024`.
"""


def document(results: Results) -> str:
    """The whole of docs/benchmarks.md."""
    parts = [_INTRODUCTION]
    for column, name in COLUMN_NAMES.items():
        stored = results.get(column, {})
        parts.append(f"## {name}\n")
        if not stored:
            parts.append("Not measured: no GPU was there.\n" if column == "gpu" else "Not measured.\n")
        letters = machine_letters(stored)
        for words, letter in letters.items():
            parts.append(f"({letter}) {words}.\n" if len(letters) > 1 else f"{words}.\n")
        if any(origin.quick for origin in stored.values()):
            parts.append("**With --quick: networks and pictures are small, and these figures mean nothing.**\n")
        parts.append(table(column, stored) + "\n")
    return "\n".join(parts)
