"""The icons: line drawings in `resources/icons`, drawn in the palette's colour of the moment at any scale."""

from __future__ import annotations

import logging
from functools import lru_cache

from PySide6.QtCore import QByteArray, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QIcon,
    QIconEngine,
    QPainter,
    QPalette,
    QPixmap,
    QPixmapCache,
)
from PySide6.QtSvg import QSvgRenderer

from cyclegan_desktop.resource_files import resources_folder

logger = logging.getLogger(__name__)


def icon(name: str, *, colour: QColor | None = None) -> QIcon:
    """The icon `resources/icons/NAME.svg`.

    It is drawn anew at each size and in the palette's text colour of the moment, so it stays crisp on every
    screen and follows a change between light and dark by itself.

    Args:
        name: File name without its ending. A missing file gives an empty icon and a line in the log.
        colour: A fixed colour in place of the palette's; a disabled icon is grey all the same.
    """
    return QIcon(_SvgIconEngine(name, colour))


class _SvgIconEngine(QIconEngine):
    """Draws an SVG whose lines are `currentColor`.

    It has no `clone`: PySide6 6.11 cannot hand one over to Qt without a crash. Qt asks for one only where
    pixmaps are added to an icon, which nobody has a reason to do with these.
    """

    def __init__(self, name: str, colour: QColor | None) -> None:
        super().__init__()
        self._name = name
        self._colour = None if colour is None else QColor(colour)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw the icon, centred and undistorted."""
        side = min(rect.width(), rect.height())
        square = QRectF(0, 0, side, side)
        square.moveCenter(QRectF(rect).center())
        _renderer(self._name, self._tint(mode)).render(painter, square)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """The icon as pixels of a screen."""
        tint = self._tint(mode)
        key = f"cyclegan-icon/{self._name}/{tint}/{size.width()}x{size.height()}"
        pixmap = QPixmap()
        if QPixmapCache.find(key, pixmap):
            return pixmap
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        QPixmapCache.insert(key, pixmap)
        return pixmap

    def _tint(self, mode: QIcon.Mode) -> str:
        palette = QGuiApplication.palette()
        if mode == QIcon.Mode.Disabled:
            return palette.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.ButtonText).name()
        if self._colour is not None:
            return self._colour.name()
        role = QPalette.ColorRole.HighlightedText if mode == QIcon.Mode.Selected else QPalette.ColorRole.ButtonText
        return palette.color(QPalette.ColorGroup.Active, role).name()


@lru_cache(maxsize=256)
def _renderer(name: str, tint: str) -> QSvgRenderer:
    renderer = QSvgRenderer(QByteArray(_svg(name).replace("currentColor", tint).encode()))
    renderer.setAspectRatioMode(Qt.AspectRatioMode.KeepAspectRatio)
    return renderer


@lru_cache(maxsize=128)
def _svg(name: str) -> str:
    file = resources_folder() / "icons" / f"{name}.svg"
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        logger.warning("The icon %s is missing: %s", name, error)
        return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"/>'
