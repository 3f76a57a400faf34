"""How much of a picture is seen and which part of it: one answer for both pictures of a pair, whatever their sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF

ZOOM_STEP: Final = 1.25
"""What a key or a notch of the wheel multiplies the scale by."""

_LARGEST_SCALE: Final = 16.0
_ALMOST: Final = 0.005


@dataclass(frozen=True, slots=True)
class Zoom:
    """What is seen of a picture.

    Attributes:
        scale: Pixels of the screen to a pixel of the picture; None for as much as fits the room.
        centre: What is in the middle of the room, as shares of the picture's width and height.
    """

    scale: float | None = None
    centre: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Place:
    """A picture in the room that it is shown in.

    Attributes:
        size: Of the picture in its own pixels, at least 1 x 1.
        room: Where it is shown, in the widget's coordinates.
        ratio: Pixels of the screen to one unit of these coordinates.
    """

    size: QSize
    room: QRectF
    ratio: float = 1.0

    @property
    def fit(self) -> float:
        """The scale at which all of the picture is seen, as large as can be."""
        room = QSizeF(self.room.size()) * self.ratio
        return max(min(room.width() / self.size.width(), room.height() / self.size.height()), 1e-6)

    def scale(self, zoom: Zoom) -> float:
        """The scale that is shown: never smaller than the smaller of all of the picture and its own pixels."""
        return self.fit if zoom.scale is None else max(zoom.scale, min(self.fit, 1.0))

    def rect(self, zoom: Zoom) -> QRectF:
        """Where all of the picture is, in the widget's coordinates: mostly out of sight when it is enlarged.

        Its corner is on a pixel of the screen, so that at a scale of 1 no pixel is smeared over two.
        """
        scale = self.scale(zoom) / self.ratio
        width, height = max(self.size.width() * scale, 1.0), max(self.size.height() * scale, 1.0)
        left = _start(width, self.room.left(), self.room.width(), zoom.centre[0])
        top = _start(height, self.room.top(), self.room.height(), zoom.centre[1])
        return QRectF(round(left * self.ratio) / self.ratio, round(top * self.ratio) / self.ratio, width, height)

    def can_pan(self, zoom: Zoom) -> bool:
        """Whether some of the picture is out of sight."""
        rect = self.rect(zoom)
        return rect.width() > self.room.width() + 1 or rect.height() > self.room.height() + 1

    def scaled(self, zoom: Zoom, scale: float, at: QPointF | None = None) -> Zoom:
        """Another scale, at which the same spot of the picture is under `at`, by default the middle of the room."""
        at = self.room.center() if at is None else at
        scale = min(max(scale, min(self.fit, 1.0)), max(_LARGEST_SCALE, self.fit))
        if abs(scale / self.fit - 1) < _ALMOST:
            return Zoom()
        rect = self.rect(zoom)
        spot = (at.x() - rect.left()) / rect.width(), (at.y() - rect.top()) / rect.height()
        width, height = (side * scale / self.ratio for side in (self.size.width(), self.size.height()))
        centre = (
            spot[0] + (self.room.center().x() - at.x()) / width,
            spot[1] + (self.room.center().y() - at.y()) / height,
        )
        return self._within(Zoom(scale, centre))

    def panned(self, zoom: Zoom, by: QPointF) -> Zoom:
        """The picture moved along with the mouse, no farther than to its edges."""
        rect = self.rect(zoom)
        centre = zoom.centre[0] - by.x() / rect.width(), zoom.centre[1] - by.y() / rect.height()
        return self._within(replace(zoom, centre=centre))

    def _within(self, zoom: Zoom) -> Zoom:
        # Else a way back from beyond the edges would begin with nothing moving.
        rect = self.rect(zoom)
        return replace(
            zoom,
            centre=(
                _clamped(zoom.centre[0], rect.width(), self.room.width()),
                _clamped(zoom.centre[1], rect.height(), self.room.height()),
            ),
        )


def _clamped(centre: float, length: float, room: float) -> float:
    """The share of a side that is in the middle of the room when no gap is left at either edge."""
    half = room / length / 2
    return 0.5 if half >= 0.5 else min(max(centre, half), 1 - half)


def _start(length: float, room_start: float, room: float, centre: float) -> float:
    """Where a side of the picture begins: in the middle if it fits, else without leaving a gap at either edge."""
    return room_start + room / 2 - _clamped(centre, length, room) * length
