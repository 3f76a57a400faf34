from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

# The demonstration as it is, but for the length of its training.
SHORT_DEMO = """
import sys
from cyclegan_desktop import demo
demo._TRAINING_MINUTES = 0.05
{change}
sys.exit(demo.run_demo())
"""


def run_demo(folder: Path, change: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    kept.pop("QT_QPA_PLATFORM", None)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SHORT_DEMO.format(change=change)],
        cwd=folder,
        env={**kept, "XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state"), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def assert_converted(folder: Path) -> None:
    for name in ("Summer to Winter", "Winter to Summer"):
        # The ledger lies there, too, out of sight.
        results = [path for path in (folder / name).iterdir() if not path.name.startswith(".")]
        assert len(results) == 20
        with Image.open(results[0]) as picture:
            assert picture.size == (128, 128)


@pytest.mark.usefixtures("needs_qt")
def test_without_a_display_the_window_works_off_screen_and_leaves_its_results(tmp_path: Path) -> None:
    done = run_demo(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "off-screen" in done.stdout
    demo = tmp_path / "cyclegan-demo"
    assert_converted(demo)
    for name in ("1 training.png", "2 Summer to Winter.png", "3 Winter to Summer.png"):
        with Image.open(demo / name) as shot:
            assert shot.width >= 900
    assert not (tmp_path / "config").exists()


def test_where_qt_cannot_start_it_runs_without_a_window_and_names_the_packages(tmp_path: Path) -> None:
    (tmp_path / "cyclegan-demo").mkdir()
    done = run_demo(tmp_path, "demo.probe = lambda platform=None: 'the system library libEGL.so.1 is missing.'")
    assert (done.returncode, done.stderr) == (0, "")
    assert "libEGL.so.1" in done.stdout and "apt install" in done.stdout
    # An earlier demonstration is left alone.
    assert list((tmp_path / "cyclegan-demo").iterdir()) == []
    assert_converted(tmp_path / "cyclegan-demo-2")
