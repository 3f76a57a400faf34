from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.events import LOSS_NAMES
from engine.training.loss_table import read_loss_table

_HEADER = ",".join(("step", "epoch", "seconds", "lr", *LOSS_NAMES)) + "\n"


def _row(step: int, value: str = "0.5") -> str:
    return f"{step},1,2.5,0.0004" + 8 * f",{value}" + "\n"


def _read(folder: Path, text: str) -> tuple[list[int], np.ndarray]:
    (folder / "losses.csv").write_text(text, encoding="ascii")
    parts = list(read_loss_table(folder))
    steps = [int(step) for steps, _ in parts for step in steps]
    return steps, np.concatenate([np.empty((8, 0)), *(values for _, values in parts)], axis=1)


def test_rows_come_in_portions_and_in_the_order_of_the_losses(tmp_path: Path) -> None:
    rows = "".join(f"{step},1,0,0," + ",".join(str(step + n) for n in range(8)) + "\n" for step in range(1, 9002))
    (tmp_path / "losses.csv").write_text(_HEADER + rows, encoding="ascii")
    parts = list(read_loss_table(tmp_path))
    assert len(parts) > 1
    steps = np.concatenate([steps for steps, _ in parts])
    values = np.concatenate([values for _, values in parts], axis=1)
    np.testing.assert_array_equal(steps, np.arange(1, 9002))
    np.testing.assert_array_equal(values, steps + np.arange(8)[:, None])


@pytest.mark.parametrize(
    "damaged",
    [
        "garbage\n",
        "2,1,2.5\n",
        "2,1,2.5,0.0004,a,b,c,d,e,f,g,h\n",
        "nan,1,2.5,0.0004" + 8 * ",0.5" + "\n",
        _row(2).replace("\n", ",0.5\n"),
        "\x00\xff\n".encode("latin-1").decode("ascii", "replace").replace("\ufffd", "?"),
    ],
)
def test_damaged_rows_are_left_out(tmp_path: Path, damaged: str) -> None:
    steps, values = _read(tmp_path, _HEADER + _row(1) + damaged + _row(3))
    assert steps == [1, 3]
    np.testing.assert_array_equal(values, 0.5)


def test_a_last_row_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    assert _read(tmp_path, _HEADER + _row(1) + _row(2, "0.5125")[:-3])[0] == [1]


def test_numbers_that_are_not_finite_stay(tmp_path: Path) -> None:
    steps, values = _read(tmp_path, _HEADER + _row(1, "nan") + _row(2, "inf"))
    assert steps == [1, 2]
    assert np.isnan(values[:, 0]).all()
    assert np.isinf(values[:, 1]).all()


def test_steps_only_ever_go_on(tmp_path: Path) -> None:
    assert _read(tmp_path, _HEADER + _row(5) + _row(6) + _row(2) + _row(6) + _row(7))[0] == [5, 6, 7]


@pytest.mark.parametrize("text", ["", _HEADER, "other,columns\n1,2\n"])
def test_a_file_without_rows_gives_none(tmp_path: Path, text: str) -> None:
    assert _read(tmp_path, text)[0] == []


def test_a_run_without_losses_gives_none(tmp_path: Path) -> None:
    assert list(read_loss_table(tmp_path / "not there")) == []
