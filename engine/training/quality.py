"""The quality of a training's moments, as it is kept in the run: quality.csv, and which moment is best. Without torch.

How it is measured is in `engine/training/measuring.py`.
"""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

from engine.config import Direction
from engine.conversion.model_file import BEST_FILE_NAME
from engine.errors import ModelFileError
from engine.events import DirectionQuality, QualityMeasured
from engine.files import write_atomically
from engine.tensor_file import read_metadata

QUALITY_FILE_NAME = "quality.csv"

_DIRECTIONS: tuple[Direction, Direction] = ("a2b", "b2a")
_LISTS = ("scales", "distances", "start", "finish")
_HEADER = (
    "step",
    "seconds",
    "held_out",
    "best_step",
    *(f"{direction}_{name}" for direction in _DIRECTIONS for name in (*_LISTS, "cycle_error")),
)


def is_better(new: QualityMeasured, best: QualityMeasured | None) -> bool:
    """Whether a moment is to be the model's default from now on, instead of the one that is best so far.

    A moment is good only if its score is below the start line: a generator that has learnt nothing yet scores as the
    untranslated pictures do (the long skip begins as the identity) or worse (a plain one begins as a blur), and the
    one nearest to them must not stand for a training that has changed more and is still on its way. Until one is good,
    the newest model is the default. Neither is the untrained step 0, whatever its score.

    Args:
        new: The moment just measured.
        best: The best before; None where there is none. One measured at another picture size does not compare, and
            gives way.
    """
    if new.step == 0 or new.score >= start_line(new):
        return False
    return best is None or _scales(best) != _scales(new) or new.score < best.score


def start_line(measured: QualityMeasured) -> float:
    """The score that untranslated pictures have, of both directions."""
    return sum(direction.start_line for direction in measured.directions) / len(measured.directions)


def finish_line(measured: QualityMeasured) -> float:
    """The score that real pictures have."""
    return sum(direction.finish_line for direction in measured.directions) / len(measured.directions)


def read_quality(folder: Path) -> list[QualityMeasured]:
    """Every measurement of a training, in order; damaged rows are left out."""
    try:
        with (folder / QUALITY_FILE_NAME).open(encoding="ascii", errors="replace", newline="") as file:
            return [measured for row in csv.DictReader(file) if (measured := _parsed(row)) is not None]
    except OSError:
        return []


def read_best(folder: Path) -> QualityMeasured | None:
    """The measurement of the training's best moment, whose networks are in best.safetensors; None where none is."""
    step = _best_step(folder)
    return next((measured for measured in reversed(read_quality(folder)) if measured.step == step), None)


def _best_step(folder: Path) -> int | None:
    """The step of the networks in best.safetensors; None where there is no such file, or it is damaged."""
    try:
        return int(read_metadata(folder / BEST_FILE_NAME)["steps"])
    except (ModelFileError, KeyError, ValueError):
        return None


def append_quality(folder: Path, measured: QualityMeasured) -> None:
    """Add a row to quality.csv.

    Raises:
        OSError: The disk is full or the folder has gone.
    """
    path = folder / QUALITY_FILE_NAME
    if not path.exists():
        write_atomically(path, (",".join(_HEADER) + "\n").encode("ascii"))
    with path.open("a", encoding="ascii", newline="") as file:
        file.write(",".join(_cells(measured)) + "\n")


def cut_quality(folder: Path, step: int) -> None:
    """Forget what was measured after `step`, where a training goes on from there; its best moment too, if later.

    Raises:
        OSError: The folder cannot be written.
    """
    path = folder / QUALITY_FILE_NAME
    kept = [measured for measured in read_quality(folder) if measured.step <= step]
    if path.exists():
        lines = [",".join(cells) for cells in (_HEADER, *map(_cells, kept))]
        write_atomically(path, ("\n".join(lines) + "\n").encode("ascii"))
    # One whose row is gone, with its file or cut off by a crash, is still the best there was; what is measured next
    # takes its place.
    best = _best_step(folder)
    if best is None or best > step:
        (folder / BEST_FILE_NAME).unlink(missing_ok=True)


def _scales(measured: QualityMeasured) -> list[tuple[int, ...]]:
    return [direction.scales for direction in measured.directions]


def _cells(measured: QualityMeasured) -> list[str]:
    cells = [str(measured.step), f"{measured.seconds:.2f}", str(int(measured.held_out)), str(measured.best_step)]
    for direction in measured.directions:
        for name in _LISTS:
            cells.append(" ".join(f"{value:.6g}" for value in getattr(direction, name)))
        cells.append(f"{direction.cycle_error:.6g}")
    return cells


def _parsed(row: dict[str, str | None]) -> QualityMeasured | None:
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        cells = {name: row[name] or "" for name in _HEADER}
        first, second = (
            DirectionQuality(
                direction=direction,
                scales=tuple(int(value) for value in cells[f"{direction}_scales"].split()),
                distances=_numbers(cells[f"{direction}_distances"]),
                start=_numbers(cells[f"{direction}_start"]),
                finish=_numbers(cells[f"{direction}_finish"]),
                cycle_error=float(cells[f"{direction}_cycle_error"]),
            )
            for direction in _DIRECTIONS
        )
        if {len(getattr(each, name)) for each in (first, second) for name in _LISTS} == {len(first.scales)} != {0}:
            return QualityMeasured(
                step=int(cells["step"]),
                seconds=float(cells["seconds"]),
                directions=(first, second),
                held_out=cells["held_out"] == "1",
                best_step=int(cells["best_step"]),
            )
    return None


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(value) for value in text.split())
