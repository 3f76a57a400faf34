"""The table of docs/benchmarks.md: targets are judged as they are written, and each row says where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.table import Found, Line, Origin, Results
from benchmarks.turns import Spread

LINES = (
    Line("first", "fast", "Something fast", least=2.5),
    Line("second", "small", "Something small", most=1.0, unit="GB"),
    Line("third", "missing", "Something not measured", least=2),
)
FAST = Found(Spread.of([6.0, 5.0]), Spread.of([2.0, 2.0]), (2.75, 2.5, 3.0), ceiling=1e12, share=0.4, note="fp32")
SMALL = Found(ratio=(1.5, 1.5, 1.5))


@pytest.fixture(autouse=True)
def made_up_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LINES", {"cpu": LINES, "gpu": LINES})


def origin(found: Found, key: str, *, processor: str = "An abacus", commit: str = "abc", quick: bool = False) -> Origin:
    return Origin({"processor": processor, "python": "3.11"}, commit, "2026-01-02", quick, {key: found})


def rows(text: str) -> list[list[str]]:
    """The cells of each line of each table."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| Some")]


def test_results_survive_being_stored_beside_the_document(tmp_path: Path) -> None:
    results: Results = {"cpu": {"first": origin(FAST, "fast"), "second": origin(SMALL, "small")}}
    table.write_results(results, tmp_path / "docs/benchmarks.md")
    assert table.read_results(tmp_path / "docs/benchmarks.json") == results


def test_what_was_never_stored_is_nothing(tmp_path: Path) -> None:
    assert table.read_results(tmp_path / "benchmarks.json") == {}


def test_each_row_names_the_day_and_the_commit_that_measured_it() -> None:
    written = table.document(
        {"cpu": {"first": origin(FAST, "fast"), "second": origin(SMALL, "small", commit="def with changes")}}
    )
    fast, small, missing, *_ = rows(written)
    assert fast[-2:] == ["yes", "2026-01-02 at abc"]
    assert small[-2:] == ["no", "2026-01-02 at def with changes"]
    assert missing[-2:] == ["not measured", ""]
    assert "\nAn abacus, python 3.11.\n" in written


def test_rows_of_two_machines_say_which_is_whose() -> None:
    other = origin(SMALL, "small", processor="A slide rule")
    written = table.document({"cpu": {"first": origin(FAST, "fast"), "second": other}})
    fast, small, *_ = rows(written)
    assert fast[-1].endswith("at abc, on (a)") and small[-1].endswith("at abc, on (b)")
    assert "(a) An abacus, python 3.11.\n" in written and "(b) A slide rule, python 3.11.\n" in written


def test_what_was_measured_quickly_is_not_judged() -> None:
    written = table.document({"cpu": {"first": origin(FAST, "fast", quick=True), "second": origin(SMALL, "small")}})
    fast, small, *_ = rows(written)
    assert fast[-2] == "" and small[-2] == "no"
    assert "these figures mean nothing" in written


def test_a_share_of_the_ceiling_is_judged_by_itself() -> None:
    line = Line("first", "fast", "Something fast", "share", least=0.35)
    assert line.target == "≥ 35% of the ceiling"
    assert table.met(line, Found(share=0.36)) == "yes"
    assert table.met(line, Found(share=0.34, ours=Spread.of([1.0]))) == "no"
    assert table.met(line, Found()) == ""


def test_the_ceiling_stands_beside_the_share_of_it() -> None:
    line = Line("first", "fast", "Something fast", "share", least=0.35)
    assert table.cells(line, Found(ceiling=736.6e12, share=0.3))[5:7] == ["737 TFLOP/s", "30%"]
    assert table.cells(line, Found(ceiling=0.237e12, share=0.911))[5:7] == ["0.237 TFLOP/s", "91%"]
    assert table.cells(line, Found())[5:7] == ["", ""]
