"""The command `cyclegan-desktop`, each time in a fresh process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine import __version__

# What the answer must not have loaded.
_HEAVY = "import sys; heavy = sorted({'torch', 'PySide6', 'numpy', 'PIL'} & set(sys.modules)); assert not heavy, heavy"

_MAIN = f"""
import atexit, sys
def check():
    {_HEAVY}
    print('light')
atexit.register(check)
from cyclegan_desktop.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--version"], 0, f"cyclegan-desktop {__version__}"),
        (["--help"], 0, "--demo"),
        (["--nonsense"], 2, "unrecognized arguments: --nonsense"),
    ],
)
def test_questions_are_answered_without_loading_qt_or_torch(arguments, code, text):
    answer = python(_MAIN, *arguments)
    assert answer.returncode == code, answer.stderr
    assert text in answer.stdout + answer.stderr
    assert "light" in answer.stdout
    assert "Traceback" not in answer.stderr


def test_without_a_console_nobody_fails_at_writing_to_it():
    answer = python(f"import sys; sys.stdout = sys.stderr = None\n{_MAIN}", QT_QPA_PLATFORM="nonsense")
    assert answer.returncode == 2


def test_where_qt_cannot_start_the_packages_are_named_and_there_is_no_traceback():
    answer = python(_MAIN, QT_QPA_PLATFORM="nonsense")
    assert answer.returncode == 2
    assert "Qt has no platform plugin named nonsense" in answer.stderr
    for word in ("apt install", "libxcb-cursor0", "dnf install", "`cyclegan`"):
        assert word in answer.stderr
    assert "Traceback" not in answer.stderr


_WITHOUT_TORCH = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from cyclegan_desktop import app, preload, start as module

def look():
    assert 'torch' not in sys.modules, 'torch was loaded before the window was shown'
    assert remember.called
    print('shown')
    application.window.close()

def remember():
    remember.called = True
    QTimer.singleShot(0, look)
remember.called = False
module.preload_engine = remember
make = module.build_app
def build(*parts):
    global application
    application = make(*parts)
    return application
module.build_app = build
sys.exit(preload.leave(module.run([])))
"""


def test_the_window_is_there_before_torch_is():
    answer = python(_WITHOUT_TORCH)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "shown\n"
    assert answer.stderr == ""


_BARE_FIRST = """
import sys
from cyclegan_desktop.qt_probe import import_qt
import_qt()
from cyclegan_desktop import preload, start

def look(work):
    # What a window without pages has no use for, and what reads the source of every module.
    loaded = {'torch', 'numpy', 'PIL', 'pyqtgraph', 'engine.config', 'cyclegan_desktop.app', 'importlib.metadata'}
    print(sorted(loaded & set(sys.modules)), __import__.__name__)
    start.QApplication.quit()

start.in_background = look
sys.exit(preload.leave(start.run([])))
"""


def test_the_window_is_drawn_before_what_it_shows_is_loaded():
    answer = python(_BARE_FIRST)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "[] __import__\n"


_CLOSE_BEFORE_PAGES = """
import sys, threading
from PySide6.QtCore import QTimer
from cyclegan_desktop import preload, start

def load(work):
    preload.in_background(go_on.wait)
    window = next(shown for shown in start.QApplication.topLevelWidgets() if shown.isVisible())
    QTimer.singleShot(0, window.close)

go_on = threading.Event()
start.in_background = load
code = start.run([])
print('closed', code, flush=True)
sys.exit(preload.leave(code))
"""


def test_a_window_closed_before_its_pages_are_there_ends_at_once_and_well():
    answer = python(_CLOSE_BEFORE_PAGES)
    assert (answer.returncode, answer.stdout) == (0, "closed 0\n"), answer.stderr


_CLOSE_WHILE_LOADING = """
import sys, time
from cyclegan_desktop import app, preload, start as module
from PySide6.QtCore import QTimer

def slow():
    print('loading', flush=True)
    time.sleep(60)
def preload_and_close():
    begin()
    QTimer.singleShot(0, application.window.close)
preload._import_engine = slow
begin, module.preload_engine = module.preload_engine, preload_and_close
make = module.build_app
def build(*parts):
    global application
    application = make(*parts)
    return application
module.build_app = build
sys.exit(preload.leave(module.run([])))
"""


def test_closing_while_torch_is_still_loading_ends_at_once_and_well():
    answer = python(_CLOSE_WHILE_LOADING)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "loading\n"


_TERMINATED = """
import os, signal, sys
from cyclegan_desktop import app, preload, start as module
from PySide6.QtCore import QTimer
module.preload_engine = lambda: QTimer.singleShot(0, lambda: os.kill(os.getpid(), signal.SIGTERM))
sys.exit(preload.leave(module.run([])))
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
def test_a_polite_kill_closes_the_window_and_saves_the_settings(own_folders: Path):
    assert signal.SIGTERM
    answer = python(_TERMINATED)
    assert answer.returncode == 0, answer.stderr
    assert list(own_folders.rglob("settings.json"))


_INTERRUPTED_START = """
import os, signal, sys
# As a terminal starts it; a shell's background ignores the signal, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
from cyclegan_desktop import logs
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    raise SystemExit('it went on')
logs.Log = interrupted
from cyclegan_desktop.__main__ import main
sys.exit(main([]))
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT to send")
def test_ctrl_c_before_there_is_anything_to_save_ends_at_once_and_leaves_no_empty_window_behind():
    answer = python(_INTERRUPTED_START)
    assert (answer.returncode, answer.stderr) == (-signal.SIGINT, "")


_BROKEN_START = """
import sys
from PySide6.QtWidgets import QDialog
from cyclegan_desktop import error_dialog, preload, start as module
def build(*_parts):
    raise RuntimeError('cannot be built')
module.build_app = build
error_dialog.ErrorDialog.exec = lambda self: print(self.findChild(object, 'error_details').toPlainText())
sys.exit(preload.leave(module.run([])))
"""


def test_an_app_that_cannot_be_built_says_so_in_a_window():
    answer = python(_BROKEN_START)
    assert answer.returncode == 1
    assert "RuntimeError: cannot be built" in answer.stdout
