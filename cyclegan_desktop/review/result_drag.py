"""A result on its way into another program: dragged out of the window, or over the clipboard. Always as a copy."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes

from PySide6.QtCore import QMimeData, QPoint, QPointF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QDrag, QImage, QMouseEvent, QPixmap
from PySide6.QtWidgets import QApplication, QToolButton, QWidget

_DRAG_IMAGE: Final = QSize(128, 128)


def result_data(path: Path, image: QImage | None = None) -> QMimeData:
    """What another program gets: the address of the file and, if given, the picture itself.

    Args:
        path: The file. Its name may hold bytes that are no text.
        image: For programs that take pictures and no files.
    """
    data = QMimeData()
    path = path.absolute()
    if sys.platform in ("win32", "darwin"):
        data.setUrls([QUrl.fromLocalFile(str(path))])
    else:
        # A QUrl would drop bytes that are no UTF-8, which a name on Linux may hold.
        address = f"file://{quote_from_bytes(os.fsencode(path))}".encode("ascii")
        data.setData("text/uri-list", address + b"\r\n")
        # What file managers paste files by.
        data.setData("x-special/gnome-copied-files", b"copy\n" + address)
    if image is not None:
        data.setImageData(image)
    return data


def start_drag(source: QWidget, path: Path, image: QImage | None) -> None:
    """Drag a file out of the window, as a copy only: never "move", after which some programs delete the file.

    Args:
        source: Where the drag begins.
        path: The file.
        image: What hangs at the pointer, scaled down.
    """
    drag = QDrag(source)
    drag.setMimeData(result_data(path))
    if image is not None:
        small = image.scaled(
            _DRAG_IMAGE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        drag.setPixmap(QPixmap.fromImage(small))
        drag.setHotSpot(QPoint(small.width() // 2, small.height() // 2))
    drag.exec(Qt.DropAction.CopyAction, Qt.DropAction.CopyAction)


class DragHandle(QToolButton):
    """A button to be dragged.

    Signals:
        drag_asked: It is dragged.
    """

    drag_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pressed_at: QPointF | None = None
        self.setCursor(Qt.CursorShape.OpenHandCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Remember where it was taken hold of."""
        super().mousePressEvent(event)
        self._pressed_at = event.position() if event.button() == Qt.MouseButton.LeftButton else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Ask for a drag once it is meant."""
        if self._pressed_at is None:
            super().mouseMoveEvent(event)
        elif (event.position() - self._pressed_at).manhattanLength() >= QApplication.startDragDistance():
            # The drag takes the mouse, so its button is let go of elsewhere.
            self._pressed_at = None
            self.setDown(False)
            self.drag_asked.emit()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._pressed_at = None
        super().mouseReleaseEvent(event)
