"""Every benchmark at least starts: what it imports is still there, and it says what it does."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
LIBRARIES = {"turns.py", "photographs.py", "table.py", "groups.py", "machine.py"}
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if path.name not in LIBRARIES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_starts(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    script = FOLDER / name
    if any(words in script.read_text(encoding="utf-8") for words in ("import PySide6", "from PySide6")):
        request.getfixturevalue("needs_qt")
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert not end.value.code
    assert f"benchmarks/{name}" in capsys.readouterr().out
