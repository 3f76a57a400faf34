"""What measures the lines: its arithmetic, what it says where Qt is missing, and how often each side has its turn."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import convert_many, convert_small, groups
from benchmarks.groups import GROUPS, Scale, Work
from benchmarks.table import LINES, Found
from benchmarks.turns import TurnError


def work(folder: Path, **sizes: Any) -> Work:
    return Work(Scale(**sizes), "cpu", folder)


def test_every_line_has_a_group_that_measures_it() -> None:
    assert {line.group for lines in LINES.values() for line in lines} == set(GROUPS)


@pytest.mark.parametrize("group", ["paint", "lag"])
def test_a_group_that_needs_qt_says_so_where_it_is_missing(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TurnError, match="PySide6 is not installed there"):
        GROUPS[group](work(tmp_path))


@pytest.mark.parametrize("most", [1000, 100_000])
def test_many_files_are_held_against_few(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: list[object], *, timeout: float) -> dict[str, Any]:
        assert command[command.index("--most") + 1] == most
        memory = [(50, 2e9), (1000, 3e9), *([(most, 5e9)] if most > 1000 else [])]
        return {"few": 50, "many": most, "few_ms": [1.0, 2.0, 4.0], "many_ms": [2.0, 3.0, 4.0], "memory": memory}

    monkeypatch.setattr(groups, "run_json", answer)
    found = groups.measure_many(work(tmp_path, most_files=most))
    assert found["time"].ratio == (1.5, 1.0, 2.0)
    assert f"{most:,} files against 50" in found["time"].note
    assert found["memory"].ratio == (1.5,) * 3
    assert "1,000 files against 50" in found["memory"].note
    assert ("5.00 GB with 100,000" in found["memory"].note) == (most > 1000)


def test_a_file_more_is_measured_at_the_end_of_many(tmp_path: Path) -> None:
    found = convert_many.measure(160, 2, tmp_path)
    assert (found["few"], found["many"]) == (8, 160)
    assert len(found["few_ms"]) == len(found["many_ms"]) == 2
    assert min(found["few_ms"]) > 0 and min(found["many_ms"]) > found["start_ms"]
    assert [count for count, _ in found["memory"]] == [8, 160]
    # Both sides have ended, and have taken their results with them.
    assert sorted(path.name for path in tmp_path.glob("to*")) == []


def test_sizes_of_pictures_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def answer(command: list[object], *, timeout: float) -> dict[str, float]:
        megapixels = command[command.index("quick") + 1]
        assert isinstance(megapixels, float)
        taken.append(megapixels)
        return {"seconds": 3 * megapixels if megapixels > 2 else megapixels}

    monkeypatch.setattr(groups, "run_json", answer)
    found = groups.measure_megapixels(work(tmp_path, megapixels=(1.0, 4.0), rounds=2))["each"]
    assert taken == [1.0, 1.0, 1.0, 4.0] * 2
    assert found.ratio == (3.0, 3.0, 3.0)
    assert found.note == "1 s at 1 MP, 3 s at 4 MP; 2 rounds"


def test_whole_commands_are_measured_in_turns_and_their_results_compared(tmp_path: Path) -> None:
    scale = Scale(size=32, blocks=1, channels=4, rounds=1, jpegs=2, quick=True)
    found = groups.measure_convert(Work(scale, "cpu", tmp_path))["files"]
    assert found.plain is not None and found.ours is not None and found.ratio is not None
    assert found.plain.count == found.ours.count == 1
    assert found.share is not None and found.share > 0
    assert found.note.startswith("2 files; once each, in turns; ") and "levels of 255" in found.note


def test_the_ceiling_is_the_median_rate_of_the_precision_and_the_share_what_ours_reaches_of_it() -> None:
    rates = [{"bf16": rate, "fp32": 1e12} for rate in (4e12, 2e12, 3e12)]
    found = groups.under_ceiling(groups.faster([9.0], [2.0], note="bf16"), rates, "bf16", flops=1.5e12)
    assert found.ceiling == 3e12 and found.share == 0.25
    assert found.ratio == (4.5, 4.5, 4.5) and found.note == "bf16"


def test_the_work_of_a_step_is_counted_as_the_literature_has_it() -> None:
    """99.1 GFLOP for a generator at 256 px (11.4 M weights), which is what others report for it."""
    assert groups.picture_flops(Scale(), 256 * 256) == pytest.approx(99.1e9, rel=1e-2)
    assert groups.step_flops(Scale(size=64, blocks=1, channels=4)) > 0


def test_an_extra_that_is_not_installed_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(*_: object, extra: bool, **__: object) -> dict[str, Found]:
        asked.append(extra)
        return {"ours": Found(note="ours"), **({"extra": Found(note="theirs")} if extra else {})}

    monkeypatch.setattr(groups, "converted", answer)
    monkeypatch.setattr(groups, "write_photographs", lambda *_, **__: tmp_path)
    for is_installed in (True, False):
        monkeypatch.setattr(groups.convert_small, "has_extra", lambda known=is_installed: known)
        found = groups.measure_convert(work(tmp_path))
        assert found["files"].note == "ours"
        assert found["extra"] == (Found(note="theirs") if is_installed else Found(failed="OpenVINO is not installed"))
    assert asked == [True, False]


def test_the_command_as_installed_finds_no_extra() -> None:
    program = convert_small._WITHOUT_EXTRA.partition("from engine.__main__")[0]
    program += "from engine.conversion.openvino_network import openvino_version; print(repr(openvino_version()))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=convert_small.ROOT, capture_output=True, text=True
    )
    assert done.stdout == "''\n"
