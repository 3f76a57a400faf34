"""The losses of a run as arrays, a portion at a time: a training of weeks has a million rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.events import LOSS_NAMES

_PORTION = 4000
"""Rows read at once: a few milliseconds, in which no other thread of this process runs."""


def read_loss_table(folder: Path) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """The rows of losses.csv, in portions of some thousand; nothing where there is no such file.

    Damaged rows are left out, and so are rows whose step is not past all those before.

    Yields:
        Steps, [N], and losses, [8, N], in the order of `LOSS_NAMES`.
    """
    try:
        with (folder / "losses.csv").open(encoding="ascii", errors="replace") as file:
            header = file.readline().strip().split(",")
            if not {"step", *LOSS_NAMES} <= set(header):
                return
            columns = [header.index(name) for name in ("step", *LOSS_NAMES)]
            newest = -1.0
            while lines := list(islice(file, _PORTION)):
                table = _numbers(lines, columns, len(header))
                table = table[np.isfinite(table[:, 0])]
                steps = table[:, 0]
                before = np.maximum.accumulate(np.concatenate([[newest], steps]))
                table = table[steps > before[:-1]]
                newest = float(before[-1])
                if len(table):
                    yield table[:, 0].astype(np.int64), table[:, 1:].T
    except OSError:
        return


def _numbers(lines: list[str], columns: list[int], width: int) -> npt.NDArray[np.float64]:
    """[N, columns], the numbers of the rows that are whole."""
    try:
        # Quick, and gives up at the first damaged row.
        table = np.loadtxt(lines, delimiter=",", usecols=columns, ndmin=2, comments=None)
        if lines[-1].endswith("\n") and all(line.count(",") == width - 1 for line in lines):
            return table
    except ValueError:
        pass
    rows = []
    for line in lines:
        cells = line.rstrip("\n").split(",")
        # A row that a crash cut off in its last number has as many cells as any, but no end of the line.
        if len(cells) == width and line.endswith("\n"):
            with contextlib.suppress(ValueError):
                rows.append([float(cells[column]) for column in columns])
    return np.array(rows, np.float64).reshape(-1, len(columns))
