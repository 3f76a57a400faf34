"""What long work reports, as it goes: closed unions such as `TrainEvent`, `CheckEvent` and `ConvertEvent`.

Consumers `match` on an event and end in `assert_never`. Only numbers, text, paths and uint8 arrays cross; no tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from engine.config import Direction
from engine.remedies import Remedy

Picture: TypeAlias = npt.NDArray[np.uint8]
"""A picture: [H, W, 3], uint8, sRGB."""

LOSS_NAMES = ("G_AB", "G_BA", "D_A", "D_B", "cycle_A", "cycle_B", "idt_A", "idt_B")
"""The eight losses, in the order in which they are plotted and stored."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The eight losses of a step, or their means over several steps.

    The cycle and identity losses carry their weights (lambda), as in the reference.

    Attributes:
        G_AB: Adversarial loss of the generator from A to B (Eq. 1).
        G_BA: Adversarial loss of the generator from B to A.
        D_A: Loss of the discriminator that judges A.
        D_B: Loss of the discriminator that judges B.
        cycle_A: Cycle loss |G_BA(G_AB(a)) - a| (Eq. 2).
        cycle_B: Cycle loss |G_AB(G_BA(b)) - b|.
        idt_A: Identity loss |G_BA(a) - a| (Sec. 5.2).
        idt_B: Identity loss |G_AB(b) - b|.
    """

    G_AB: float
    G_BA: float
    D_A: float
    D_B: float
    cycle_A: float
    cycle_B: float
    idt_A: float
    idt_B: float


@dataclass(frozen=True, slots=True)
class Preparing:
    """A phase before the first result, or between two, so that nobody looks at a window that seems stuck.

    Attributes:
        text: What is being done, as a sentence without a full stop, such as "Reading the pictures".
        done: How many of `total` are done.
        total: 0 where the number is not known.
    """

    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know; work goes on. `text` is one or more whole sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class TrainStarted:
    """The first step is about to be taken.

    Attributes:
        run: Folder of the training.
        name_A: Name of domain A.
        name_B: Name of domain B.
        step: Steps already taken (0, or where a resumed training goes on).
        total_steps: Steps after which this training ends (the schedule's, or `max_steps`).
        steps_per_epoch: Steps in one epoch.
        total_epochs: Epochs of the schedule.
        count_A: Training pictures of A.
        count_B: Training pictures of B.
        device: The device in words, such as "NVIDIA H200" or "CPU, 2 threads".
        precision: "fp32", "bf16" or "fp16".
        can_measure_again: Whether it chooses by measurement what is fastest, so that `resume` could measure it again.
    """

    run: Path
    name_A: str
    name_B: str
    step: int
    total_steps: int
    steps_per_epoch: int
    total_epochs: int
    count_A: int
    count_B: int
    device: str
    precision: str
    can_measure_again: bool = False


WORTH_SAYING_WAITING = 0.05
"""Share of its time from which on a person is told that a training waits for pictures."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """Numbers of the steps since the last report; about four reports a second at most.

    Attributes:
        step: Steps taken in the whole training.
        total_steps: Steps after which it ends.
        epoch: The epoch under way, from 1.
        total_epochs: Epochs of the schedule.
        seconds: Time spent on training so far, over all sittings.
        steps_per_second: Recent rate; 0 in the first report of a sitting, whose steps loaded libraries.
        seconds_left: Time left at this rate (or up to `max_minutes`, if that comes first).
        learning_rate: Adam's rate at this step.
        losses: Means over the steps since the last report.
        waiting: Share of the time since the last report in which the training has waited for pictures, in 0..1; of
            several processes, the first one's.
    """

    step: int
    total_steps: int
    epoch: int
    total_epochs: int
    seconds: float
    steps_per_second: float
    seconds_left: float
    learning_rate: float
    losses: Losses
    waiting: float = 0.0

    @property
    def share_done(self) -> float:
        """How much of the training is done, in 0..1: by its steps, or by the clock if that will end it before."""
        by_steps = self.step / max(1, self.total_steps)
        steps_left_by_clock = self.seconds_left * self.steps_per_second
        if steps_left_by_clock > 0.9 * (self.total_steps - self.step):
            return by_steps
        return max(by_steps, self.seconds / max(self.seconds + self.seconds_left, 1e-9))


@dataclass(frozen=True, slots=True)
class Sample:
    """One fixed picture at one moment of the training.

    Attributes:
        direction: "a2b": original is of A, translated = G_AB(original), back = G_BA(translated); "b2a" likewise.
        source: The picture's file.
        original: [S, S, 3] uint8.
        translated: [S, S, 3] uint8.
        back: [S, S, 3] uint8.
    """

    direction: Direction
    source: Path
    original: Picture
    translated: Picture
    back: Picture


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a training whose samples are kept on disk, so that one can come back to it.

    Attributes:
        step: Steps taken then.
        files: Its sheets of samples, one PNG a direction.
        model: The generators and discriminators as they were then, as a model file; None where they are not kept.
        is_starred: Whether the user keeps it for good.
    """

    step: int
    files: tuple[Path, ...]
    model: Path | None = None
    is_starred: bool = False


@dataclass(frozen=True, slots=True)
class SamplesDrawn:
    """The fixed pictures, translated by the generators as they are now.

    Attributes:
        step: Steps taken.
        samples: First those of A, then those of B.
        held_out: False if the pictures shown are also trained on (very small sets, `paper`, `reference`).
        files: Where the sheets were stored, one PNG a direction.
        moments: All moments that are kept now, this one included, in the order of their steps.
    """

    step: int
    samples: tuple[Sample, ...]
    held_out: bool
    files: tuple[Path, ...]
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectionQuality:
    """How near translated held-out pictures are to real ones of the other domain.

    Distances are sliced Wasserstein distances between patches (Karras et al. 2018, Sec. 5), times 1,000, one a scale,
    the finest first; lower is nearer.

    Attributes:
        direction: Which.
        scales: Side of the pictures at each scale, in pixels.
        distances: Translated pictures against the real other domain.
        start: Untranslated pictures against the real other domain: the line at which every training starts.
        finish: Real pictures of the other domain against others of it: as near as a translation can come.
        cycle_error: Mean absolute difference of held-out pictures from themselves translated and back, on [-1, 1].
    """

    direction: Direction
    scales: tuple[int, ...]
    distances: tuple[float, ...]
    start: tuple[float, ...]
    finish: tuple[float, ...]
    cycle_error: float

    @property
    def distance(self) -> float:
        """Mean over the scales, each as a share of its start line (or finish line, where that is higher).

        It is brought back to the size of distances by the mean of those lines. Colour, at the coarsest scale, would
        otherwise outweigh every blur and pattern of a young generator.
        """
        return self._relative(self.distances)

    @property
    def start_line(self) -> float:
        """The same of `start`."""
        return self._relative(self.start)

    @property
    def finish_line(self) -> float:
        """The same of `finish`."""
        return self._relative(self.finish)

    def _relative(self, values: tuple[float, ...]) -> float:
        units = [max(start, finish, 1e-6) for start, finish in zip(self.start, self.finish, strict=True)]
        share = sum(value / unit for value, unit in zip(values, units, strict=True)) / len(units)
        return share * sum(units) / len(units)


@dataclass(frozen=True, slots=True)
class QualityMeasured:
    """Quality at one moment, in both directions.

    Attributes:
        step: Steps taken.
        seconds: Time spent on training so far, over all sittings.
        directions: A to B, then B to A.
        held_out: False if the pictures measured are also trained on.
        best_step: The step with the lowest `score` so far, whose generators are the model's default; until one is good,
            the newest.
    """

    step: int
    seconds: float
    directions: tuple[DirectionQuality, DirectionQuality]
    held_out: bool
    best_step: int

    @property
    def score(self) -> float:
        """One number to rank moments by: the mean distance of both directions; lower is better."""
        return sum(direction.distance for direction in self.directions) / len(self.directions)


AlarmKind = Literal["discriminator_won", "collapsed", "inverted", "hidden_information", "identity_only", "not_finite"]
"""What can be ill about a training; see `engine.training.health`."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is going wrong.

    Attributes:
        kind: What.
        sentence: It in plain words.
        evidence: The numbers that show it, a sentence.
        remedies: What can be done, the best first.
    """

    kind: AlarmKind
    sentence: str
    evidence: str
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True)
class HealthChecked:
    """What is ill now; nothing in a healthy training.

    Attributes:
        step: Steps taken.
        alarms: All that stand, the worst first. One that no longer stands is missing.
    """

    step: int
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Numbers were not finite several times in a row, so the training goes on from its last good checkpoint.

    Attributes:
        from_step: Where it was.
        step: Where it goes on.
        rate_factor: What the learning rate is multiplied with from here on.
        text: Whole sentences.
    """

    from_step: int
    step: int
    rate_factor: float
    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint and the model file are safely on disk."""

    step: int
    checkpoint: Path
    model: Path


@dataclass(frozen=True, slots=True)
class TrainFinished:
    """The training has ended by itself and is saved.

    Attributes:
        step: Steps taken.
        reason: "complete" (the schedule is done), "max_steps" or "max_minutes".
        model: The model file.
        seconds: Time spent on training, over all sittings.
    """

    step: int
    reason: Literal["complete", "max_steps", "max_minutes"]
    model: Path
    seconds: float


TrainEvent: TypeAlias = (
    Preparing
    | Notice
    | TrainStarted
    | StepReport
    | SamplesDrawn
    | QualityMeasured
    | HealthChecked
    | RolledBack
    | Saved
    | TrainFinished
)


def train_event_from_json(
    values: Mapping[str, Any], read_samples: Callable[[Mapping[str, Any]], tuple[Sample, ...]]
) -> TrainEvent:
    """The event that the headless command has printed as a line of JSON.

    Args:
        values: The line: the event's name as "event", and its fields, pictures left out.
        read_samples: Brings back the samples of a `SamplesDrawn` from its fields.

    Raises:
        ValueError: It is no event of a training.
    """
    kinds = {kind.__name__: kind for kind in get_args(TrainEvent)}
    fields = {name: value for name, value in values.items() if name != "event"}
    try:
        kind = kinds[values["event"]]
        for name in _PATH_FIELDS & fields.keys():
            fields[name] = Path(fields[name])
        if kind is StepReport:
            fields["losses"] = Losses(**fields["losses"])
        elif kind is SamplesDrawn:
            fields |= {"samples": read_samples(values), "files": _paths(fields["files"])}
            fields["moments"] = tuple(map(_moment, fields["moments"]))
        elif kind is QualityMeasured:
            fields["directions"] = tuple(map(_direction_quality, fields["directions"]))
        elif kind is HealthChecked:
            fields["alarms"] = tuple(map(_alarm, fields["alarms"]))
        event: TrainEvent = kind(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no event of a training: {error}") from error
    return event


_PATH_FIELDS = frozenset({"run", "checkpoint", "model"})


def _paths(names: list[str]) -> tuple[Path, ...]:
    return tuple(Path(name) for name in names)


def _moment(values: dict[str, Any]) -> Moment:
    model = values["model"]
    return Moment(**{**values, "files": _paths(values["files"]), "model": None if model is None else Path(model)})


def _direction_quality(values: dict[str, Any]) -> DirectionQuality:
    lists = {name: tuple(values[name]) for name in ("scales", "distances", "start", "finish")}
    return DirectionQuality(**{**values, **lists})


def _alarm(values: dict[str, Any]) -> Alarm:
    return Alarm(**{**values, "remedies": tuple(Remedy.from_json(remedy) for remedy in values["remedies"])})


@dataclass(frozen=True, slots=True)
class Estimated:
    """How long a training would take and how much memory, measured by a few of its own steps on this machine.

    Attributes:
        seconds_per_step: Measured after warm-up, at the full size.
        total_steps: Steps of the whole training.
        seconds: Time of the whole training, with all that it does beside its steps.
        device: The device in words.
        precision: The precision that was measured.
        memory_bytes: Most memory that the training takes on its device, beyond what the program has already.
        memory_free_bytes: What is free on that device now.
        remedies: What would need less memory, the mildest first.
    """

    seconds_per_step: float
    total_steps: int
    seconds: float
    device: str
    precision: str
    memory_bytes: int = 0
    memory_free_bytes: int = 0
    remedies: tuple[Remedy, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether there is so much memory."""
        return self.memory_bytes <= self.memory_free_bytes


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A training needs more memory than there is: it ran out while it was measured, so its time is not known.

    Attributes:
        total_steps: Steps of the whole training.
        device: The device in words.
        precision: The precision that was measured.
        memory_free_bytes: What is free on that device; it needs more.
        remedies: What would need less, the mildest first.
    """

    total_steps: int
    device: str
    precision: str
    memory_free_bytes: int
    remedies: tuple[Remedy, ...] = ()


EstimateEvent: TypeAlias = Preparing | Notice | Estimated | TooLarge


Side = Literal["A", "B"]

Severity = Literal["stop", "warning", "note"]
"""How serious a finding is: "stop" lets no training begin, "note" is good to know."""

FindingKind = Literal[
    "too_few",
    "few_pictures",
    "small_set",
    "imbalance",
    "unreadable",
    "unreadable_folder",
    "other_files",
    "same_on_both",
    "alike_on_both",
    "same",
    "alike",
    "domains_alike",
    "flat",
    "tiny",
    "small",
    "sizes_apart",
    "strips",
    "squashed",
    "grey_among_colour",
    "colour_among_grey",
    "all_grey",
    "sixteen_bits",
    "cmyk",
    "wide_gamut",
    "frames",
    "transparent",
]
"""What the doctor can find; see `engine.data.doctor`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor says about the two folders of a training.

    Attributes:
        kind: What.
        severity: How serious it is.
        sides: The sides concerned.
        sentence: It in plain words, and what to do.
        files: Every file concerned; of groups one group after the other.
        groups: Of pictures that are the same or alike: those that belong together, the one to keep first.
        leave_out: The files among `files` that a training does better without.
        reasons: Of files that cannot be read: why, a sentence for each of `files`.
    """

    kind: FindingKind
    severity: Severity
    sides: tuple[Side, ...]
    sentence: str
    files: tuple[Path, ...] = ()
    groups: tuple[tuple[Path, ...], ...] = ()
    leave_out: tuple[Path, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def can_leave_out(self) -> bool:
        """Whether leaving files out is a remedy."""
        return bool(self.leave_out)


@dataclass(frozen=True, slots=True)
class Examined:
    """Both folders have been examined, and everything found has been told.

    Attributes:
        count_A: Pictures of A, readable or not.
        count_B: The same of B.
        good_A: Pictures of A with nothing for which they should be left out.
        good_B: The same of B.
        findings: How many there were.
        seconds: Time it took.
    """

    count_A: int
    count_B: int
    good_A: int
    good_B: int
    findings: int
    seconds: float


CheckEvent: TypeAlias = Preparing | Finding | Examined


@dataclass(frozen=True, slots=True)
class FilmExported:
    """The film of a training is written.

    Attributes:
        path: The film.
        frames: Moments that it shows.
        seconds: How long it takes, once.
        pictures: Pictures in each frame, one below another.
    """

    path: Path
    frames: int
    seconds: float
    pictures: int


FilmEvent: TypeAlias = Preparing | FilmExported


@dataclass(frozen=True, slots=True)
class ConvertPlanned:
    """What will be done, before the first picture. Later events count files by their place in `sources`.

    Attributes:
        sources: Every picture found, in the order of work.
        other_files: Files in the folders that are no pictures, left alone.
        to: The output folder.
        device: The device in words.
        precision: "fp32", "bf16" or "fp16".
        engine: What computes where it can, such as "OpenVINO 2026.4.1", else "PyTorch".
    """

    sources: tuple[Path, ...]
    other_files: int
    to: Path
    device: str
    precision: str
    engine: str = "PyTorch"


@dataclass(frozen=True, slots=True)
class ConvertingFile:
    """Work on a picture has begun."""

    index: int
    source: Path


@dataclass(frozen=True, slots=True)
class Converted:
    """A picture is written.

    Attributes:
        index: Its place in `ConvertPlanned.sources`.
        source: The picture.
        target: The result.
        notes: What could not be kept, a short sentence each ("Only the first of 12 frames was converted.").
        seconds: Time it took.
        engine: What translated it, "PyTorch" or "OpenVINO".
    """

    index: int
    source: Path
    target: Path
    notes: tuple[str, ...]
    seconds: float
    engine: str = "PyTorch"


@dataclass(frozen=True, slots=True)
class FileSkipped:
    """A picture was not converted, since that is done already or its name is taken.

    Attributes:
        index: Its place in `ConvertPlanned.sources`.
        source: The picture.
        target: The file that is there, a result made before where `is_result`.
        is_result: Whether it is the result of this picture with this model and these settings.
        reason: A sentence.
        notes: What that result could not keep, a short sentence each.
    """

    index: int
    source: Path
    target: Path
    is_result: bool
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilesFound:
    """While watching: more pictures have come. Their places follow those of all sources before.

    Attributes:
        sources: The new ones.
    """

    sources: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class WaitingForSpace:
    """The output folder's disk is full: the work goes on by itself once there is room, and can be stopped meanwhile.

    Attributes:
        to: The output folder.
        text: Sentences that say what to do.
    """

    to: Path
    text: str


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A picture could not be converted; the batch goes on. `reason` is a sentence that names the remedy."""

    index: int
    source: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ConvertFinished:
    """Every picture was tried."""

    converted: int
    skipped: int
    failed: int
    other_files: int
    to: Path
    seconds: float


ConvertEvent: TypeAlias = (
    Preparing
    | Notice
    | ConvertPlanned
    | FilesFound
    | ConvertingFile
    | Converted
    | FileSkipped
    | FileFailed
    | WaitingForSpace
    | ConvertFinished
)
