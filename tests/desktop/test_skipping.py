"""Where Qt cannot start, the desktop tests are skipped and say why; nothing of them is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]


def run_pytest(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, arguments)],
        cwd=_TESTS.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="Windows and macOS bring what Qt needs")
@pytest.mark.parametrize("folder", ["", "conversion", "library", "training"])
def test_without_qts_libraries_everything_is_skipped_with_the_reason(tmp_path, folder):
    (tmp_path / "PySide6").mkdir()
    complaint = "libEGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "PySide6" / "__init__.py").write_text(f"raise ImportError({complaint!r})")
    answer = run_pytest(_TESTS / "desktop" / folder, PYTHONPATH=str(tmp_path))
    assert "Desktop tests skipped: the system library libEGL.so.1 is missing." in answer.stdout
    assert answer.stdout.splitlines()[-1].split(" in ")[0].endswith(" skipped"), answer.stdout
    assert "error" not in answer.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_headed_without_a_display_is_skipped_with_the_reason():
    nowhere = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "QT_QPA_PLATFORM": ""}
    answer = run_pytest("--headed", Path(__file__).with_name("test_drops.py"), **nowhere)
    assert "Desktop tests skipped: no display can be reached" in answer.stdout
    assert "1 skipped" in answer.stdout
