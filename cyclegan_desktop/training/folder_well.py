"""A large area on which a folder of pictures is dropped, or which is clicked to choose one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from cyclegan_desktop.drops import accept_copy, local_paths
from cyclegan_desktop.icons import icon
from cyclegan_desktop.picture_image import image_of
from cyclegan_desktop.style import ACCENT, RADIUS, XS, M, S, colours
from cyclegan_desktop.training.folder_look import THUMBNAILS
from cyclegan_desktop.widgets import ElidedLabel, plain_label, set_look
from engine.data.folders import FolderScan
from engine.events import Picture

THUMBNAIL_SIDE = 88
_COLUMNS = 4


class FolderWell(QAbstractButton):
    """Shows what is chosen for one side. A click asks for another folder (`clicked`).

    Signals:
        dropped: Folders and files that were dropped, list[Path].
    """

    dropped = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._is_target = False
        self._is_chosen = False

        self._icon = QLabel()
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._name = ElidedLabel(role="heading")
        self._name.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._place = ElidedLabel(role="muted")
        self._place.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._count = plain_label()
        self._count.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._tests = plain_label("", role="muted")
        self._tests.setAlignment(Qt.AlignmentFlag.AlignCenter)
        thumbnails = QGridLayout()
        thumbnails.setSpacing(XS)
        self._thumbnails = [QLabel() for _ in range(THUMBNAILS)]
        for index, label in enumerate(self._thumbnails):
            label.setFixedSize(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            thumbnails.addWidget(label, index // _COLUMNS, index % _COLUMNS)
        self._frame = QWidget()
        self._frame.setLayout(thumbnails)
        thumbnails.setContentsMargins(0, S, 0, 0)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(XS)
        layout.addStretch(1)
        for part in (self._icon, self._name, self._place, self._count, self._tests):
            layout.addWidget(part)
        layout.addWidget(self._frame, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.show_empty()

    @property
    def summary(self) -> str:
        """What is said about the contents."""
        return self._count.text()

    def sizeHint(self) -> QSize:
        """Room for the thumbnails and the words above them."""
        return QSize(_COLUMNS * (THUMBNAIL_SIDE + XS) + 2 * M, 2 * (THUMBNAIL_SIDE + XS) + 130)

    def minimumSizeHint(self) -> QSize:
        """The same: nothing in it can be cut."""
        return self.sizeHint()

    def show_empty(self) -> None:
        """Ask for a folder."""
        self._is_chosen = False
        self._show_icon()
        self._icon.show()
        self._name.setText(self.tr("Drop a folder of pictures here"))
        self._place.setText(self.tr("or click to choose one"))
        self._count.hide()
        self._tests.hide()
        self._frame.hide()
        self.update()

    def show_folder(self, folder: Path) -> None:
        """Say that this folder is being looked at."""
        self._is_chosen = True
        self._icon.hide()
        self._name.setText(folder.name or str(folder))
        self._place.setText(str(folder.parent))
        self._set_count(self.tr("Looking for pictures..."))
        self._tests.hide()
        for label in self._thumbnails:
            label.setPixmap(QPixmap())
        self._frame.show()
        self.update()

    def show_found(self, count: int) -> None:
        """Say how many pictures were found so far."""
        self._set_count(self.tr("Looking for pictures: {count:,} so far").format(count=count))

    def show_scan(self, scan: FolderScan) -> None:
        """Say what the folder holds."""
        pictures = len(scan.pictures)
        words = self.tr("1 picture") if pictures == 1 else self.tr("{count:,} pictures").format(count=pictures)
        if scan.other_files == 1:
            words = self.tr("{pictures}, 1 other file").format(pictures=words)
        elif scan.other_files:
            words = self.tr("{pictures}, {count:,} other files").format(pictures=words, count=scan.other_files)
        self._set_count(words, is_bad=pictures < 2)
        self._frame.setVisible(pictures > 0)

    def show_problem(self) -> None:
        """Say nothing about the contents: the folder cannot be used."""
        self._count.hide()
        self._frame.hide()

    def show_test_folder(self, folder: Path) -> None:
        """Say that this folder's pictures are held out, to be shown as samples."""
        self._tests.setText(self.tr("samples are taken from {folder}").format(folder=folder.name))
        self._tests.show()

    def add_thumbnail(self, picture: Picture) -> None:
        """Show one more picture."""
        label = next((label for label in self._thumbnails if label.pixmap().isNull()), None)
        if label is not None:
            label.setPixmap(filling_pixmap(picture, THUMBNAIL_SIDE, self.devicePixelRatioF()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card with a dashed border until something is chosen; tinted while something is dragged over it."""
        scheme = colours()
        is_marked = self._is_target or self.hasFocus()
        fill = scheme.accent_soft if self._is_target else scheme.accent_hover if self.underMouse() else scheme.surface
        pen = QPen(QColor(ACCENT if is_marked else scheme.outline), 2 if is_marked else 1)
        if not self._is_chosen:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(pen)
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), RADIUS, RADIUS)

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change between light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and not self._is_chosen:
            self._show_icon()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take local files and folders."""
        if local_paths(event.mimeData()):
            accept_copy(event)
            self._set_target(True)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Go on taking them."""
        accept_copy(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Look as before."""
        self._set_target(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand over what was dropped."""
        self._set_target(False)
        accept_copy(event)
        self.dropped.emit(local_paths(event.mimeData()))

    def _show_icon(self) -> None:
        self._icon.setPixmap(icon("add-folder", colour=QColor(colours().muted)).pixmap(QSize(40, 40)))

    def _set_target(self, on: bool) -> None:
        self._is_target = on
        self.update()

    def _set_count(self, text: str, *, is_bad: bool = False) -> None:
        set_look(self._count, "role", "error" if is_bad else "body")
        self._count.setText(text)
        self._count.show()


def filling_pixmap(picture: Picture, side: int, ratio: float) -> QPixmap:
    """The middle of a picture as a square: tidier side by side than pictures of many shapes."""
    pixels = round(side * ratio)
    how = Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
    image = image_of(picture).scaled(QSize(pixels, pixels), *how)
    corner = (image.width() - pixels) // 2, (image.height() - pixels) // 2
    pixmap = QPixmap.fromImage(image.copy(*corner, pixels, pixels))
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
