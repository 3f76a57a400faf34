"""Where files and folders are dropped: an invitation as long as nothing is there, then the list itself."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QFrame, QStackedLayout, QVBoxLayout, QWidget

from cyclegan_desktop.drops import accept_copy, local_paths
from cyclegan_desktop.style import ACCENT, RADIUS, colours
from cyclegan_desktop.widgets import EmptyState, button


class DropArea(QFrame):
    """Takes dropped files and folders; shows an invitation while there is nothing, else the contents.

    Signals:
        dropped: The files and folders, as a list of paths.
        files_asked: Files are to be picked: a click anywhere on the invitation.
        folder_asked: A folder is to be picked.
    """

    dropped = Signal(list)
    files_asked = Signal()
    folder_asked = Signal()

    def __init__(self, contents: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("drop_area")
        self.setAcceptDrops(True)
        self._invitation = self._make_invitation()
        self._contents = contents
        self._pages = QStackedLayout(self)
        self._pages.setContentsMargins(0, 0, 0, 0)
        self._pages.addWidget(self._invitation)
        self._pages.addWidget(contents)
        self._over = _DragOver(self)

    def set_inviting(self, inviting: bool) -> None:
        """Show the invitation, or the contents."""
        self._pages.setCurrentWidget(self._invitation if inviting else self._contents)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take drags that hold local files."""
        if local_paths(event.mimeData()):
            accept_copy(event)
            self._over.setGeometry(self.rect())
            self._over.show()
            self._over.raise_()
        else:
            event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Go on taking it."""
        accept_copy(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """The drag went elsewhere."""
        self._over.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand over what was dropped."""
        self._over.hide()
        paths = local_paths(event.mimeData())
        if paths:
            accept_copy(event)
            self.dropped.emit(paths)
        else:
            event.ignore()

    def _make_invitation(self) -> QWidget:
        invitation = _Invitation()
        invitation.clicked.connect(self.files_asked)
        state = EmptyState(
            "picture",
            self.tr("Drop pictures or folders here"),
            self.tr("or click to choose files. Subfolders are kept, your pictures are only read."),
        )
        files = button(self.tr("Choose f&iles..."), "add-file")
        files.setObjectName("invite_files")
        files.clicked.connect(self.files_asked)
        folder = button(self.tr("Choose &a folder..."), "add-folder")
        folder.setObjectName("invite_folder")
        folder.clicked.connect(self.folder_asked)

        for offer in (files, folder):
            state.add_button(offer)
        layout = QVBoxLayout(invitation)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(state)
        return invitation


class _Invitation(QWidget):
    """A dashed frame that can be clicked."""

    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("drop_invitation")
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colours().outline), 1.5, Qt.PenStyle.DashLine))
        painter.setBrush(QColor(colours().surface))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), RADIUS, RADIUS)


class _DragOver(QWidget):
    """The accent over everything while a drag hovers."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill = QColor(ACCENT)
        fill.setAlpha(36)
        painter.setPen(QPen(QColor(ACCENT), 2.5))
        painter.setBrush(fill)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5), RADIUS, RADIUS)
