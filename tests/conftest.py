"""What every test may need to know of Qt, without needing Qt: the engine's tests run where it is not installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator
from functools import lru_cache
from pathlib import Path

import pytest

_DESKTOP = Path(__file__).parent / "desktop"

# As engine/__init__.py has it, which the tests import after torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Beside other workers of pytest-xdist a second thread of torch would only wait for its turn, here and in every process
# that a test starts. Read when torch is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# pytest-qt would otherwise choose among the bindings it finds.
os.environ["PYTEST_QT_API"] = "pyside6"

# Each takes up to a gigabyte.
_MOST_WORKERS = 8

_skipped: list[str] = []


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    parser.addoption("--headed", action="store_true", help="show the windows of the desktop tests on the display")
    # pytest-qt imports Qt before any test does, and would end the session where Qt's libraries are missing.
    if pluginmanager.has_plugin("pytest-qt") and not _qt_can_be_imported():
        pluginmanager.unregister(name="pytest-qt")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: a worker a core, but not so many that their imports of torch fill the memory of a laptop."""
    return min(os.cpu_count() or 1, _MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--headed"):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names of files that are no text stand in what some tests log, and pytest-xdist sends nothing but text."""
    report = yield
    report.sections = [(title, words.encode(errors="backslashreplace").decode()) for title, words in report.sections]
    return report


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The desktop tests import Qt at their top, so where it cannot start they are skipped before they are imported.

    Their conftest.py files import it within fixtures only: pytest reads those first, in whatever folder it is started.
    """
    if _DESKTOP not in module_path.parents or not why_no_qt():
        return None
    return _Skipped.from_parent(parent, path=module_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped:
        terminalreporter.write_line(f"Desktop tests skipped: {_skipped[0]}", yellow=True)


@pytest.fixture(scope="session")
def needs_qt() -> None:
    """For tests outside tests/desktop: skips where Qt cannot start. Such a test imports Qt in its function."""
    if reason := why_no_qt():
        _skip(reason)


@lru_cache(maxsize=1)
def why_no_qt() -> str:
    """Why the desktop tests cannot run here; "" where they can."""
    if importlib.util.find_spec("PySide6") is None:
        return "PySide6 is not installed."
    if importlib.util.find_spec("pytestqt") is None:
        return "pytest-qt is not installed."
    from cyclegan_desktop.qt_probe import probe

    return probe()


def _qt_can_be_imported() -> bool:
    try:
        import PySide6.QtTest
        import PySide6.QtWidgets  # noqa: F401
    except ImportError:
        return False
    return True


def _skip(reason: str) -> None:
    _skipped.append(reason)
    pytest.skip(reason, allow_module_level=True)


class _Skipped(pytest.File):
    """In place of a module, which is not imported then."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        _skip(why_no_qt())
        return []
