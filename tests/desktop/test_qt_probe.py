from __future__ import annotations

import subprocess
import sys

import pytest

from cyclegan_desktop import qt_probe
from cyclegan_desktop.qt_probe import advice, probe

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="nothing is probed there")


def answer_with(monkeypatch, complaint: str) -> None:
    """As if the child had died with these words."""
    died = subprocess.CompletedProcess([], -6, b"", complaint.encode())
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: died)


def test_where_qt_works_there_is_no_reason():
    assert probe("offscreen") == ""


def test_a_platform_that_is_not_there_is_a_reason_and_not_the_end_of_us():
    assert probe("nonsense") == "Qt has no platform plugin named nonsense."


def test_a_display_that_cannot_be_reached_is_named(monkeypatch):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":987")
    assert probe("xcb").startswith("no display can be reached (DISPLAY is :987")


def test_without_a_display_that_is_said(monkeypatch):
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert "DISPLAY and WAYLAND_DISPLAY are not set" in probe()


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        (
            "ImportError: libEGL.so.1: cannot open shared object file: No such file or directory",
            "the system library libEGL.so.1 is missing.",
        ),
        (
            'qt.core.library: "libqxcb.so" cannot load: Cannot load library libqxcb.so: '
            "(libxcb-cursor.so.0: cannot open shared object file: No such file or directory)\n"
            'qt.qpa.plugin: Could not load the Qt platform plugin "xcb" in "" even though it was found.',
            "the system library libxcb-cursor.so.0 is missing.",
        ),
        ("ModuleNotFoundError: No module named 'PySide6'", "PySide6 is not installed."),
        ("", "Qt gave up without a word."),
        ("qt.a: b\nsomething else\n", "Qt gave up: something else."),
    ],
)
def test_the_reason_is_found_in_what_qt_says(monkeypatch, complaint, reason):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    answer_with(monkeypatch, complaint)
    assert probe() == reason


def test_a_qt_that_hangs_is_a_reason(monkeypatch):
    monkeypatch.setattr(qt_probe, "_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(qt_probe, "_TRY_QT", "import time; time.sleep(60)")
    assert "did not start" in probe()


def test_the_advice_names_packages_and_the_way_without_qt():
    text = advice("no display can be reached.")
    for word in ("no display", "libegl1", "libxcb-cursor0", "libxkbcommon-x11-0", "xcb-util-cursor", "`cyclegan`"):
        assert word in text


def test_probing_loads_no_qt():
    code = "import sys, cyclegan_desktop.qt_probe; sys.exit('PySide6' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
