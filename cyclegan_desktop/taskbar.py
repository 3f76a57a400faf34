"""Progress on the app's button in the task bar or dock, on the systems that have such a thing.

Windows draws it into the button (ITaskbarList3), and docks on Linux that follow Unity's launcher protocol under the
icon. The dock of macOS knows only a badge, which people read as a count of messages: there the title alone tells.
Nothing here ever raises.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal

# Not where it is used: a library that is loaded while torch's are would keep the window waiting for them.
from PySide6.QtDBus import QDBusConnection, QDBusMessage
from PySide6.QtWidgets import QWidget

logger = logging.getLogger(__name__)

TaskbarState = Literal["none", "working", "paused"]
DESKTOP_FILE = "cyclegan-desktop"


class Taskbar(ABC):
    """Shows how far work is. Subclasses say how; a share is told only when its percent has changed."""

    def __init__(self) -> None:
        self._shown: tuple[TaskbarState, int] = ("none", 0)

    def show(self, state: TaskbarState, share: float = 0.0) -> None:
        """Show progress.

        Args:
            state: What the work does; "none" takes the progress away.
            share: How much is done, from 0 to 1.
        """
        percent = 0 if state == "none" else round(100 * min(1.0, max(0.0, share)))
        if (state, percent) == self._shown:
            return
        self._shown = state, percent
        try:
            self._tell(state, percent)
        except Exception as error:  # Progress that cannot be shown is no reason to stop anything.
            logger.info("The task bar cannot show progress: %s", error)

    @abstractmethod
    def _tell(self, state: TaskbarState, percent: int) -> None: ...


class NoTaskbar(Taskbar):
    """Where there is none to tell."""

    def _tell(self, state: TaskbarState, percent: int) -> None:
        pass


class UnityTaskbar(Taskbar):
    """Docks that follow com.canonical.Unity.LauncherEntry: those of Ubuntu, KDE Plasma, Dash to Dock, Plank."""

    def __init__(self, send: Callable[[str, Mapping[str, Any]], object] | None = None) -> None:
        """Tell the session bus, or `send`: a function of the application's address and the properties."""
        super().__init__()
        self._send = send or _send_to_session_bus

    def _tell(self, state: TaskbarState, percent: int) -> None:
        self._send(
            f"application://{DESKTOP_FILE}.desktop",
            {"progress": percent / 100, "progress-visible": state != "none"},
        )


class WindowsTaskbar(Taskbar):
    """The button of a window in the task bar of Windows 7 and later."""

    # TBPFLAG of shobjidl_core.h.
    _FLAGS: dict[TaskbarState, int] = {"none": 0x0, "working": 0x2, "paused": 0x8}  # noqa: RUF012

    def __init__(self, window: Callable[[], int], interface: Callable[[], Any] | None = None) -> None:
        """Use the window of this handle, once there is something to show.

        Args:
            window: Gives its handle (HWND).
            interface: Gives an object with SetProgressState and SetProgressValue; None asks the system for it.
        """
        super().__init__()
        self._window = window
        self._make = interface or _TaskbarList
        self._interface: Any = None

    def _tell(self, state: TaskbarState, percent: int) -> None:
        if self._interface is None:
            self._interface = self._make()
        handle = self._window()
        self._interface.SetProgressState(handle, self._FLAGS[state])
        if state != "none":
            self._interface.SetProgressValue(handle, percent, 100)


def make_taskbar(window: QWidget, platform: str = sys.platform) -> Taskbar:
    """What shows the progress of this window on this system."""
    if platform == "win32":
        return WindowsTaskbar(lambda: int(window.winId()))
    if platform == "linux":
        return UnityTaskbar()
    return NoTaskbar()


def _send_to_session_bus(address: str, properties: Mapping[str, Any]) -> None:
    bus = QDBusConnection.sessionBus()
    if not bus.isConnected():
        return
    # The number in the path only has to differ between applications.
    message = QDBusMessage.createSignal(
        "/com/canonical/unity/launcherentry/1", "com.canonical.Unity.LauncherEntry", "Update"
    )
    message.setArguments([address, dict(properties)])
    bus.send(message)


class _Guid(ctypes.Structure):
    _fields_ = (("a", ctypes.c_uint32), ("b", ctypes.c_uint16), ("c", ctypes.c_uint16), ("d", ctypes.c_ubyte * 8))


class _TaskbarList:
    """ITaskbarList3 by its place in the table of functions; there is no library for so little."""

    _CLASS = _Guid(0x56FDF344, 0xFD6D, 0x11D0, (ctypes.c_ubyte * 8)(0x95, 0x8A, 0x00, 0x60, 0x97, 0xC9, 0xA0, 0x90))
    _INTERFACE = _Guid(0xEA1AFB91, 0x9E28, 0x4B86, (ctypes.c_ubyte * 8)(0x90, 0xE9, 0x9E, 0x9F, 0x8A, 0x5E, 0xEF, 0xAF))
    _HR_INIT, _SET_PROGRESS_VALUE, _SET_PROGRESS_STATE = 3, 9, 10
    _CLSCTX_INPROC_SERVER = 1

    def __init__(self) -> None:
        """Ask for it.

        Raises:
            OSError: The system has none.
        """
        ole32 = ctypes.OleDLL("ole32")  # type: ignore[attr-defined]  # Raises OSError for a failed HRESULT.
        # Qt has initialised COM in this thread already.
        self._pointer = ctypes.c_void_p()
        ole32.CoCreateInstance(
            ctypes.byref(self._CLASS),
            None,
            self._CLSCTX_INPROC_SERVER,
            ctypes.byref(self._INTERFACE),
            ctypes.byref(self._pointer),
        )
        self._call(self._HR_INIT, ())

    def SetProgressValue(self, window: int, done: int, total: int) -> None:
        """Show a share."""
        kinds = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
        self._call(self._SET_PROGRESS_VALUE, kinds, window, done, total)

    def SetProgressState(self, window: int, flag: int) -> None:
        """Show a state."""
        self._call(self._SET_PROGRESS_STATE, (ctypes.c_void_p, ctypes.c_int), window, flag)

    def _call(self, place: int, kinds: tuple[Any, ...], *values: int) -> None:
        table = ctypes.cast(self._pointer, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents
        function = ctypes.WINFUNCTYPE(ctypes.HRESULT, ctypes.c_void_p, *kinds)(table[place])  # type: ignore[attr-defined]
        function(self._pointer, *values)
