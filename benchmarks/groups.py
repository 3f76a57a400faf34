"""What measures the lines of docs/benchmarks.md: a function for each group of lines that are measured together."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import convert_many, convert_small
from benchmarks.machine import cores
from benchmarks.photographs import photograph, write_photographs
from benchmarks.table import Column, Found, number
from benchmarks.turns import Answer, Spread, TurnError, Worker, all_of, in_turns, run_json

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Scale:
    """How large what is measured is.

    Attributes:
        size: Side of the pictures trained on and converted, in pixels.
        blocks: Of the generators.
        channels: Of all networks.
        turns: How often each side of a step is measured.
        rounds: How often each side is where that takes minutes, as whole commands do.
        jpegs: Pictures converted by one command.
        most_files: Of the conversions that ask whether there may be many, those of the largest.
        megapixels: Sizes of which a megapixel should cost the same.
        large: Width and height of the photograph.
        seconds: Of training, where it is watched while it goes on.
        steps_a_turn: Steps measured together on a GPU, which is not waited for between them.
        quick: Whether nothing is measured in earnest.
    """

    size: int = 256
    blocks: int = 9
    channels: int = 64
    turns: int = 5
    rounds: int = 2
    jpegs: int = 200
    most_files: int = 10_000
    megapixels: tuple[float, ...] = (0.065536, 1, 8, 24)
    large: tuple[int, int] = (3464, 2308)
    seconds: float = 40
    steps_a_turn: int = 20
    quick: bool = False


QUICK = Scale(
    size=64,
    blocks=2,
    channels=16,
    turns=2,
    rounds=1,
    jpegs=10,
    most_files=1000,
    megapixels=(0.065536, 0.5),
    large=(640, 480),
    seconds=3,
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
            note = f"{name}; {chosen(last[key]['choices'])}"
            if key == "batch_8":
                one = Found(ours=Spread.of(seconds[key]), note=note)
            else:
                one = faster(seconds["plain"], seconds[key], note=note)
            found[key] = under_ceiling(one, answers["ceiling"], name, (8 if key == "batch_8" else 1) * flops)
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
    pictures = write_photographs(work.folder / "pictures", scale.jpegs, size=(scale.size, scale.size))
    extra = work.column == "cpu" and convert_small.has_extra()
    found = converted(work, pictures, pixels=scale.jpegs * scale.size**2, what=f"{scale.jpegs:,} files", extra=extra)
    return {"files": found["ours"], "extra": found.get("extra", Found(failed="OpenVINO is not installed"))}


def measure_large(work: Work) -> dict[str, Found]:
    """Whole commands on one large picture."""
    width, height = work.scale.large
    source = work.folder / "large.jpg"
    photograph(0, (width, height)).save(source, quality=92)
    return {"photograph": converted(work, source, pixels=width * height, what="one file")["ours"]}


def converted(work: Work, source: Path, *, pixels: int, what: str, extra: bool = False) -> dict[str, Found]:
    """Convert a picture or a folder of them with both, in turns, and compare also what came out.

    Returns:
        "ours" and, if `extra`, "extra": ours with OpenVINO.
    """
    scale = work.scale
    model = convert_small.draw_model(work.folder, scale.blocks, scale.channels)
    rates = []
    with Worker(ceiling_command(work)) as ceiling:
        rates.append(ceiling.turn())
        given = convert_small.beside_plain(
            model,
            source,
            work.folder,
            rounds=scale.rounds,
            device=work.device,
            extra=extra,
            after_round=lambda: rates.append(ceiling.turn()),
        )
    precision = _precision(work.device)
    found = {}
    for name, one in {"ours": given, **({"extra": given["extra"]} if extra else {})}.items():
        sizes = one["bytes"]["ours"] / one["bytes"]["plain"]
        program = "OpenVINO, " if name == "extra" else ""
        note = (
            f"{what}; {rounds(scale)}; {program}{precision}; results differ by {one['mean_levels']:.2f} levels of 255 "
            f"on average, {one['most_levels']} at most, and are {sizes:.2f} times as large"
        )
        seconds = one["seconds"]
        faster_one = faster(seconds["plain"], seconds["ours"], note=note)
        found[name] = under_ceiling(faster_one, rates, precision, picture_flops(scale, pixels))
    return found


def rounds(scale: Scale) -> str:
    """How often each side has had its turn, in words."""
    return "once each, in turns" if scale.rounds == 1 else f"{scale.rounds} rounds"


def measure_many(work: Work) -> dict[str, Found]:
    """Whether time and memory of a conversion depend on how many files there are."""
    command = [PYTHON, HERE / "convert_many.py", "--most", work.scale.most_files, "--turns", work.scale.turns, "--json"]
    found = run_json(command, timeout=3600)
    of_what = f"of {convert_many.SIZE} px, by a network with next to nothing to compute"
    words = "{:,} files against {:,}, {}".format
    # Of memory the target is about 10,000 files; what more of them take is told beside it.
    (few, memory_of_few), (many, memory_of_many), *more = found["memory"]
    further = "".join(f"; {memory / 1e9:.2f} GB with {count:,}" for count, memory in more)
    note = f"{words(found['many'], found['few'], of_what)}; in turns"
    return {
        "time": compared(found["few_ms"], found["many_ms"], note=note),
        "memory": compared([memory_of_few / 1e9], [memory_of_many / 1e9], note=words(many, few, of_what) + further),
    }


def measure_megapixels(work: Work) -> dict[str, Found]:
    """Whether a megapixel costs the same in small and in large pictures, with the network of the preset "quick"."""
    seconds: dict[float, list[float]] = {megapixels: [] for megapixels in work.scale.megapixels}
    for _ in range(work.scale.rounds):
        for megapixels, times in seconds.items():
            command = [PYTHON, HERE / "large_pictures.py", "--one", "usual", "quick", megapixels]
            # Small ones are soon done, and what else the machine does weighs more.
            again = 3 if megapixels <= 1 else 1
            times += [
                run_json([*command, "--spill", work.folder], timeout=1800)["seconds"] / megapixels for _ in range(again)
            ]
    each = {megapixels: Spread.of(times).median for megapixels, times in seconds.items()}
    words = ", ".join(f"{number(median)} s at {number(megapixels)} MP" for megapixels, median in each.items())
    ratio = max(each.values()) / min(each.values())
    return {"each": Found(ratio=(ratio, ratio, ratio), note=f"{words}; {rounds(work.scale)}")}


def measure_paint(work: Work) -> dict[str, Found]:
    """When the window is drawn, beside a bare one."""
    _needs_qt()
    rounds = 3 if work.scale.quick else 11
    given = run_json([PYTHON, HERE / "first_paint.py", "--rounds", rounds, "--json"], timeout=600)
    bare = [given["bare_ms"]]
    return {
        "first": compared(bare, [given["first_ms"]], note=f"medians of {rounds}"),
        "page": compared(bare, [given["page_ms"]]),
        "whole": compared(bare, [given["whole_ms"]]),
    }


def measure_lag(work: Work) -> dict[str, Found]:
    """How long the window keeps someone waiting."""
    _needs_qt()
    threads = cores()
    command = [PYTHON, HERE / "event_loop_lag.py", "--seconds", work.scale.seconds, "--threads", threads, "--json"]
    given = run_json(command, timeout=600)
    note = f"{given['threads']} threads of {threads} cores, preset {given['preset']}"
    found = {}
    for phase in ("until the first step", "training", "converting"):
        for figure in ("p99", "longest"):
            value = given[phase][f"{figure}_ms"]
            found[f"{phase}, {figure}"] = Found(ours=Spread.of([value]), note=note if phase == "training" else "")
    return found


def _needs_qt() -> None:
    if importlib.util.find_spec("PySide6") is None:
        raise TurnError("PySide6 is not installed there")


def measure_waits(work: Work) -> dict[str, Found]:
    """Which share of its time a training waits for pictures."""
    command = [PYTHON, HERE / "data_waits.py", "--json", "--only-waiting", "--seconds", work.scale.seconds]
    given = run_json([*command, *(["--quick"] if work.scale.quick else [])], timeout=600)["waiting"]
    small, large = (next(given[name] for name in given if size in name) for size in ("256 px", "12 megapixels"))
    return {
        "small": Found(ours=Spread.of([max(small.values())]), note="standard preset"),
        "large": Found(ours=Spread.of([large.get("later", large["first epoch"])]), note="quick preset, after an epoch"),
    }


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

# Arithmetic


def faster(plain: Sequence[float], ours: Sequence[float], *, note: str = "") -> Found:
    """How many times as fast ours is, turn by turn."""
    ratios = [one / other for one, other in zip(plain, ours, strict=True)]
    one, other = Spread.of(plain), Spread.of(ours)
    return Found(one, other, (one.median / other.median, min(ratios), max(ratios)), note=note)


def compared(plain: Sequence[float], ours: Sequence[float], *, note: str = "") -> Found:
    """How many times as much ours takes, turn by turn."""
    ratios = [other / one for one, other in zip(plain, ours, strict=True)]
    one, other = Spread.of(plain), Spread.of(ours)
    return Found(one, other, (other.median / one.median, min(ratios), max(ratios)), note=note)


def under_ceiling(found: Found, rates: Sequence[Answer], precision: str, flops: float) -> Found:
    """The same with the ceiling, and what work of so many FLOP reaches of it, by the medians."""
    assert found.ours is not None
    ceiling = Spread.of([rate[precision] for rate in rates]).median
    return replace(found, ceiling=ceiling, share=flops / found.ours.median / ceiling)


def step_flops(scale: Scale) -> float:
    """FLOP of a training step with one picture of each side, all of its convolutions forward and backward."""

    def act(plain: Any, x: Any) -> None:
        model = plain.CycleGAN(**_networks(scale), device="meta")
        for optimizer in (model.optimizer_G, model.optimizer_D):
            # Adam has no convolutions, and asks for numbers that are not there.
            optimizer.step = lambda: None
        model.step(x, x)

    return _counted(act, scale.size)


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
    """What measures the ceiling, in turns."""
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
