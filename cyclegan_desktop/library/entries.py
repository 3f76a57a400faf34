"""What the Models page lists, read from the disk. Everything here runs in a worker thread."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QImageReader

from engine.config import Direction
from engine.conversion.model_file import read_model_info
from engine.errors import EngineError
from engine.model.architecture import Architecture
from engine.training.run import RunSummary, read_run_summary, runs_in
from engine.training.upkeep import CleanKind, DiskUse, disk_use, freeable, read_about

logger = logging.getLogger(__name__)

_PREVIEW_SIDE = 1200
_COLUMNS, _GAP = 3, 4


@dataclass(frozen=True, kw_only=True)
class LibraryEntry:
    """One line of the Models page.

    Attributes:
        path: The run folder or model file.
        kind: "run", "model" or "starter"; "missing" if it is no longer there, "unreadable" if it cannot be read.
        problem: Why it cannot be read, a sentence; "" for the other kinds.
        name_A: Name of domain A.
        name_B: Name of domain B.
        preset: The preset its training began from.
        size: Side of the crops trained on, in pixels.
        step: Steps taken.
        total_steps: Steps of the whole schedule; 0 for a model file, which does not say.
        is_complete: Whether its schedule is done, so that there is nothing to resume. A training that a cap on its
            steps or minutes has ended can be resumed.
        day: When it was last trained; None if that is not known.
        model: The model file; None for a run that has saved none yet.
        architecture: What its generators are made of; None where that cannot be read.
        directions: The directions it can convert in, or will.
        has_discriminators: Whether a model file holds them too; a run keeps its own in its checkpoints.
        name: What its user calls it, or "".
        note: What its author or user says about it, or "".
        seconds: Time spent on training it; 0 if that is not known.
        best_score: The lowest score of its moments so far; None if none was measured.
        best_step: The step of that score.
        disk: The room that a run takes; None for other kinds.
        freeable: What cleaning up each kind of its files would free, in bytes.
        sheets: Its newest samples, A to B and B to A, as far as there are any.
    """

    path: Path
    kind: Literal["run", "model", "starter", "missing", "unreadable"]
    problem: str = ""
    name_A: str = ""
    name_B: str = ""
    preset: str = ""
    size: int = 0
    step: int = 0
    total_steps: int = 0
    is_complete: bool = False
    day: date | None = None
    model: Path | None = None
    architecture: Architecture | None = None
    directions: tuple[Direction, ...] = ("a2b", "b2a")
    has_discriminators: bool = False
    name: str = ""
    note: str = ""
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int | None = None
    disk: DiskUse | None = None
    freeable: dict[CleanKind, int] = field(default_factory=dict, hash=False)
    sheets: tuple[QImage, ...] = field(default=(), compare=False)

    @property
    def can_resume(self) -> bool:
        """Whether its training can go on."""
        return self.kind == "run" and not self.is_complete

    @property
    def can_convert(self) -> bool:
        """Whether there is a model to convert with."""
        return self.model is not None

    @property
    def can_fine_tune(self) -> bool:
        """Whether another training can begin with its networks."""
        return self.can_convert and len(self.directions) == 2

    def thumbnail(self) -> QImage:
        """The first sample, original and translated side by side; a null image without samples."""
        if not self.sheets:
            return QImage()
        sheet = self.sheets[0]
        side = (sheet.width() - (_COLUMNS - 1) * _GAP) // _COLUMNS
        return sheet.copy(QRect(0, 0, 2 * side + _GAP, side))


def read_library(
    known: Iterable[Path], runs_folder: Path, hidden: Iterable[Path], starter: Path
) -> Iterator[LibraryEntry]:
    """Everything that can be trained on or converted with, one at a time.

    Args:
        known: Run folders and model files.
        runs_folder: Where runs are; those in it are found by themselves.
        hidden: What is left out.
        starter: The model that comes with the app; it is left out where it is missing.
    """
    known = list(known)
    hidden = {*hidden, *known, starter}
    for path in known:
        if path != starter:
            yield read_entry(path)
    for path in runs_in(runs_folder):
        if path not in hidden:
            yield read_entry(path)
    if starter.is_file():
        yield read_entry(starter, is_starter=True)


def read_entry(path: Path, *, is_starter: bool = False) -> LibraryEntry:
    """A run folder or a model file at a glance; what cannot be read is an entry too."""
    try:
        if not path.exists():
            return LibraryEntry(path=path, kind="missing")
        return _read_run(path) if path.is_dir() else _read_model(path, is_starter)
    except EngineError as error:
        return LibraryEntry(path=path, kind="unreadable", problem=str(error))
    except OSError as error:
        logger.warning("%s cannot be read: %s", path, error)
        return LibraryEntry(path=path, kind="unreadable", problem=f"{path} cannot be read: {error.strerror}.")


def _read_run(path: Path) -> LibraryEntry:
    run = read_run_summary(path)
    about = read_about(path)
    return LibraryEntry(
        path=path,
        kind="run",
        name_A=run.config.name_A,
        name_B=run.config.name_B,
        preset=run.config.preset,
        size=run.config.size,
        step=run.step,
        total_steps=run.schedule_steps,
        is_complete=run.is_complete,
        day=date.fromtimestamp(run.modified),
        model=run.model,
        architecture=run.config.architecture,
        name=about.name,
        note=about.note,
        seconds=run.seconds,
        best_score=run.best_score,
        best_step=run.best_step,
        disk=disk_use(path),
        freeable=freeable(path),
        sheets=_newest_sheets(run),
    )


def _read_model(path: Path, is_starter: bool) -> LibraryEntry:
    info = read_model_info(path)
    return LibraryEntry(
        path=path,
        kind="starter" if is_starter else "model",
        name_A=info.name_A,
        name_B=info.name_B,
        preset=info.preset,
        size=info.size,
        step=info.steps,
        day=_day(info.date),
        model=path,
        architecture=info.architecture,
        directions=info.directions,
        has_discriminators=info.has_discriminators,
        note=info.note,
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _newest_sheets(run: RunSummary) -> tuple[QImage, ...]:
    """The sheets of the newest step: step_00000500_a2b.png and step_00000500_b2a.png."""
    if run.sheet is None:
        return ()
    step = run.sheet.stem.rpartition("_")[0]
    images = (_read_image(run.sheet.with_name(f"{step}_{direction}.png")) for direction in ("a2b", "b2a"))
    return tuple(image for image in images if not image.isNull())


def _read_image(path: Path) -> QImage:
    """A picture of ours, at most 1200 px a side; a null image if it cannot be read."""
    reader = QImageReader(str(path))
    image = reader.read() if path.is_file() else QImage()
    if max(image.width(), image.height()) > _PREVIEW_SIDE:
        image = image.scaled(
            QSize(_PREVIEW_SIDE, _PREVIEW_SIDE),
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    return image
