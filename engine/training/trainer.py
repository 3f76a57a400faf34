"""Training over time: which step is next, at what rate, and when to report, show samples, save and stop."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from engine.config import Direction, Precision, TrainConfig
from engine.data.folders import FolderScan, check_training_folders, scan_folder
from engine.data.unpaired import Batch, UnpairedImages
from engine.device import (
    available_memory,
    choose_device,
    choose_precision,
    compute_threads,
    describe_device,
    empty_caches,
    hardware_name,
    is_out_of_memory,
)
from engine.errors import ConfigError, DataError, DivergedError, EngineError, OutOfMemoryError, RunError
from engine.events import (
    LOSS_NAMES,
    Losses,
    Notice,
    Preparing,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.files import disk_sentence
from engine.model.cyclegan import CycleGAN, LossTensors
from engine.model.picture_tensors import unit_range
from engine.randomness import Stream, random_at
from engine.stopwatch import Stopwatch
from engine.training.checkpoint import restore_checkpoint, save_checkpoint
from engine.training.run import Choices, Pictures, Run
from engine.training.samples import MOST_SAMPLES, FixedPicture, draw_samples, read_fixed_pictures, write_sheet
from engine.training.schedule import learning_rate, steps_per_epoch, total_steps

_REPORT_SECONDS = 0.25
_RATE_REPORTS = 120
# Samples take at most a twentieth of the time, and their number grows with the logarithm of a long training.
_SAMPLE_SECONDS = 5.0
_SAMPLE_SHARE = 20.0
_SAMPLE_GROWTH = 0.02
# Where a folder of pictures cannot be cached whole, a quarter of the free memory is left to be taken by it.
_CACHE_SHARE = 0.25
# While nothing can be written: how often saving is tried again, and told.
_DISK_RETRY_SECONDS = 60.0

_HOLD_OUT_SHARE = 0.02
_HOLD_OUT_MOST = 8

_Reason: TypeAlias = Literal["complete", "max_steps", "max_minutes"]


def train(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train a new model, from the first step to the last.

    Pausing is not asking for the next event; stopping is closing the generator, which saves. Only the thread that
    iterates it may close it. Nothing is left on disk if it is closed before `TrainStarted`.

    Args:
        config: The training; its `run` must not exist or be empty.

    Yields:
        `Preparing`, `TrainStarted`, then `StepReport`, `SamplesDrawn`, `Saved` and `Notice` as they come, and
        `TrainFinished` at the end.

    Raises:
        EngineError: The folders, the device or the disk do not allow it, or the numbers diverged; with a sentence
            for the user.
    """
    clock = Stopwatch()
    yield from clock.tell(Preparing("Looking for pictures"))
    pictures = find_pictures(config)
    yield from clock.tell(Preparing("Measuring this machine"))
    choices = choose(config)
    with training_errors(config):
        model = make_model(config, choices)
    samples = _fixed_pictures(config, pictures)
    run = Run.create(config, choices, pictures)
    yield from _Training(run, model, samples, clock).events()


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    decay_epochs: int | None = None,
    max_steps: int | None = None,
    max_minutes: float | None = None,
    device: str | None = None,
    precision: Precision | None = None,
) -> Iterator[TrainEvent]:
    """Go on with a training on disk, bit for bit as if it had never stopped (on a CPU, with nothing changed).

    Args:
        folder: The run.
        epochs: New total of epochs at the full rate; None keeps it.
        decay_epochs: New total of decay epochs; None keeps it.
        max_steps: New cap on the steps of the whole training; None keeps a cap that is not yet reached.
        max_minutes: Cap on the minutes of this sitting.
        device: Another device; choices by measurement are then made anew.
        precision: Another precision.

    Yields:
        As `train`.

    Raises:
        EngineError: It is no run, is being trained, has no whole checkpoint, is complete, or as `train`.
    """
    clock = Stopwatch()
    yield from clock.tell(Preparing("Opening the training"))
    run = Run.open(folder)
    try:
        config, notices = _changed_config(
            run,
            {
                "epochs": epochs,
                "decay_epochs": decay_epochs,
                "max_steps": max_steps,
                "device": device,
                "precision": precision,
            },
            max_minutes,
        )
        _refuse_vanished_folders(config)
        choices, choice_notices = _choices_on_resume(run, config)
        with training_errors(config):
            model = make_model(config, choices)
        restored = restore_checkpoint(run, model)
        if restored.damaged:
            names = ", ".join(path.name for path in restored.damaged)
            notices.append(
                f"The newest state of this training is damaged ({names}); it goes on from step {restored.step:,}."
            )
        _refuse_complete(run, config, restored.step)
        samples = _fixed_pictures(config, run.pictures)
        with _disk_errors(folder):
            run.change(config, choices)
            run.continue_losses(restored.step)
        training = _Training(run, model, samples, clock, step=restored.step, seconds=restored.seconds)
        for text in [*notices, *choice_notices]:
            run.log(text)
            yield from clock.tell(Notice(text))
    except BaseException:
        run.close()
        raise
    yield from training.events()


def find_pictures(config: TrainConfig) -> Pictures:
    """Choose what is trained on and what is shown as samples.

    Raises:
        DataError: The folders do not allow a training.
    """
    scan_A, scan_B = check_training_folders(config.folder_A, config.folder_B, config.run)
    test_A, test_B = (None if t is None else scan_folder(t).pictures for t in (config.test_A, config.test_B))
    train_A, held_A = _hold_out(scan_A, test_A, config, Stream.HOLD_OUT_A)
    train_B, held_B = _hold_out(scan_B, test_B, config, Stream.HOLD_OUT_B)
    held_out = bool(held_A and held_B)
    return Pictures(
        train_A=train_A if held_out else scan_A.pictures,
        train_B=train_B if held_out else scan_B.pictures,
        sample_A=held_A if held_out else _spread(scan_A.pictures),
        sample_B=held_B if held_out else _spread(scan_B.pictures),
        held_out=held_out,
    )


def choose(config: TrainConfig) -> Choices:
    """Choose device, precision and threads, by measurement where the settings leave them open.

    Raises:
        ConfigError: This machine has no such device.
    """
    device = choose_device(config.device)
    threads = compute_threads()
    torch.set_num_threads(threads)
    return Choices(
        device=str(device),
        hardware=hardware_name(device),
        precision=choose_precision(config.precision, device),
        threads=threads,
    )


def cache_bytes(device: torch.device) -> int:
    """Memory that decoded pictures may take, in bytes."""
    memory = available_memory(torch.device("cpu"))
    return int(memory * (_CACHE_SHARE if device.type != "cpu" else _CACHE_SHARE / 2))


class _LossMeans:
    """Means of the losses since the last report, summed on the device so that no step waits for it."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._steps = 0

    def add(self, losses: LossTensors) -> None:
        values = torch.stack([losses[name].float() for name in LOSS_NAMES])
        self._sum = values if self._sum is None else self._sum + values
        self._steps += 1

    def take(self) -> Losses:
        """The means; waits for the device."""
        assert self._sum is not None
        means = (self._sum / self._steps).tolist()
        self._sum, self._steps = None, 0
        return Losses(*means)

    def __bool__(self) -> bool:
        return self._steps > 0


@dataclass(slots=True)
class _Due:
    """When the clock next asks for something, in seconds of this sitting."""

    report: float = 0.0
    samples: float = 0.0
    save: float = 0.0


class _Training:
    """One sitting of a training: the run, the model, and where they are."""

    def __init__(
        self,
        run: Run,
        model: CycleGAN,
        samples: list[FixedPicture],
        clock: Stopwatch,
        *,
        step: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self._run = run
        self._config = run.config
        self._model = model
        self._samples = samples
        self._clock = clock
        self._step = step
        self._seconds_before = seconds - clock.seconds
        self._saved_step: int | None = step if step else None
        self._means = _LossMeans()
        self._due = _Due(save=clock.seconds + 60 * self._config.save_minutes)
        # (step, seconds) of the last reports, half a minute of them, from which the rate is taken.
        self._recent = deque([(step, clock.seconds)], maxlen=_RATE_REPORTS)
        config, pictures = run.config, run.pictures
        self._images = UnpairedImages(
            pictures.train_A,
            pictures.train_B,
            size=config.size,
            load_size=config.load_size,
            batch_size=config.batch_size,
            seed=config.seed,
            cache_bytes=cache_bytes(model.device),
        )
        self._schedule = config.total_epochs * self._images.steps_per_epoch
        self._total = total_steps(config, self._images.steps_per_epoch)
        self._problems: list[str] = []
        self._disk_told = -math.inf

    def events(self) -> Iterator[TrainEvent]:
        try:
            yield from self._tell(self._started())
            if self._saved_step is None:
                # What is on disk can be resumed from the first moment on.
                self._save_or_raise()
                yield from self._tell(self._saved())
            yield from self._steps()
        except GeneratorExit:
            if self._saved_step != self._step:
                self._save_or_raise()
            self._run.log(f"Stopped at step {self._step}")
            raise
        except DataError as error:
            # The pictures have gone, not the training.
            self._save_or_raise()
            self._run.log(f"Failed: {error}")
            raise
        except EngineError as error:
            self._run.log(f"Failed: {error}")
            raise
        finally:
            self._run.close()
            empty_caches(self._model.device)

    def _steps(self) -> Iterator[TrainEvent]:
        """Steps until the end, with everything that the clock asks for in between."""
        yield from self._draw_samples()
        with contextlib.closing(self._images.batches(self._step)) as batches:
            reason = yield from self._train_on(batches)
        yield from self._draw_samples()
        self._save_or_raise()
        yield from self._tell(self._saved())
        self._run.log(f"Finished at step {self._step}: {reason}")
        yield from self._tell(TrainFinished(self._step, reason, self._run.model, self._seconds))

    def _train_on(self, batches: Iterator[Batch]) -> Generator[TrainEvent, None, _Reason]:
        """Steps until there is a reason to end."""
        reason = self._end()
        while reason is None:
            batch = next(batches)
            with training_errors(self._config):
                losses = self._model.step(
                    unit_range(batch.real_A.to(self._model.device, non_blocking=True)),
                    unit_range(batch.real_B.to(self._model.device, non_blocking=True)),
                    first_number=batch.first_number,
                    learning_rate=learning_rate(self._config, self._epoch_of(batch.step)),
                )
                self._means.add(losses)
                self._step = batch.step + 1
                reason = self._end()
                report = self._report() if reason or self._clock.seconds >= self._due.report else None
            if report is not None:
                yield from self._tell(report)
                yield from self._tell_problems()
            if reason is None and self._clock.seconds >= self._due.samples:
                yield from self._draw_samples()
            if reason is None and self._clock.seconds >= self._due.save:
                yield from self._save()
        return reason

    def _end(self) -> _Reason | None:
        """Why the training ends now, or None."""
        minutes = self._config.max_minutes
        if self._step >= self._schedule:
            return "complete"
        if self._step >= self._total:
            return "max_steps"
        return "max_minutes" if minutes is not None and self._clock.seconds >= 60 * minutes else None

    @property
    def _seconds(self) -> float:
        return self._seconds_before + self._clock.seconds

    def _epoch_of(self, step: int) -> int:
        """The epoch of a step, both from 0."""
        return min(step // self._images.steps_per_epoch, self._config.total_epochs - 1)

    def _tell(self, event: TrainEvent) -> Iterator[TrainEvent]:
        return self._clock.tell(event)

    def _started(self) -> TrainStarted:
        config, choices = self._config, self._run.choices
        self._run.log(f"Started at step {self._step} on {choices.hardware}, {choices.precision}")
        return TrainStarted(
            run=self._run.folder,
            name_A=config.name_A,
            name_B=config.name_B,
            step=self._step,
            total_steps=self._total,
            steps_per_epoch=self._images.steps_per_epoch,
            total_epochs=config.total_epochs,
            count_A=len(self._run.pictures.train_A),
            count_B=len(self._run.pictures.train_B),
            device=describe_device(self._model.device),
            precision=choices.precision,
        )

    def _report(self) -> StepReport:
        """Numbers since the last report, checked and stored.

        Raises:
            DivergedError: A loss is not finite.
        """
        losses = self._means.take()
        if not all(math.isfinite(getattr(losses, name)) for name in LOSS_NAMES):
            raise DivergedError(
                f"At step {self._step:,} a loss was not a finite number, so the training was stopped; what is on "
                "disk is sound. Resume it; if it happens again, use a lower learning rate or fp32."
            )
        now = self._clock.seconds
        old_step, old_seconds = self._recent[0]
        rate = (self._step - old_step) / max(now - old_seconds, 1e-9)
        if len(self._recent) == 1:
            # The first steps load libraries and tune kernels: the rate counts from here on.
            self._recent.clear()
        self._recent.append((self._step, now))
        left = (self._total - self._step) / max(rate, 1e-9)
        if self._config.max_minutes is not None:
            left = min(left, max(0.0, 60 * self._config.max_minutes - now))
        epoch = self._epoch_of(self._step - 1)
        report = StepReport(
            step=self._step,
            total_steps=self._total,
            epoch=epoch + 1,
            total_epochs=self._config.total_epochs,
            seconds=self._seconds,
            steps_per_second=rate,
            seconds_left=left,
            learning_rate=learning_rate(self._config, epoch),
            losses=losses,
        )
        try:
            self._run.append_losses(report)
        except OSError as error:
            self._note_disk(error)
        self._due.report = now + _REPORT_SECONDS
        return report

    def _tell_problems(self) -> Iterator[TrainEvent]:
        problems, self._problems = [*self._problems, *self._images.take_problems()], []
        for text in problems:
            self._run.log(text)
        shown = problems[:3]
        if len(problems) > len(shown):
            shown.append(
                f"{len(problems) - 3} more cannot be read either; log.txt in the training's folder names them."
            )
        if shown:
            yield from self._tell(Notice(" ".join(shown)))

    def _draw_samples(self) -> Iterator[TrainEvent]:
        start = self._clock.seconds
        with training_errors(self._config):
            samples = draw_samples(self._model, self._samples)
        files: list[Path] = []
        directions: tuple[Direction, ...] = ("a2b", "b2a")
        for direction in directions:
            chosen = [sample for sample in samples if sample.direction == direction]
            if chosen:
                try:
                    write_sheet(self._run.sheet(self._step, direction), chosen)
                except OSError as error:
                    self._note_disk(error)
                else:
                    files.append(self._run.sheet(self._step, direction))
        now = self._clock.seconds
        self._due.samples = now + max(_SAMPLE_SECONDS, _SAMPLE_SHARE * (now - start), _SAMPLE_GROWTH * self._seconds)
        yield from self._tell(SamplesDrawn(self._step, samples, self._run.pictures.held_out, tuple(files)))

    def _save(self) -> Iterator[TrainEvent]:
        """Save by the clock; a full disk is told and tried again, since the training itself is well."""
        if self._means:
            yield from self._tell(self._report())
        try:
            self._write_checkpoint()
        except OSError as error:
            self._due.save = self._clock.seconds + _DISK_RETRY_SECONDS
            self._note_disk(error)
            yield from self._tell_problems()
        else:
            yield from self._tell(self._saved())

    def _note_disk(self, error: OSError) -> None:
        """Tell now and then that nothing can be written; the training itself is well, and there may be room again."""
        now = self._clock.seconds
        if now >= self._disk_told + _DISK_RETRY_SECONDS:
            self._disk_told = now
            self._problems.append(
                f"The training goes on, but it cannot be stored; saving is tried again every minute. "
                f"{disk_sentence(error, self._run.folder)}"
            )

    def _save_or_raise(self) -> None:
        with _disk_errors(self._run.folder):
            if self._means:
                self._report()
            self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        self._checkpoint = save_checkpoint(self._run, self._model, step=self._step, seconds=self._seconds)
        self._saved_step = self._step
        self._due.save = self._clock.seconds + 60 * self._config.save_minutes
        self._run.log(f"Saved step {self._step}")

    def _saved(self) -> Saved:
        return Saved(self._step, self._checkpoint, self._run.model)


def make_model(config: TrainConfig, choices: Choices) -> CycleGAN:
    """The model of a training that begins."""
    return CycleGAN(config, torch.device(choices.device), choices.precision)  # type: ignore[arg-type]


def _fixed_pictures(config: TrainConfig, pictures: Pictures) -> list[FixedPicture]:
    return [
        *read_fixed_pictures("a2b", pictures.sample_A, config.size),
        *read_fixed_pictures("b2a", pictures.sample_B, config.size),
    ]


def _hold_out(
    scan: FolderScan, test: tuple[Path, ...] | None, config: TrainConfig, stream: Stream
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Training pictures and held-out pictures of one side; nothing is held out of very small sets."""
    if test:
        return scan.pictures, test
    count = min(_HOLD_OUT_MOST, round(_HOLD_OUT_SHARE * len(scan.pictures))) if config.hold_out else 0
    chosen = set(random_at(config.seed, stream).permutation(len(scan.pictures))[:count].tolist())
    kept = tuple(path for i, path in enumerate(scan.pictures) if i not in chosen)
    return kept, tuple(path for i, path in enumerate(scan.pictures) if i in chosen)


def _spread(pictures: tuple[Path, ...]) -> tuple[Path, ...]:
    """A few pictures from all over the list."""
    return pictures[:: max(1, len(pictures) // (2 * MOST_SAMPLES))][: 2 * MOST_SAMPLES]


def _changed_config(run: Run, changes: dict[str, object], max_minutes: float | None) -> tuple[TrainConfig, list[str]]:
    """The settings for the rest of a training, and what the user should know about them."""
    given = {name: value for name, value in changes.items() if value is not None}
    config = dataclasses.replace(run.config, max_minutes=max_minutes, **given)  # type: ignore[arg-type]
    cap = run.config.max_steps
    whole = config.total_epochs * _steps_per_epoch(run)
    if "max_steps" not in given and cap is not None and cap < whole and _steps_taken(run) >= cap:
        config = dataclasses.replace(config, max_steps=None)
        return config, [f"Its cap of {cap:,} steps was reached before; it now goes on to the end, step {whole:,}."]
    return config, []


def _refuse_complete(run: Run, config: TrainConfig, step: int) -> None:
    """See that there is something left to train.

    Raises:
        RunError: The schedule is done, or the cap on steps is reached.
    """
    epoch = _steps_per_epoch(run)
    if step >= config.total_epochs * epoch:
        more = max(config.epochs, math.ceil(step / epoch)) + max(1, config.epochs // 2)
        raise RunError(
            f"The training in {run.folder} is complete at {step:,} steps ({config.total_epochs:,} epochs). "
            f'To train on, give a larger total: cyclegan train --resume "{run.folder}" --epochs {more}.'
        )
    if config.max_steps is not None and step >= config.max_steps:
        raise RunError(
            f"The training in {run.folder} has already taken {step:,} steps, and the cap is {config.max_steps:,}. "
            f"Give a larger one, such as --max-steps {2 * step}."
        )


def _steps_per_epoch(run: Run) -> int:
    return steps_per_epoch(run.config, len(run.pictures.train_A), len(run.pictures.train_B))


def _steps_taken(run: Run) -> int:
    """Steps of the newest checkpoint, by its name."""
    names = [path.stem.removeprefix("step_") for path in run.checkpoints.glob("step_*.safetensors")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _choices_on_resume(run: Run, config: TrainConfig) -> tuple[Choices, list[str]]:
    """The stored choices where device and precision are as they were; otherwise new ones, and a sentence."""
    stored = run.choices
    same = (config.device, config.precision) == (run.config.device, run.config.precision)
    try:
        same = same and hardware_name(choose_device(stored.device)) == stored.hardware
    except ConfigError:
        same = False
    if same:
        torch.set_num_threads(stored.threads)
        return stored, []
    choices = choose(config)
    if choices == stored:
        return stored, []
    return choices, [
        f"This training was begun on {stored.hardware} in {stored.precision} and goes on on {choices.hardware} in "
        f"{choices.precision}: the result will be as good, but not bit for bit the same."
    ]


def _refuse_vanished_folders(config: TrainConfig) -> None:
    for name, folder in ((config.name_A, config.folder_A), (config.name_B, config.folder_B)):
        if not folder.is_dir():
            raise DataError(
                f"The pictures of {name} are not in {folder} any more. Bring the folder back, or correct its path in "
                f"{config.run / 'config.json'}."
            )


@contextlib.contextmanager
def training_errors(config: TrainConfig) -> Iterator[None]:
    """Turn the many ways in which memory runs out into one sentence with remedies."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError.
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"There is not enough memory to train at {config.size} px with batch size {config.batch_size}. Choose a "
            "smaller picture size, batch size or number of channels, or close other programs; a training already "
            "begun can be resumed from its last checkpoint."
        ) from error


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the disk into a sentence."""
    try:
        yield
    except OSError as error:
        raise RunError(disk_sentence(error, folder)) from error
