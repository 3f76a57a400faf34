"""Beginning a training, and going on with one on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from engine.config import Precision, TrainConfig
from engine.device import gpus_together
from engine.errors import RunError
from engine.events import (
    Notice,
    Preparing,
    TrainEvent,
)
from engine.ranks import Ranks, joined_ranks, rank_and_count
from engine.stopwatch import Stopwatch
from engine.training.changing import changed_config, changes_in_words, choices_at, refuse_complete, refuse_unchangeable
from engine.training.checkpoint import restore_checkpoint
from engine.training.following import follow, plan_of
from engine.training.preparing import (
    advice,
    check_start,
    choices_on_resume,
    choose,
    find_pictures,
    fixed_pictures,
    make_model,
    refuse_vanished_folders,
    start_model,
)
from engine.training.quality import cut_quality
from engine.training.run import Run, read_run_summary
from engine.training.saver import disk_errors
from engine.training.several import resume_on_all, train_on_all
from engine.training.sitting import Ready, Sitting
from engine.training.steps import training_errors
from engine.training.tensorboard_log import require_tensorboard
from engine.training.tuning import tuned, tuning_in_words

_Prepare: TypeAlias = Callable[[Stopwatch], Generator[TrainEvent, None, Ready]]


def train(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train a new model, from the first step to the last.

    Pausing is not asking for the next event; stopping is closing the generator, which saves. Only the thread that
    iterates it may close it. Nothing is left on disk if it is closed before `TrainStarted`.

    Under `torchrun` each of its processes calls this alike and trains with the others; only the first yields events.
    The device "all" starts such processes by itself where there are several GPUs.

    Args:
        config: The training; its `run` must not exist or be empty.

    Yields:
        `Preparing`, `TrainStarted`, then `StepReport`, `SamplesDrawn`, `Saved` and `Notice` as they come, and
        `TrainFinished` at the end.

    Raises:
        EngineError: The folders, the device or the disk do not allow it, the numbers diverged, or another of several
            processes ended; with a sentence for the user.
    """
    if _starts_others(config.device):
        yield from train_on_all(config)
        return

    def prepare(clock: Stopwatch) -> Generator[TrainEvent, None, Ready]:
        yield from clock.tell(Preparing("Looking for pictures"))
        check_start(config)
        pictures = find_pictures(config)
        yield from clock.tell(Preparing("Measuring this machine"))
        choices = choose(config)
        with training_errors(config, choices):
            model = make_model(config, choices)
            start_model(config, model)
            samples = fixed_pictures(config, pictures)
        rule, choices = choices, (yield from tuned(config, choices, model, clock))
        run = Run.create(config, choices, pictures)
        said = [*tuning_in_words(rule, choices), *advice(config, pictures)]
        return Ready(run=run, model=model, samples=samples, advice=tuple(said))

    yield from _together(prepare)


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    decay_epochs: int | None = None,
    max_steps: int | None = None,
    max_minutes: float | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    more_epochs: int | None = None,
    measure_again: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Iterator[TrainEvent]:
    """Go on with a training on disk, bit for bit as if it had never stopped (on a CPU, with nothing changed).

    Of several processes only the first one's pools are stored, so theirs is as good but not the same.

    Args:
        folder: The run.
        epochs: New total of epochs at the full rate; None keeps it.
        decay_epochs: New total of decay epochs; None keeps it.
        max_steps: New cap on the steps of the whole training; None keeps a cap that is not yet reached.
        max_minutes: Cap on the minutes of this sitting.
        device: Another device; choices by measurement are then made anew.
        precision: Another precision.
        more_epochs: So many epochs beyond those that it has, of which the same share as before has a falling rate. The
            rate of a training that is complete comes back for them.
        measure_again: Whether to measure anew what is fastest here, such as the number of threads: the result is then
            as good, but differs in its last bits from what it would have been. Where nothing is chosen by measurement,
            as on a GPU, nothing is measured, and a notice says so.
        changes: Other settings for the rest of the training: fields of `engine.config.CHANGEABLE`, by name. They are
            stored, so that a later resume keeps them.

    Yields:
        As `train`.

    Raises:
        EngineError: It is no run, is being trained, has no whole checkpoint, is complete, or as `train`.
    """
    named = {
        "epochs": epochs,
        "decay_epochs": decay_epochs,
        "max_steps": max_steps,
        "device": device,
        "precision": precision,
    }
    given = {**(changes or {}), **{name: value for name, value in named.items() if value is not None}}
    refuse_unchangeable(given)
    if rank_and_count()[0] == 0 and _starts_others(given.get("device") or read_run_summary(folder).config.device):
        yield from resume_on_all(
            folder, max_minutes=max_minutes, more_epochs=more_epochs, measure_again=measure_again, changes=given
        )
        return

    def prepare(clock: Stopwatch) -> Generator[TrainEvent, None, Ready]:
        yield from clock.tell(Preparing("Opening the training"))
        run = Run.open(folder)
        try:
            config, notices = changed_config(run, given, max_minutes=max_minutes, more_epochs=more_epochs)
            refuse_vanished_folders(config)
            require_tensorboard(config)
            choices, choice_notices = choices_on_resume(run, config, measure_again=measure_again)
            is_chosen_anew = choices is not run.choices
            with training_errors(config, choices):
                model = make_model(config, choices)
                restored = restore_checkpoint(run, model)
            if restored.damaged:
                names = ", ".join(path.name for path in restored.damaged)
                notices.append(
                    f"The newest state of this training is damaged ({names}); it goes on from step {restored.step:,}."
                )
            choices, rank_notices = choices_at(run, config, choices, restored.step)
            refuse_complete(run, config, choices, restored.step)
            if is_chosen_anew:
                rule, choices = choices, (yield from tuned(config, choices, model, clock))
                choice_notices += tuning_in_words(rule, choices)
            with training_errors(config, choices):
                samples = fixed_pictures(config, run.pictures)
            changed = changes_in_words(run.config, config)
            with disk_errors(folder):
                run.change(config, choices)
                if damage := run.continue_losses(restored.step):
                    notices.append(damage)
                run.cut_marks(restored.step)
                cut_quality(folder, restored.step)
            if changed:
                run.log(f"Changed at step {restored.step}: {changed}")
                run.mark("changed", changed, step=restored.step)
            for text in [*notices, *choice_notices, *rank_notices]:
                run.log(text)
                yield from clock.tell(Notice(text))
        except BaseException:
            run.close()
            raise
        return Ready(
            run=run,
            model=model,
            samples=samples,
            step=restored.step,
            seconds=restored.seconds,
            plateau=restored.plateau,
            # Whoever chooses a rate means that rate.
            rate_factor=1.0 if "learning_rate" in given else restored.rate_factor,
        )

    yield from _together(prepare)


def _starts_others(device: str) -> bool:
    """Whether a training on this device is one of several processes that are still to be started."""
    return device == "all" and rank_and_count()[1] == 1 and gpus_together() > 1


def _together(prepare: _Prepare) -> Iterator[TrainEvent]:
    """Train with all other processes of this training: the first prepares, and they follow it."""
    with joined_ranks() as ranks:
        if not ranks.is_first:
            follow(ranks)
            return
        clock = Stopwatch()
        try:
            ready = yield from prepare(clock)
        except BaseException:
            with contextlib.suppress(RunError):
                _share_plan(ranks, None)
            raise
        with contextlib.closing(ready.run):
            _share_plan(ranks, ready)
            yield from Sitting(ready, ranks, clock).events()


def _share_plan(ranks: Ranks, ready: Ready | None) -> None:
    """Tell the others what is trained, or that nothing is."""
    if ranks.count > 1:
        if ready is None:
            ranks.share(None)
        else:
            ranks.share(
                plan_of(
                    ready.run,
                    ready.model,
                    step=ready.step,
                    plateau=ready.plateau,
                    rate_factor=ready.rate_factor,
                )
            )
            with ranks.losing_others():
                ready.model.use_ranks()
