"""What is said of the machine and of the commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import machine


def test_a_copy_without_git_has_an_unknown_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.commit() == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.commit() == "unknown"


def test_what_is_not_committed_is_not_taken_for_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    for name in ("engine", "benchmarks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("1", encoding="utf-8")
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "First"]):
        subprocess.run(["git", *words], check=True, cwd=tmp_path)
    clean = machine.commit()
    assert len(clean) >= 7 and " " not in clean
    (tmp_path / "engine/a.py").write_text("2", encoding="utf-8")
    assert machine.commit() == f"{clean} with changes"


def test_a_machine_names_its_processor_and_its_versions() -> None:
    assert machine.machine(gpu=False).keys() == {"processor", "system", "python", "torch", "PySide6", "pillow"}
