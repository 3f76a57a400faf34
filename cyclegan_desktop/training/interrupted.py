"""Trainings that a crash or a power cut has interrupted, found at launch."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QDate, QLocale, QTime

from engine.conversion.model_file import MODEL_FILE_NAME
from engine.errors import EngineError
from engine.training.run import read_run_summary, runs_in
from engine.training.upkeep import read_about


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A training that was at work when its process ended, and that nobody trains now.

    Attributes:
        run: Its folder.
        name: What it is called.
        step: The last step that is recorded.
        saved: When its last checkpoint was written, in seconds since 1970; None if that is not known.
    """

    run: Path
    name: str
    step: int
    saved: float | None


def find_interrupted(known: Iterable[Path], runs_folder: Path, hidden: Iterable[Path]) -> Iterator[Interrupted]:
    """Look through the trainings that the app knows; to be run in a thread, since their disk may be asleep.

    Args:
        known: Run folders and model files.
        runs_folder: Where runs are; those in it are found by themselves.
        hidden: What is left out.
    """
    left_out = set(hidden)
    for run in dict.fromkeys([*known, *runs_in(runs_folder)]):
        if run in left_out or run.suffix == ".safetensors":
            continue
        try:
            summary = read_run_summary(run)
        except EngineError:
            continue  # The Models page says what is wrong with it.
        if summary.was_interrupted:
            config = summary.config
            name = read_about(run).name or _tr("{A} and {B}").format(A=config.name_A, B=config.name_B)
            yield Interrupted(run, name, summary.step, _last_saved(run))


def interrupted_sentence(found: Interrupted, now: datetime.datetime | None = None) -> str:
    """What happened to it, and that it is well."""
    if found.saved is None:
        text = _tr("{name} was interrupted at step {step:,}. It can go on from where it was last saved.")
        return text.format(name=found.name, step=found.step)
    text = _tr("{name} was interrupted at step {step:,} (last saved {when}). Nothing before that is lost.")
    return text.format(name=found.name, step=found.step, when=when_words(found.saved, now))


def when_words(seconds: float, now: datetime.datetime | None = None) -> str:
    """A time of the past, in seconds since 1970, as people say it: "14:05, yesterday"."""
    when = datetime.datetime.fromtimestamp(seconds)
    days = ((now or datetime.datetime.now()).date() - when.date()).days
    locale = QLocale()
    time = locale.toString(QTime(when.hour, when.minute), QLocale.FormatType.ShortFormat)
    day = {0: _tr("today"), 1: _tr("yesterday")}.get(days) or locale.toString(
        QDate(when.year, when.month, when.day), QLocale.FormatType.ShortFormat
    )
    return _tr("{time}, {day}").format(time=time, day=day)


def _last_saved(run: Path) -> float | None:
    """When the newest checkpoint was written, or the newest model where there is none."""
    saved = [*(run / "checkpoints").glob("step_*.safetensors"), run / MODEL_FILE_NAME]
    times = []
    for path in saved:
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times, default=None)


def _tr(text: str) -> str:
    return QCoreApplication.translate("Interrupted", text)
