"""`cyclegan check`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.events import (
    Examined,
)


def test_a_check_names_each_file_and_writes_what_to_leave_out(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "trainB" / "broken.png").write_bytes(b"no picture")
    bad = tmp_path / "bad.txt"
    assert main(["check", str(root), "--names", "Reds", "Blues", "--leave-out-list", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "WARNING: 1 picture of Blues cannot be read" in out
    assert str(root / "trainB" / "broken.png") in out
    assert str(root / "trainB" / "broken.png") in bad.read_text(encoding="utf-8").splitlines()


def test_a_check_speaks_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "trainA" / "broken.png").write_bytes(b"no picture")
    assert main(["check", str(root / "trainA"), str(root / "trainB"), "--json"]) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    finding = next(event for event in events if event.get("kind") == "unreadable")
    assert finding["files"] == finding["leave_out"] == [str(root / "trainA" / "broken.png")]
    assert events[-1]["event"] == "Examined"


def test_a_check_says_by_its_exit_status_that_no_training_can_begin(root: Path, tmp_path: Path) -> None:
    for path in (root / "trainB").iterdir():
        path.write_bytes(b"")
    assert main(["check", str(root)]) == 2
    assert main(["check", str(tmp_path / "nowhere"), str(root / "trainA")]) == 2


def test_a_check_without_findings_ends_well(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.doctor.examine", lambda *_, **__: iter([Examined(9, 9, 9, 9, 0, 1.0)]))
    assert main(["check", str(root)]) == 0
