"""The command that measures everything: what a row that fails does, and that rows can be measured in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import groups, speed, table
from benchmarks.groups import Work
from benchmarks.table import Found, Line
from benchmarks.turns import TurnError

LINES = (
    Line("good", "fast", "Something fast", least=2.5),
    Line("good", "small", "Something small", most=1.0, unit="GB"),
    Line("bad", "broken", "Something broken", least=2),
    Line("other", "missing", "Something not measured", least=2),
)


def good(work: Work) -> dict[str, Found]:
    return {
        "fast": groups.faster([6.0, 5.0, 7.0], [2.0, 2.0, 2.0], note=f"{work.scale.turns} and {work.scale.rounds}"),
        "small": groups.compared([2.0], [3.0]),
    }


def bad(work: Work) -> dict[str, Found]:
    raise TurnError("it\nis | broken")


@pytest.fixture(autouse=True)
def made_up_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "others_share", lambda: 0.0)
    monkeypatch.setattr(speed, "GROUPS", {"good": good, "bad": bad, "other": good})
    for module in (speed, table):
        monkeypatch.setattr(module, "LINES", {"cpu": LINES, "gpu": LINES})
    machine = speed.machine
    monkeypatch.setattr(speed, "machine", lambda gpu: machine(gpu=False))


def rows(text: str) -> list[list[str]]:
    """The cells of each line of each table."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| Some")]


def test_a_row_that_fails_says_why_and_costs_the_others_nothing(tmp_path: Path) -> None:
    document = tmp_path / "docs/benchmarks.md"
    assert speed.main(["--rows", "good", "bad", "--column", "cpu", "--to", str(document)]) == 0
    fast, small, broken, missing, *gpu = rows(document.read_text(encoding="utf-8"))
    assert fast[2:5] == ["6 s (5 to 7)", "2 s (2 to 2)", "3.00 (2.50 to 3.50)"] and fast[-2] == "yes"
    assert small[1:5] == ["≤ 1 times", "2 GB", "3 GB", "1.50"] and small[-2] == "no"
    assert broken[-2] == "not measured: it is / broken"
    assert missing[-2] == "not measured"
    assert [cells[-2] for cells in gpu] == ["not measured"] * 4


def test_a_row_says_that_other_programs_used_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "others_share", lambda: 0.4)
    speed.main(["--quick", "--rows", "good", "--column", "cpu"])
    assert "Something small (while other programs took 40% of the processor)" in capsys.readouterr().out


def test_rows_measured_before_stay_when_others_are_measured_anew(tmp_path: Path) -> None:
    document = tmp_path / "docs/benchmarks.md"
    for number, group in enumerate(("good", "bad")):
        speed.main(["--rows", group, "--column", "cpu", "--to", str(document), "--commit", f"commit{number}"])
    fast, _, broken, *_ = rows(document.read_text(encoding="utf-8"))
    assert fast[-2] == "yes" and fast[-1].endswith("at commit0")
    assert broken[-2].startswith("not measured: it is") and broken[-1].endswith("at commit1")


@pytest.mark.parametrize("given, taken", [([], "(5 and 2)"), (["--turns", "1"], "(1 and 1)")])
def test_how_often_each_side_is_measured_is_for_the_user_to_say(
    given: list[str], taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speed.main(["--rows", "good", "--column", "cpu", "--to", str(tmp_path / "benchmarks.md"), *given])
    assert taken in rows(capsys.readouterr().out)[0][0]


def test_what_was_measured_elsewhere_is_merged_group_by_group(tmp_path: Path) -> None:
    there, here = tmp_path / "there/benchmarks.md", tmp_path / "here/benchmarks.md"
    speed.main(["--rows", "good", "--column", "gpu", "--to", str(there), "--commit", "of-the-gpu"])
    speed.main(["--rows", "good", "bad", "--column", "cpu", "--to", str(here), "--commit", "of-the-cpu"])
    assert speed.main(["--merge", str(there.with_suffix(".json")), "--to", str(here)]) == 0
    merged = table.read_results(here.with_suffix(".json"))
    assert {column: list(found) for column, found in merged.items()} == {"cpu": ["good", "bad"], "gpu": ["good"]}
    ends = [cells[-1].partition(" at ")[2] for cells in rows(here.read_text(encoding="utf-8"))]
    assert ends == ["of-the-cpu"] * 3 + [""] + ["of-the-gpu"] * 2 + ["", ""]


def test_merging_what_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.main(["--merge", str(tmp_path / "no.json"), "--to", str(tmp_path / "benchmarks.md")])
    assert "no.json is not a file" in capsys.readouterr().err
    assert not (tmp_path / "benchmarks.md").exists()


def test_a_quick_run_writes_nothing_unless_told_where(capsys: pytest.CaptureFixture[str]) -> None:
    before = (speed.ROOT / "docs/benchmarks.md").exists()
    speed.main(["--quick", "--rows", "good", "--column", "cpu"])
    printed = capsys.readouterr().out
    assert "these figures mean nothing" in printed
    assert {cells[-2] for cells in rows(printed)} == {"", "not measured"}
    assert (speed.ROOT / "docs/benchmarks.md").exists() == before
