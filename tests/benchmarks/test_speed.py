"""The command that measures everything: what a row that fails does, and that targets are judged as they are written."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import speed
from benchmarks.speed import Found, Line, Scale, Work
from benchmarks.turns import Spread, TurnError

LINES = (
    Line("good", "fast", "Something fast", least=2.5),
    Line("good", "small", "Something small", most=1.0, unit="GB"),
    Line("bad", "broken", "Something broken", least=2),
    Line("other", "missing", "Something not measured", least=2),
)


def good(work: Work) -> dict[str, Found]:
    return {"fast": speed.faster([6.0, 5.0, 7.0], [2.0, 2.0, 2.0]), "small": speed.compared([2.0], [3.0])}


def bad(work: Work) -> dict[str, Found]:
    raise TurnError("it\nis | broken")


@pytest.fixture(autouse=True)
def made_up_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "others_share", lambda: 0.0)
    monkeypatch.setattr(speed, "GROUPS", {"good": good, "bad": bad, "other": good})
    monkeypatch.setattr(speed, "LINES", {"cpu": LINES, "gpu": LINES})


def rows(text: str) -> list[list[str]]:
    """The cells of each line of each table."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| Some")]


def test_a_row_that_fails_says_why_and_costs_the_others_nothing(tmp_path: Path) -> None:
    document = tmp_path / "docs/benchmarks.md"
    assert speed.main(["--rows", "good", "bad", "--column", "cpu", "--to", str(document)]) == 0
    fast, small, broken, missing, *gpu = rows(document.read_text(encoding="utf-8"))
    assert fast[2:5] == ["6 s (5 to 7)", "2 s (2 to 2)", "3.00 (2.50 to 3.50)"] and fast[-1] == "yes"
    assert small[1:5] == ["≤ 1 times", "2 GB", "3 GB", "1.50"] and small[-1] == "no"
    assert broken[-1] == "not measured: it is / broken"
    assert missing[-1] == "not measured"
    assert [cells[-1] for cells in gpu] == ["not measured"] * 4


def test_a_row_says_that_other_programs_used_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "others_share", lambda: 0.4)
    speed.main(["--quick", "--rows", "good", "--column", "cpu"])
    assert "Something fast (while other programs took 40% of the processor)" in capsys.readouterr().out


def test_rows_measured_before_stay_when_others_are_measured_anew(tmp_path: Path) -> None:
    document = tmp_path / "docs/benchmarks.md"
    for group in ("good", "bad"):
        speed.main(["--rows", group, "--column", "cpu", "--to", str(document)])
    fast, _, broken, *_ = rows(document.read_text(encoding="utf-8"))
    assert fast[-1] == "yes" and broken[-1].startswith("not measured: it is")


def test_a_quick_run_writes_nothing_unless_told_where(capsys: pytest.CaptureFixture[str]) -> None:
    before = (speed.ROOT / "docs/benchmarks.md").exists()
    speed.main(["--quick", "--rows", "good", "--column", "cpu"])
    printed = capsys.readouterr().out
    assert "these figures mean nothing" in printed
    assert {cells[-1] for cells in rows(printed)} == {"", "not measured"}
    assert (speed.ROOT / "docs/benchmarks.md").exists() == before


def test_what_was_found_survives_being_stored() -> None:
    found = speed.faster([6.0, 5.0], [2.0, 2.0], share=0.4, note="fp32")
    assert Found.from_json(json.loads(json.dumps(asdict(found)))) == found


def test_a_share_of_the_ceiling_is_judged_by_itself() -> None:
    line = Line("good", "fast", "Something fast", "share", least=0.35)
    assert line.target == "≥ 35% of the ceiling"
    assert speed.met(line, Found(share=0.36)) == "yes"
    assert speed.met(line, Found(share=0.34, ours=Spread.of([1.0]))) == "no"
    assert speed.met(line, Found()) == ""


def test_the_work_of_a_step_is_counted_as_the_literature_has_it() -> None:
    """99.1 GFLOP for a generator at 256 px (11.4 M weights), which is what others report for it."""
    assert speed.picture_flops(Scale(), 256 * 256) == pytest.approx(99.1e9, rel=1e-2)
    assert speed.step_flops(Scale(size=64, blocks=1, channels=4)) > 0
