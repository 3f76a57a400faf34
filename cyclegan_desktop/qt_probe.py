"""Starting Qt, and why it cannot start where it cannot.

Where a system library is missing or the display cannot be reached, Qt ends the process on the spot, without an
exception that anyone could catch. It says so right before: that is when a child process tries the same again, and what
it had to say becomes an advice. A try before each start would take longer than the start.
"""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtCore import QMessageLogContext, QtMsgType

logger = logging.getLogger(__name__)

PROBE_ARGUMENT = "--probe-qt"
"""What a frozen app, which cannot be asked to run a line of Python, is called with to try Qt."""

_TIMEOUT_SECONDS = 60.0

_TRY_QT = "from cyclegan_desktop.qt_probe import start_qt; start_qt()"

# What PySide6's own libraries and its X11 platform plugin link to, beyond what every system has.
_DEBIAN = (
    "libegl1 libgl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libx11-xcb1 libxkbcommon0 libxkbcommon-x11-0 "
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-randr0 libxcb-shape0 libxcb-sync1 libxcb-xfixes0 libxcb-xkb1"
)
_FEDORA = (
    "libglvnd-egl libglvnd-glx glib2 dbus-libs fontconfig libX11-xcb libxkbcommon libxkbcommon-x11 "
    "xcb-util-cursor xcb-util-image xcb-util-keysyms xcb-util-renderutil xcb-util-wm"
)


def import_qt() -> None:
    """Import Qt, and let `import` be Python's own; where a library is missing, end the process like `explained`.

    PySide6 puts an import in its place that reads the source of every module imported from then on, torch's thousands
    too, for a word that nothing of ours has: `from __feature__ import snake_case` would give Qt other names.
    """
    own = builtins.__import__
    try:
        import PySide6.QtWidgets  # noqa: F401
    except ImportError as error:
        _give_up(str(error))
    finally:
        builtins.__import__ = own


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Where Qt cannot start within this, the process ends with exit code 2 and has said why and what helps."""
    from PySide6.QtCore import QtMsgType, qInstallMessageHandler

    heard = []

    def hear(kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
        if kind == QtMsgType.QtFatalMsg:
            _give_up(message)
        heard.append(message)

    qInstallMessageHandler(hear)
    try:
        yield
    finally:
        qInstallMessageHandler(None)
    for message in heard:
        logger.warning("%s", message)


def _give_up(complaint: str) -> None:
    """End this process: after its last words Qt would do so, without ours."""
    sys.stderr.write(advice(probe() or complaint) + "\n")
    sys.stderr.flush()
    os._exit(2)


def start_qt() -> None:
    """Start Qt as the app would. For the child process: it may never return."""
    import resource

    # A crash is an answer here, and nobody wants its core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from PySide6.QtWidgets import QApplication

    QApplication(["cyclegan-desktop"])


def probe(platform: str | None = None) -> str:
    """Why Qt cannot start here, as a sentence, or "" where it can.

    Windows and macOS bring all that Qt needs, so there the answer is always "".

    Args:
        platform: The Qt platform to try, such as "offscreen"; None tries what the app would use.
    """
    if sys.platform in ("win32", "darwin"):
        return ""
    import subprocess

    frozen = getattr(sys, "frozen", False)
    command = [sys.executable, PROBE_ARGUMENT] if frozen else [sys.executable, "-c", _TRY_QT]
    # The plugin's own words name the library that is missing.
    environment = {**os.environ, "QT_DEBUG_PLUGINS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if platform is not None:
        environment["QT_QPA_PLATFORM"] = platform
    try:
        tried = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Qt did not start within {_TIMEOUT_SECONDS:.0f} seconds."
    except OSError as error:
        return f"Qt could not be tried: {error}."
    if tried.returncode == 0:
        return ""
    return _reason(tried.stderr.decode(errors="replace"), environment)


def advice(reason: str) -> str:
    """What to tell someone whose Qt cannot start: the reason, what to install, and what works without Qt."""
    return (
        f"CycleGAN Desktop cannot open a window: {reason}\n"
        f"On Debian or Ubuntu, install what Qt needs with: sudo apt install {_DEBIAN}\n"
        f"On Fedora: sudo dnf install {_FEDORA}\n"
        "Without a screen, the command `cyclegan` does the same work; see `cyclegan --help`."
    )


def _reason(complaint: str, environment: dict[str, str]) -> str:
    missing = re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file", complaint)
    display = next((name for name in ("WAYLAND_DISPLAY", "DISPLAY") if environment.get(name)), "")
    chosen = environment.get("QT_QPA_PLATFORM", "")
    if "No module named 'PySide6" in complaint:
        return "PySide6 is not installed."
    if "could not connect to display" in complaint or (not display and not chosen):
        where = f"{display} is {environment[display]}" if display else "DISPLAY and WAYLAND_DISPLAY are not set"
        also = f"; {missing[1]} is missing too" if missing else ""
        return f"no display can be reached ({where}{also})."
    if missing:
        return f"the system library {missing[1]} is missing."
    if "Could not find the Qt platform plugin" in complaint:
        return f"Qt has no platform plugin named {chosen}."
    lines = [line.strip() for line in complaint.splitlines() if line.strip() and not line.startswith("qt.")]
    return f"Qt gave up{': ' + lines[-1] if lines else ' without a word'}."
