"""One picture of a pair as it is drawn at any scale: quickly while small, in its real pixels when enlarged."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPixmap

_MOST_SCALED = 10_000_000
"""Pixels up to which a picture is kept as it is scaled for the screen: all of a large screen, so that panning is quick
a little beyond the room; above that only what is seen is scaled."""


class PictureLayer:
    """A picture at the resolution of a screen, and in all of its pixels while they are wanted.

    Attributes:
        image: What was read at first, maybe scaled down.
        size: Width and height of the file in pixels, upright.
        full: All of its pixels, or as many of them as memory allows; None while they are not wanted.
    """

    def __init__(self, image: QImage, size: QSize | None = None) -> None:
        self.image = image
        self.size = (size or image.size()).expandedTo(QSize(1, 1))
        self._full: QImage | None = None
        self._scaled = QPixmap()
        self._scaled_from: tuple[int, QSize] | None = None

    @property
    def full(self) -> QImage | None:
        """All of its pixels, if they are there."""
        return self._full

    @full.setter
    def full(self, image: QImage | None) -> None:
        self._full = image
        self._scaled_from = None

    def is_coarse_at(self, pixels: float) -> bool:
        """Whether, `pixels` wide on the screen, the picture shows less than its file holds."""
        return self.image.width() < min(self.size.width(), pixels)

    def draw(self, painter: QPainter, target: QRectF, visible: QRectF, ratio: float, *, smooth: bool) -> None:
        """Draw the picture.

        Args:
            painter: Clipped to `visible`.
            target: Where all of the picture is, in the painter's coordinates.
            visible: The part of these that is seen.
            ratio: Pixels of the screen to one unit of these coordinates.
            smooth: Whether its pixels are blended where they are larger than those of the screen.
        """
        pixels = QSize(max(1, round(target.width() * ratio)), max(1, round(target.height() * ratio)))
        image = self.image
        if self._full is not None and pixels.width() > image.width():
            image = self._full
        larger = pixels.width() > image.width()
        if pixels.width() * pixels.height() <= _MOST_SCALED and (smooth or not larger):
            painter.drawPixmap(target.topLeft(), self._scaled_to(image, pixels, ratio))
            return
        seen = target.intersected(visible)
        if seen.isEmpty():
            return
        part, place = _whole_pixels(image, target, seen)
        if not larger:
            cut = image.copy(part.toRect()).scaled(
                QSize(max(1, round(place.width() * ratio)), max(1, round(place.height() * ratio))),
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            painter.drawImage(place, cut)
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(place, image, part)
        painter.restore()

    def _scaled_to(self, image: QImage, pixels: QSize, ratio: float) -> QPixmap:
        """The picture as it is drawn, scaled once and not at each repaint."""
        key = (image.cacheKey(), pixels)
        if key != self._scaled_from:
            scaled = image
            if image.size() != pixels:
                scaled = image.scaled(
                    pixels, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
                )
            self._scaled = QPixmap.fromImage(scaled)
            self._scaled_from = key
        self._scaled.setDevicePixelRatio(ratio)
        return self._scaled


def _whole_pixels(image: QImage, target: QRectF, seen: QRectF) -> tuple[QRectF, QRectF]:
    """The pixels of `image` that `seen` touches, when all of it is at `target`; and where exactly these are."""
    x, y = target.width() / image.width(), target.height() / image.height()
    left = max(int((seen.left() - target.left()) / x), 0)
    top = max(int((seen.top() - target.top()) / y), 0)
    right = min(int((seen.right() - target.left()) / x) + 1, image.width())
    bottom = min(int((seen.bottom() - target.top()) / y) + 1, image.height())
    part = QRectF(left, top, right - left, bottom - top)
    place = QRectF(target.left() + left * x, target.top() + top * y, part.width() * x, part.height() * y)
    return part, place
