from __future__ import annotations

import logging
import subprocess
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest
from PySide6.QtCore import qWarning

from cyclegan_desktop.logs import Log, log_folder


@pytest.fixture
def log(own_folders, monkeypatch):
    """The log file of this test."""
    level = logging.getLogger().level
    for name in ("enable", "disable"):  # pytest has its own use for it.
        monkeypatch.setattr(f"faulthandler.{name}", lambda *_: None)
    log = Log()
    log.name_versions()
    yield own_folders / "cyclegan-desktop.log"
    log.close()
    logging.getLogger().setLevel(level)


def test_the_log_is_in_the_systems_place_and_names_the_versions(log, own_folders):
    assert log_folder() == own_folders
    assert "CycleGAN Desktop" in log.read_text(encoding="utf-8")


def test_a_name_that_is_no_valid_text_is_logged_all_the_same(log):
    logging.getLogger("x").warning("bad name: %s", "caf\udce9.png")
    assert r"bad name: caf\udce9.png" in log.read_text(encoding="utf-8")


@pytest.mark.qt_log_ignore("Qt says this")
def test_what_qt_says_is_in_the_log(log, qapp):
    qWarning("Qt says this")
    assert "WARNING qt: Qt says this" in log.read_text(encoding="utf-8")


def test_the_log_rotates(log):
    handler = next(handler for handler in logging.getLogger().handlers if isinstance(handler, RotatingFileHandler))
    handler.maxBytes = 2000
    for number in range(200):
        logging.getLogger("x").warning("line %d %s", number, "x" * 80)
    files = sorted(file.name for file in log.parent.glob("cyclegan-desktop.log*"))
    assert len(files) == 1 + handler.backupCount
    assert all((log.parent / name).stat().st_size < 3000 for name in files)


def test_a_folder_that_cannot_be_written_to_costs_only_the_log(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("platformdirs.user_log_path", lambda *_, **__: tmp_path / "file" / "log")
    before = list(logging.getLogger().handlers)
    log = Log()
    assert logging.getLogger().handlers == before
    assert "No log is written" in caplog.text
    log.close()


def test_a_closed_log_is_written_to_no_more(own_folders, monkeypatch):
    before = list(logging.getLogger().handlers)
    for name in ("enable", "disable"):
        monkeypatch.setattr(f"faulthandler.{name}", lambda *_: None)
    log = Log()
    log.close()
    log.close()
    assert logging.getLogger().handlers == before


def test_a_crash_leaves_a_trace():
    code = "import faulthandler\nfrom cyclegan_desktop.logs import Log, log_folder\n"
    code += "log = Log()\nprint(log_folder() / 'crash.log', flush=True)\nfaulthandler._sigsegv()"
    crashed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert crashed.returncode != 0
    assert "Segmentation fault" in Path(crashed.stdout.strip()).read_text(encoding="utf-8")
