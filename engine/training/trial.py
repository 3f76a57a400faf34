"""What an estimate is made of: the real training for a few steps, in a process of its own that may run out of memory.

It runs in a child, since what is measured is the most memory that a process has ever held, and since the system may
kill it. The training is the real one, in a folder that is thrown away: whatever it does beside its steps is measured
with them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.config import TrainConfig
from engine.data.picture_cache import CacheRoom, is_worth_a_file
from engine.data.preprocess import read_resized
from engine.device import (
    available_memory,
    describe_device,
    peak_resident_memory,
    reading_threads,
    refuse_more_memory,
    resident_memory,
)
from engine.errors import EngineError, PictureError
from engine.events import Preparing, QualityMeasured, SamplesDrawn, Saved, StepReport, TrainEvent, TrainStarted
from engine.training.memory_remedies import memory_remedies
from engine.training.preparing import choose, find_pictures, make_model, ranks_of
from engine.training.run import Choices, Pictures, Run
from engine.training.schedule import steps_per_epoch, total_steps
from engine.training.steps import cache_room, training_errors
from engine.training.trainer import train

REPORT_NAME = "trial.jsonl"
"""A line a stage, in the folder that `try_out` is given: first its `Facts`, then how far it is."""

_ENOUGH_SECONDS = 6.0
_PARTS = 20
_SLOW_STEP_SECONDS = 4.0
_READ_SECONDS = 1.5
_READ_MOST = 16
_BENCH_SECONDS = 1.5
# Of a full image pool, what the bytes of a checkpoint take on top while they are put together.
_COPIES_OF_STATE = 2.0
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known before the first step.

    Attributes:
        device: The device in words.
        precision: "fp32", "bf16" or "fp16".
        memory_free_bytes: Memory of that device that was free before.
        steps_per_epoch: Steps of an epoch.
        total_steps: Steps of the whole training.
        remedies: What would need less memory, each as `dataclasses.asdict` has it.
    """

    device: str
    precision: str
    memory_free_bytes: int
    steps_per_epoch: int
    total_steps: int
    remedies: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a few steps have shown. All times are seconds.

    Attributes:
        facts: What was known before.
        prepare: Until the first step, and what the first step takes more than others.
        step: A step at the full size, its pictures at hand or read meanwhile.
        first_step: A step of the first epoch, whose pictures are read from their files.
        sizes: For a training that grows: by how much its pictures are smaller, and how long a step then takes as a
            share of one at the full size.
        samples: Drawing the samples.
        save: Writing a checkpoint with all that belongs to it.
        quality: Measuring the quality; 0 if that did not happen.
        memory_bytes: The most memory that the training will take on its device, beyond what its process had before.
    """

    facts: Facts
    prepare: float
    step: float
    first_step: float
    sizes: dict[int, float]
    samples: float
    save: float
    quality: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An error for the user, in pieces that survive the way out of the process."""

    kind: str
    message: str
    field: str


def try_out(values: dict[str, Any], folder: str) -> Measured | Refused:
    """Train a few steps; called in a process of its own.

    Args:
        values: `TrainConfig.to_json`.
        folder: An empty folder that the caller removes.
    """
    try:
        return _try_out(TrainConfig.from_json(values), Path(folder))
    except EngineError as error:
        return Refused(type(error).__name__, str(error), getattr(error, "field", ""))


def _try_out(config: TrainConfig, folder: Path) -> Measured:
    before = resident_memory()
    pictures = find_pictures(config)
    ranks = ranks_of(config)
    # One process of several is like the others, which exchange gradients while they compute others; and what grows is
    # largest at its full size.
    alone = dataclasses.replace(
        config,
        run=folder / "run",
        device="auto" if config.device == "all" else config.device,
        grow_from=None,
        max_minutes=None,
    )
    choices = choose(alone)
    device = torch.device(choices.device)
    epoch = steps_per_epoch(config, len(pictures.train_A), len(pictures.train_B), ranks)
    report = folder / REPORT_NAME
    facts = Facts(
        device=describe_device(device),
        precision=choices.precision,
        memory_free_bytes=available_memory(device),
        steps_per_epoch=epoch,
        total_steps=total_steps(config, epoch),
        remedies=tuple(map(dataclasses.asdict, memory_remedies(config, device, choices.precision))),  # type: ignore[arg-type]
    )
    _tell(report, dataclasses.asdict(facts))
    memory = _DeviceMemory(device, before)
    if device.type == "cpu":
        refuse_more_memory(facts.memory_free_bytes)
    reading = tuple(
        _reading(side, alone, grey)
        for side, grey in ((pictures.train_A, config.grey_A), (pictures.train_B, config.grey_B))
    )
    room = cache_room(device, config.run)
    total = sum(map(len, reading))
    rooms = [room.part(len(side), total) for side in reading]
    readers = reading_threads()
    sitting = _Sitting(alone, memory, report)
    with contextlib.closing(Run.open(alone.run)) as run:
        choices = run.choices  # With what it has found to be fastest.
    facts = dataclasses.replace(facts, device=describe_device(device))
    sides = list(zip(reading, rooms, strict=True))
    missing = sum(side.bytes_missing(room.memory, min(len(side), sitting.shown)) for side, room in sides)
    count = config.batch_size * config.accumulate
    read_first = count * sum(side.seconds for side in reading) / readers
    read_later = count * sum(side.seconds * (1 - side.cached_share(room)) for side, room in sides) / readers
    step = sitting.step
    shrinks = _shrinks(config)
    sizes = {1: 1.0}
    # Pictures are read beside the steps: where that takes longer, the steps have waited and must be taken alone.
    if shrinks or read_first > 0.8 * step:
        alone_seconds = _bench(alone, choices, (1, *shrinks))
        sizes = {shrink: seconds / alone_seconds[1] for shrink, seconds in alone_seconds.items()}
        if read_first > 0.8 * step:
            step = alone_seconds[1]
    return Measured(
        facts=facts,
        prepare=sitting.prepare + max(0.0, sitting.first - step),
        step=max(step, read_later),
        first_step=max(step, read_first),
        sizes=sizes,
        samples=sitting.samples,
        save=sitting.save,
        quality=sitting.quality,
        memory_bytes=memory.of_training(
            cached=missing if device.type == "cpu" else 0,
            pools=_missing_in_pools(config, pictures, facts.total_steps, sitting.shown),
            state=sitting.state_bytes,
        ),
    )


class _DeviceMemory:
    """The memory of a training's device, before it, at its steps, and while it saves.

    On a CPU it is what the process holds, less what it held before. On CUDA it is what torch reserves and what
    libraries take beside it, but not the context (some 0.5 GB), which is there already when the free memory is asked.
    """

    def __init__(self, device: torch.device, before: int) -> None:
        self._device = device
        self._before = before
        self._free = available_memory(device) if device.type == "cuda" else 0
        self.at_steps = self.at_rest = self.while_saving = 0

    def take_steps(self) -> None:
        """Look, after some steps, at the most that they took."""
        if self._device.type == "cuda":
            reserved = torch.cuda.memory_reserved(self._device)
            free, _ = torch.cuda.mem_get_info(self._device)
            beside = max(0, self._free - free - reserved)
            self.at_steps = torch.cuda.max_memory_reserved(self._device) + beside
        elif self._device.type == "mps":
            self.at_steps = torch.mps.driver_allocated_memory()
        else:
            self.at_steps = peak_resident_memory() - self._before
            self.at_rest = resident_memory() - self._before

    def take_saving(self) -> None:
        """Look, after a checkpoint was written, at the most that it took."""
        if self._device.type == "cpu":
            most = peak_resident_memory() - self._before
            # What was not the most yet has left no trace.
            self.while_saving = most if most > self.at_steps else 0

    def of_training(self, *, cached: int, pools: int, state: int) -> int:
        """The most that the whole training takes.

        Args:
            cached: Bytes of pictures that are still to be cached.
            pools: Bytes of pictures that the pools still lack.
            state: Bytes of a checkpoint.
        """
        at_steps = self.at_steps + cached + pools
        if self._device.type != "cpu":
            return at_steps
        copied = (self.while_saving - self.at_rest) / state if self.while_saving and state else _COPIES_OF_STATE
        saving = self.at_rest + cached + pools + copied * (state + pools)
        return int(max(at_steps, saving))


class _Sitting:
    """A few steps of the real training, and how long each kind of its work took.

    Attributes:
        prepare: Seconds until the first step was due.
        first: Seconds of the first step, which loads libraries and tunes kernels.
        step: Seconds of a step after it.
        samples: Seconds of drawing samples.
        save: Seconds of writing a checkpoint.
        quality: Seconds of measuring the quality, 0 if that did not happen.
        shown: Pictures of each side that were trained on.
        state_bytes: Size of a checkpoint.
    """

    def __init__(self, config: TrainConfig, memory: _DeviceMemory, report: Path) -> None:
        self.prepare = self.first = self.save = self.quality = self.samples = 0.0
        self._steps: list[tuple[int, float]] = []
        events = train(config)
        step = 0
        start = last = time.perf_counter()
        for event in events:
            now = time.perf_counter()
            self._take(event, now - last, now - start)
            if isinstance(event, StepReport):
                self._steps.append((event.step - step, now - last))
                step = event.step
                share = self._share_of_enough()
                _tell(report, {"done": round(_PARTS * share), "total": _PARTS})
                if share == 1:
                    memory.take_steps()
                    break
            last = time.perf_counter()
        else:
            memory.take_steps()
        start = time.perf_counter()
        events.close()  # type: ignore[attr-defined]  # It saves.
        memory.take_saving()
        if not self._has_ended(step, config):
            self.save = time.perf_counter() - start
        self.shown = step * config.batch_size * config.accumulate
        self.state_bytes = max(path.stat().st_size for path in (config.run / "checkpoints").iterdir())

    @property
    def step(self) -> float:
        """Seconds of a step, without the first one if there are others."""
        warm = self._steps[1:] or self._steps
        return sum(seconds for _, seconds in warm) / sum(steps for steps, _ in warm)

    def _take(self, event: TrainEvent, seconds: float, since_start: float) -> None:
        match event:
            case TrainStarted():
                self.prepare = since_start
            case StepReport() if not self._steps:
                self.first = seconds / event.step
            case SamplesDrawn():
                # The first ones load libraries, too.
                self.samples = min(seconds, self.samples or seconds)
            case Saved():
                self.save = seconds
            case QualityMeasured():
                self.quality = seconds
            case _:
                pass

    def _share_of_enough(self) -> float:
        if self.first > _SLOW_STEP_SECONDS:
            return len(self._steps) / 2
        return min(1.0, sum(seconds for _, seconds in self._steps[1:]) / _ENOUGH_SECONDS)

    @staticmethod
    def _has_ended(step: int, config: TrainConfig) -> bool:
        return config.max_steps is not None and step >= config.max_steps


@dataclass(frozen=True, slots=True)
class _Reading:
    """How pictures of a side are read.

    Attributes:
        count: How many there are.
        seconds: Of reading one.
        bytes: Of one in memory.
    """

    count: int
    seconds: float
    bytes: float

    def __len__(self) -> int:
        return self.count

    def cached_share(self, room: CacheRoom) -> float:
        """The share of them that is read only once."""
        on_disk = room.disk if is_worth_a_file(self.seconds) else 0
        return min(1.0, (room.memory + on_disk) / max(1.0, self.count * self.bytes))

    def bytes_missing(self, room: int, read: int) -> int:
        """What is still to be cached when so many have been read."""
        return int(max(0.0, min(room, self.count * self.bytes) - read * self.bytes))


def _reading(paths: Sequence[Path], config: TrainConfig, grey: bool) -> _Reading:
    """Read some pictures from all over a side."""
    seconds: list[float] = []
    sizes: list[int] = []
    begun = time.perf_counter()
    for path in paths[:: max(1, len(paths) // _READ_MOST)][:_READ_MOST]:
        start = time.perf_counter()
        try:
            sizes.append(read_resized(path, config, grey=grey).nbytes)
        except PictureError:
            continue
        seconds.append(time.perf_counter() - start)
        if time.perf_counter() - begun > _READ_SECONDS:
            break
    if not sizes:
        return _Reading(len(paths), 0.0, 0.0)
    return _Reading(len(paths), sum(seconds) / len(seconds), sum(sizes) / len(sizes))


def _missing_in_pools(config: TrainConfig, pictures: Pictures, steps: int, shown: int) -> int:
    """Bytes of generated pictures that both pools lack after so many pictures, and will hold one day."""
    in_the_end = min(config.pool_size, steps * config.batch_size * config.accumulate)
    height, width = config.crop_size
    channels = (1 if config.grey_A else 3) + (1 if config.grey_B else 3)
    return max(0, in_the_end - shown) * height * width * channels * _FLOAT_BYTES


def _shrinks(config: TrainConfig) -> tuple[int, ...]:
    """By how much pictures are smaller in the stages of a training that grows: 2, 4 and so on; none of others."""
    if config.grow_from is None:
        return ()
    doublings = (config.size // config.grow_from).bit_length() - 1
    return tuple(2**doubling for doubling in range(1, doublings + 1))


def _bench(config: TrainConfig, choices: Choices, shrinks: Sequence[int]) -> dict[int, float]:
    """Seconds of a step on pictures at hand, so many times smaller; all take turns."""
    device = torch.device(choices.device)
    count = config.batch_size * config.accumulate
    height, width = config.crop_size
    with training_errors(config):
        model = make_model(config, choices)
    spent: dict[int, list[float]] = {shrink: [] for shrink in shrinks}
    begun = time.perf_counter()
    turn = 0
    while turn < 2 or time.perf_counter() - begun < _BENCH_SECONDS * len(shrinks):
        for shrink in shrinks:
            real_A, real_B = (
                torch.rand(count, 1 if grey else 3, height // shrink, width // shrink, device=device) * 2 - 1
                for grey in (config.grey_A, config.grey_B)
            )
            start = time.perf_counter()
            with training_errors(config):
                losses = model.step(real_A, real_B, first_number=0, learning_rate=config.learning_rate, number=turn)
                losses["G_AB"].item()  # Wait for the device.
            spent[shrink].append(time.perf_counter() - start)
        turn += 1
    return {shrink: sum(seconds[1:]) / len(seconds[1:]) for shrink, seconds in spent.items()}


def _tell(report: Path, values: dict[str, Any]) -> None:
    with report.open("a", encoding="ascii") as file:
        file.write(json.dumps(values) + "\n")


def last_told(report: Path) -> tuple[Facts | None, Preparing | None]:
    """What a measurement has told so far: its facts, and how far it is."""
    try:
        lines = report.read_text(encoding="ascii").split("\n")[:-1]
    except OSError:
        return None, None
    facts = Facts(**json.loads(lines[0])) if lines else None
    return facts, Preparing("Measuring a few steps", **json.loads(lines[-1])) if len(lines) > 1 else None
