"""How fast this is: every figure of docs/benchmarks.md in one command.

    python benchmarks/speed.py [--quick] [--rows step convert ...] [--to docs/benchmarks.md]

Each figure is a ratio, measured side by side in one run against the plain implementation (`benchmarks/plain.py`), or
against what is named: processes of their own take turns, A B A B, and what is printed is the median and the range.
Beside it stands the ceiling: the rate of a matrix product of the same precision, measured in the same turns, and which
share of it the work's own multiplications reach. A row that fails says why; the others go on.

It takes about 20 minutes, and should have the machine to itself. `--quick` takes two with networks and pictures so
small that the figures mean nothing: it shows that everything runs, and writes nothing unless told where to. `--rows`
measures some of the rows, and takes the others from what is stored beside the document (benchmarks.json), so that the
whole can be done in pieces, and the processor and a GPU in two places.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.photographs import photograph, write_photographs
from benchmarks.turns import Answer, Spread, TurnError, all_of, in_turns, run_json, run_timed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYTHON = sys.executable
Column = Literal["cpu", "gpu"]
Figure = Literal["ratio", "share", "ours"]
# More than that of the processor in use by others when a row begins is worth saying.
_MUCH = 0.1
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
        share: Share of the ceiling that ours reaches.
        note: What else should be known.
        failed: Why it could not be measured.
    """

    plain: Spread | None = None
    ours: Spread | None = None
    ratio: tuple[float, float, float] | None = None
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
class Scale:
    """How large what is measured is.

    Attributes:
        size: Side of the pictures trained on and converted, in pixels.
        blocks: Of the generators.
        channels: Of all networks.
        turns: How often each side is measured.
        jpegs: Pictures converted by one command.
        most_files: Of the conversions that ask whether there may be many, those of the largest.
        megapixels: Sizes of which a megapixel should cost the same.
        large: Width and height of the photograph.
        steps_a_turn: Steps measured together on a GPU, which is not waited for between them.
        quick: Whether nothing is measured in earnest.
    """

    size: int = 256
    blocks: int = 9
    channels: int = 64
    turns: int = 5
    jpegs: int = 200
    most_files: int = 10_000
    megapixels: tuple[float, ...] = (0.065536, 1, 8, 24)
    large: tuple[int, int] = (3464, 2308)
    steps_a_turn: int = 20
    quick: bool = False


QUICK = Scale(
    size=64,
    blocks=2,
    channels=16,
    turns=2,
    jpegs=10,
    most_files=1000,
    megapixels=(0.065536, 0.5),
    large=(640, 480),
    steps_a_turn=2,
    quick=True,
)


@dataclass(frozen=True, slots=True)
class Work:
    """What a group is given.

    Attributes:
        scale: How large everything is.
        column: What it is measured on.
        folder: For its files; empty.
    """

    scale: Scale
    column: Column
    folder: Path

    @property
    def device(self) -> str:
        """The device's name."""
        return "cuda" if self.column == "gpu" else "cpu"

    @property
    def network(self) -> list[object]:
        """Arguments that say how large the networks are."""
        return ["--blocks", self.scale.blocks, "--channels", self.scale.channels]


# What is measured


def measure_step(work: Work) -> dict[str, Found]:
    """The training step of both, and its memory."""
    scale = work.scale
    A, B = _two_sides(work)
    a_turn = scale.steps_a_turn if work.column == "gpu" else 1
    common = [A, B, *work.network, "--size", scale.size, "--device", work.device, "--turns", "--a-turn", a_turn]
    plain = [PYTHON, HERE / "plain.py", "train", *common, "--load-size", scale.size * 286 // 256]
    ours = [PYTHON, HERE / "step.py", *common]
    commands = {"plain": plain, "auto": ours, "ceiling": ceiling_command(work)}
    if work.column == "cpu":
        commands["fp32"] = [*ours, "--precision", "fp32"]
    else:
        commands["batch_8"] = [*ours, "--batch", 8]
    with all_of(commands, patience=600) as workers:
        answers = in_turns(workers, scale.turns)
        last = {name: worker.finish() for name, worker in workers.items()}
    seconds = {name: [answer["seconds"] for answer in answers[name]] for name in commands if name != "ceiling"}
    precision = last["auto"]["choices"]["precision"]
    flops = step_flops(scale)
    found = {}
    for key, name in (("auto", precision), ("fp32", "fp32"), ("batch_8", precision)):
        if key in seconds:
            share = share_of(answers["ceiling"], name, (8 if key == "batch_8" else 1) * flops, seconds[key])
            note = f"{name}; {chosen(last[key]['choices'])}"
            if key == "batch_8":
                found[key] = Found(None, Spread.of(seconds[key]), None, share, note)
            else:
                found[key] = faster(seconds["plain"], seconds[key], share=share, note=note)
    found["memory"] = compared([last["plain"]["peak_bytes"] / 1e9], [last["auto"]["peak_bytes"] / 1e9])
    return found


def _two_sides(work: Work) -> list[Path]:
    """Folders of pictures to train on."""
    size = (work.scale.size, work.scale.size)
    return [write_photographs(work.folder / side, 8, size=size, first=first) for side, first in (("A", 0), ("B", 100))]


def measure_gpu_memory(work: Work) -> dict[str, Found]:
    """What trainings take of a GPU's memory."""
    scale = work.scale
    common = [*_two_sides(work), *work.network, "--device", work.device, "--steps", 3]
    commands = {
        "standard": [PYTHON, HERE / "step.py", *common, "--size", scale.size],
        "saving": [PYTHON, HERE / "step.py", *common, "--size", 2 * scale.size, "--per-direction", "--recompute"],
    }
    peaks = {name: run_json(command, timeout=300)["peak_bytes"] / 1e9 for name, command in commands.items()}
    return {name: Found(ours=Spread.of([peak])) for name, peak in peaks.items()}


def measure_convert(work: Work) -> dict[str, Found]:
    """Whole commands on many small pictures."""
    scale = work.scale
    command = [PYTHON, HERE / "convert_small.py", "--count", scale.jpegs, "--size", scale.size, *work.network]
    before = run_json(ceiling_command(work)[:-1], timeout=120)
    given = run_json([*command, "--rounds", max(2, scale.turns // 2), "--device", work.device, "--json"], timeout=3600)
    rates = [before, run_json(ceiling_command(work)[:-1], timeout=120)]
    ours, precision = given["seconds"]["ours"], _precision(work.device)
    sizes = given["bytes"]["ours"] / given["bytes"]["plain"]
    note = (
        f"{scale.jpegs} files; {precision}; results differ by {given['mean_levels']:.2f} levels of 255 on average, "
        f"{given['most_levels']} at most, and are {sizes:.2f} times as large"
    )
    share = share_of(rates, precision, picture_flops(scale, scale.jpegs * scale.size**2), ours)
    return {
        "files": faster(given["seconds"]["plain"], ours, share=share, note=note),
        "extra": Found(failed="there is no such extra"),
    }


def measure_many(work: Work) -> dict[str, Found]:
    """Whether time and memory of a conversion depend on how many files there are."""
    counts = [count for count in (100, 1000, 10_000, 100_000) if count <= work.scale.most_files]
    command = [PYTHON, HERE / "convert_small.py", "--scaling", "--counts", *counts, "--json"]
    rows = run_json(command, timeout=3600)["rows"]
    # The first row has the start in it, and so has no time of its own a file.
    each = [row["ms_each"] for row in rows if row["ms_each"] is not None]
    memory = [row["memory_bytes"] / 1e9 for row in rows]
    words = f"{counts[-1]:,} files against {counts[1]:,}"
    return {
        "time": compared([each[0]], [each[-1]], note=words),
        "memory": compared([memory[1]], [memory[-1]], note=words),
    }


def measure_megapixels(work: Work) -> dict[str, Found]:
    """Whether a megapixel costs the same in small and in large pictures, with the network of the preset "quick"."""
    each: dict[float, float] = {}
    for megapixels in work.scale.megapixels:
        # Above half a megapixel a processor streams.
        way = "whole" if megapixels < 0.5 else "streamed"
        command = [PYTHON, HERE / "large_pictures.py", "--one", way, "quick", megapixels, "--spill", work.folder]
        times = 3 if megapixels <= 1 else 1
        seconds = [run_json(command, timeout=1800)["seconds"] for _ in range(times)]
        each[megapixels] = Spread.of(seconds).median / megapixels
    words = ", ".join(f"{_number(seconds)} s at {megapixels:.2g} MP" for megapixels, seconds in each.items())
    ratio = max(each.values()) / min(each.values())
    return {"each": Found(ratio=(ratio, ratio, ratio), note=words)}


def measure_paint(work: Work) -> dict[str, Found]:
    """When the window is drawn, beside a bare one."""
    rounds = 3 if work.scale.quick else 11
    given = run_json([PYTHON, HERE / "first_paint.py", "--rounds", rounds, "--json"], timeout=600)
    bare = [given["bare_ms"]]
    return {
        "first": compared(bare, [given["first_ms"]], note=f"medians of {rounds}"),
        "whole": compared(bare, [given["whole_ms"]]),
    }


def measure_lag(work: Work) -> dict[str, Found]:
    """How long the window keeps someone waiting."""
    seconds, threads = (3 if work.scale.quick else 40), _cores()
    command = [PYTHON, HERE / "event_loop_lag.py", "--seconds", seconds, "--threads", threads, "--json"]
    given = run_json(command, timeout=600)
    note = f"{given['threads']} threads of {threads} cores, preset {given['preset']}"
    found = {}
    for phase in ("until the first step", "training", "converting"):
        for figure in ("p99", "longest"):
            value = given[phase][f"{figure}_ms"]
            found[f"{phase}, {figure}"] = Found(ours=Spread.of([value]), note=note if phase == "training" else "")
    return found


def measure_waits(work: Work) -> dict[str, Found]:
    """Which share of its time a training waits for pictures."""
    command = [PYTHON, HERE / "data_waits.py", "--json", *(["--quick"] if work.scale.quick else [])]
    given = run_json(command, timeout=600)["waiting"]
    small, large = (next(given[name] for name in given if size in name) for size in ("256 px", "12 megapixels"))
    return {
        "small": Found(ours=Spread.of([max(small.values())]), note="standard preset"),
        "large": Found(ours=Spread.of([large.get("later", large["first epoch"])]), note="quick preset, after an epoch"),
    }


def measure_large(work: Work) -> dict[str, Found]:
    """Whole commands on one large picture."""
    width, height = work.scale.large
    source = work.folder / "large.jpg"
    photograph(0, (width, height)).save(source, quality=92)
    return {"photograph": converted(work, source, pixels=width * height, turns=max(2, work.scale.turns // 2))}


def converted(work: Work, sources: Path, *, pixels: int, turns: int) -> Found:
    """Convert the same with both, by commands taken from start to end, and compare also what came out."""
    scale, folder = work.scale, work.folder
    run_timed([PYTHON, HERE / "plain.py", "draw", folder / "networks", *work.network], timeout=120)
    network, model = folder / "networks/latest_net_G_A.pth", folder / "model.safetensors"
    cyclegan = [PYTHON, "-m", "engine"]
    run_timed([*cyclegan, "import", network, "--names", "A", "B", "--to", model, "--size", scale.size], timeout=120)
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    rates = []
    for turn in range(turns):
        to = {name: folder / f"{name} {turn}" for name in seconds}
        plain = [PYTHON, HERE / "plain.py", "convert", network, sources, "--to", to["plain"], "--device", work.device]
        ours = [*cyclegan, "convert", model, sources, "--to", to["ours"], "--direction", "a2b", "--format", "png"]
        seconds["plain"].append(run_timed(plain, timeout=1800))
        seconds["ours"].append(run_timed([*ours, "--device", work.device], timeout=1800))
        rates.append(run_json(ceiling_command(work)[:-1], timeout=120))
    mean, most = differences(folder / "plain 0", folder / "ours 0")
    precision = _precision(work.device)
    note = f"{precision}; results differ by {mean:.2f} levels of 255 on average, {most} at most"
    share = share_of(rates, precision, picture_flops(scale, pixels), seconds["ours"])
    return faster(seconds["plain"], seconds["ours"], share=share, note=note)


GROUPS: dict[str, Callable[[Work], dict[str, Found]]] = {
    "step": measure_step,
    "convert": measure_convert,
    "large": measure_large,
    "many": measure_many,
    "megapixels": measure_megapixels,
    "paint": measure_paint,
    "lag": measure_lag,
    "waits": measure_waits,
    "gpu_memory": measure_gpu_memory,
}

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
        Line("paint", "whole", "The same until its first page is drawn", unit="ms"),
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


# Arithmetic


def faster(plain: Sequence[float], ours: Sequence[float], *, share: float | None = None, note: str = "") -> Found:
    """How many times as fast ours is, turn by turn."""
    ratios = [one / other for one, other in zip(plain, ours, strict=True)]
    one, other = Spread.of(plain), Spread.of(ours)
    return Found(one, other, (one.median / other.median, min(ratios), max(ratios)), share, note)


def compared(plain: Sequence[float], ours: Sequence[float], *, note: str = "") -> Found:
    """How many times as much ours takes, turn by turn."""
    ratios = [other / one for one, other in zip(plain, ours, strict=True)]
    one, other = Spread.of(plain), Spread.of(ours)
    return Found(one, other, (other.median / one.median, min(ratios), max(ratios)), None, note)


def share_of(rates: Sequence[Answer], precision: str, flops: float, seconds: Sequence[float]) -> float:
    """What work of so many FLOP reaches of the ceiling, by the medians."""
    return flops / Spread.of(seconds).median / Spread.of([rate[precision] for rate in rates]).median


def step_flops(scale: Scale) -> float:
    """FLOP of a training step with one picture of each side, all of its convolutions forward and backward."""
    return _counted(lambda plain, x: plain.CycleGAN(**_networks(scale), device="meta").step(x, x), scale.size)


def picture_flops(scale: Scale, pixels: int) -> float:
    """FLOP of translating so many pixels."""
    return _counted(lambda plain, x: plain.Generator(**_networks(scale))(x), 64) * pixels / 64**2


def _networks(scale: Scale) -> dict[str, int]:
    return {"blocks": scale.blocks, "channels": scale.channels}


def _counted(act: Callable[[Any, Any], object], size: int) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks import plain

    # On the device "meta" nothing is computed.
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        act(plain, torch.empty(1, 3, size, size))
    return float(counter.get_total_flops())


def ceiling_command(work: Work) -> list[object]:
    """What measures the ceiling, in turns; without its last argument once."""
    return [PYTHON, HERE / "ceiling.py", "--device", work.device, "--turns"]


def _precision(device: str) -> str:
    """What a conversion there computes in, if it is not told."""
    import torch

    from engine.device import choose_precision

    return choose_precision("auto", torch.device(device))


def chosen(choices: Answer) -> str:
    """What a training has chosen, in words."""
    threads = f"{choices['threads']} thread{'' if choices['threads'] == 1 else 's'}"
    return f"{threads}, two batches in one call" if choices.get("batched") else threads


def differences(one: Path, other: Path) -> tuple[float, int]:
    """The mean and the largest difference between pictures of the same names, in levels of 255."""
    import numpy as np
    from PIL import Image

    total, count, most = 0.0, 0, 0
    for path in sorted(one.rglob("*.png"))[:200]:
        pair = [np.asarray(Image.open(folder / path.name).convert("RGB"), np.int16) for folder in (one, other)]
        difference = np.abs(pair[0] - pair[1])
        total, count, most = total + float(difference.sum()), count + difference.size, max(most, int(difference.max()))
    return total / max(1, count), most


# The document


def machine(column: Column) -> dict[str, str]:
    """What the figures were measured on and with."""
    import torch

    words = {"processor": _processor(), "system": platform.platform(terse=True), "python": platform.python_version()}
    if column == "gpu":
        words["gpu"] = torch.cuda.get_device_name()
    words["torch"] = torch.__version__
    for package in ("PySide6", "pillow"):
        words[package] = _version(package)
    words["commit"] = _commit()
    return words


def _processor() -> str:
    name, flags = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        info = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
            if ":" in line
        )
        name, flags = info.get("model name", name), info.get("flags", "")
    units = next(
        (f", {unit}" for flag, unit in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 BF16")) if flag in flags), ""
    )
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"
    return f"{name}, {_cores()} cores{units}{memory}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def others_share() -> float:
    """Which share of the processor's time other programs use now, 0 where the system does not tell."""
    counts = []
    if not Path("/proc/stat").exists():
        return 0.0
    for seconds in (2.0, 0.0):
        # user, nice, system, idle, waiting for disks, interrupts twice, taken by other machines on the same host
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        counts.append([int(field) for field in fields])
        time.sleep(seconds)
    passed = [after - before for before, after in zip(*counts, strict=True)]
    return 1 - (passed[3] + passed[4]) / max(1, sum(passed))


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    for name in (package, f"{package}-Essentials"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout.strip() or "unknown"


def table(column: Column, stored: dict[str, Any], *, judged: bool = True) -> str:
    """The lines of a column as Markdown; whether targets are reached is said only where that is `judged`."""
    rows = [
        "| what | target | plain | ours | ratio | of the ceiling | reached |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in LINES[column]:
        values = stored.get(f"{line.group}.{line.key}")
        row = cells(line, None if values is None else Found.from_json(values))
        rows.append(f"| {' | '.join(row if judged or row[-1] not in ('yes', 'no') else [*row[:-1], ''])} |")
    return "\n".join(rows)


def cells(line: Line, found: Found | None) -> list[str]:
    """The seven cells of a line."""
    if found is None:
        return [line.what, line.target, "", "", "", "", "not measured"]
    if found.failed:
        return [line.what, line.target, "", "", "", "", f"not measured: {found.failed}"]
    ratio = ""
    if found.ratio is not None:
        ratio, low, high = (f"{value:.2f}" for value in found.ratio)
        ratio = ratio if low == high else f"{ratio} ({low} to {high})"
    share = "" if found.share is None else f"{found.share:.0%}"
    what = f"{line.what} ({found.note})" if found.note else line.what
    return [
        what,
        line.target,
        spread(found.plain, line.unit),
        spread(found.ours, line.unit),
        ratio,
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
    return f"{middle} ({_number(values.low)} to {_number(values.high)})"


def _with_unit(value: float, unit: str) -> str:
    return (
        f"{100 * value:.3g}%"
        if unit == "%"
        else f"{_number(value)} times"
        if unit == "x"
        else f"{_number(value)} {unit}"
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


_INTRODUCTION = """# How fast it is

Written by `python benchmarks/speed.py`. Every figure is a ratio, measured side by side in one run against a plain
implementation, `benchmarks/plain.py`: what the authors' PyTorch program does, as somebody would run it who has
installed PyTorch and nothing else. It has 32 bits, batch 1, a call for each picture and network, and decodes,
translates and encodes one after the other. Tests see that it computes what the engine computes
(`tests/benchmarks/test_plain.py`).

Both sides are processes of their own that take turns. Figures are medians, with the lowest and the highest turn behind
them. *Of the ceiling* is the share that the multiplications of the work reach of what a matrix product of the same
precision reaches on that machine, in the same turns. Seconds are of this machine, and of no other; ratios tell more,
but another machine has others, too.

What brought it, what was tried and dropped, and what each costs: `docs/decisions/0014` to `0019`.
"""


def document(results: dict[str, Any]) -> str:
    """The whole of docs/benchmarks.md."""
    parts = [_INTRODUCTION]
    for column, name in COLUMN_NAMES.items():
        stored = results.get(column)
        parts.append(f"## {name}\n")
        if stored is None:
            parts.append("Not measured: no GPU was there.\n" if column == "gpu" else "Not measured.\n")
            parts.append(table(column, {}) + "\n")
            continue
        words = ", ".join(
            f"{key} {value}" if key not in ("processor", "gpu") else value for key, value in stored["machine"].items()
        )
        parts.append(f"{words}; measured on {stored['date']}.\n")
        if stored["quick"]:
            parts.append("**With --quick: networks and pictures are small, and these figures mean nothing.**\n")
        parts.append(table(column, stored["lines"], judged=not stored["quick"]) + "\n")
    return "\n".join(parts)


def measure(column: Column, groups: Sequence[str], scale: Scale, stored: dict[str, Any]) -> dict[str, Any]:
    """Measure groups of lines, and put what is found in the place of what was stored."""
    lines = dict(stored.get("lines", {}))
    for group in groups:
        keys = [line.key for line in LINES[column] if line.group == group]
        if not keys:
            continue
        others = others_share()
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = GROUPS[group](Work(scale, column, Path(folder)))
            except Exception as error:  # One row must not cost the others.
                reason = str(error) if isinstance(error, TurnError) else f"{type(error).__name__}: {error}"
                found = {key: Found(failed=" ".join(reason.replace("|", "/").split())) for key in keys}
        if others > _MUCH:
            words = f"while other programs took {others:.0%} of the processor"
            found = {
                key: replace(value, note=f"{value.note}; {words}" if value.note else words)
                for key, value in found.items()
            }
        lines |= {f"{group}.{key}": asdict(value) for key, value in found.items()}
        print(f"{COLUMN_NAMES[column]}, {group}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return {"machine": machine(column), "date": datetime.date.today().isoformat(), "quick": scale.quick, "lines": lines}


def has_gpu() -> bool:
    """Whether there is a GPU to measure on."""
    import torch

    return torch.cuda.is_available()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it runs: small networks, few pictures")
    parser.add_argument("--rows", nargs="*", choices=list(GROUPS), help="measure these (all)")
    parser.add_argument("--column", nargs="+", choices=list(COLUMN_NAMES), help="on these (those that there are)")
    parser.add_argument("--jpegs", type=int, help=f"pictures of the row convert ({Scale().jpegs})")
    parser.add_argument("--most-files", type=int, help=f"files of the row many ({Scale().most_files})")
    parser.add_argument("--megapixels", type=float, nargs="+", help="sizes of the row megapixels (0.065536 1 8 24)")
    parser.add_argument("--turns", type=int, help=f"how often each side is measured ({Scale().turns})")
    parser.add_argument("--to", type=Path, help="the document; results are stored beside it (docs/benchmarks.md)")
    options = parser.parse_args(arguments)
    values = asdict(QUICK if options.quick else Scale())
    values |= {
        name: getattr(options, name)
        for name in ("jpegs", "most_files", "megapixels", "turns")
        if getattr(options, name) is not None
    }
    to = options.to or (None if options.quick else ROOT / "docs/benchmarks.md")
    if sys.platform == "linux" and not os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    store = None if to is None else to.with_suffix(".json")
    results: dict[str, Any] = json.loads(store.read_text(encoding="utf-8")) if store and store.exists() else {}
    for column in options.column or [name for name in COLUMN_NAMES if name == "cpu" or has_gpu()]:
        for group in list(GROUPS) if options.rows is None else options.rows:
            results[column] = measure(column, [group], Scale(**values), results.get(column, {}))
            # After each, so that who stops it half way keeps what there is.
            if to is not None and store is not None:
                to.parent.mkdir(parents=True, exist_ok=True)
                store.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
                to.write_text(document(results), encoding="utf-8")
    print(document(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
