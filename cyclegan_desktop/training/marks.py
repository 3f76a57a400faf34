"""Marks in a plot: what happened at a step, thinned where there is no room, each kind with a shape of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPen, QPixmap, QPolygonF

SYMBOL = 10
"""Side of a symbol, in pixels."""
_NEAR = 7
_ROWS = 4

_Column = Callable[[np.ndarray], np.ndarray]


class MarkLike(Protocol):
    """Something that happened at a step; `engine.training.run.Mark` is one."""

    @property
    def step(self) -> int:
        """Steps taken then."""

    @property
    def kind(self) -> str:
        """What happened, such as "saved"."""

    @property
    def text(self) -> str:
        """More about it, a few words or a sentence, or ""."""


@dataclass(frozen=True, slots=True)
class PlotMark:
    """A mark that the plot makes of an event or of a star."""

    step: int
    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Look:
    on_light: str
    on_dark: str
    shape: str
    is_minor: bool = False


# The shape alone tells the kinds apart. Those of one switch share their colour.
_LOOKS = {
    "saved": _Look("#6b7686", "#8f9aab", "square", is_minor=True),
    "begun": _Look("#1f63c0", "#79aef5", "circle"),
    "resumed": _Look("#1f63c0", "#79aef5", "right"),
    "changed": _Look("#742a78", "#e09be0", "diamond"),
    "rolled_back": _Look("#b03a00", "#ff9a5c", "left"),
    "starred": _Look("#946014", "#ffd166", "star"),
    "best": _Look("#006b4c", "#59d3a8", "flag"),
}

SWITCHES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("starred", ("starred",)),
    ("saved", ("saved",)),
    ("resumed", ("begun", "resumed")),
    ("changed", ("changed",)),
    ("rolled_back", ("rolled_back",)),
)
"""What is shown or hidden together: the name of the switch, and the kinds of marks it rules."""

OWN_KINDS = ("starred", "best")
"""Kinds that stand in no list of what happened in a run, as they can change later."""


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A symbol on screen; it may stand for several marks that would have touched.

    Attributes:
        x: Pixels from the left edge of the view.
        row: Its place under the upper edge, from 0; minor kinds stand on the lower edge, in row -1.
        kind: What happened.
        first: Step of the first of its marks.
        last: Step of the last.
        count: How many they are.
        text: More about it, if it is but one.
    """

    x: float
    row: int
    kind: str
    first: int
    last: int
    count: int
    text: str

    @property
    def sentence(self) -> str:
        """What happened when, for a tooltip."""
        what = kind_words(self.kind)
        if self.count > 1:
            return _tr("Steps {first:,} to {last:,}: {what}, {count:,} times").format(
                first=self.first, last=self.last, what=what, count=self.count
            )
        words = _tr("Step {step:,}: {what}").format(step=self.first, what=what)
        return f"{words}. {self.text}" if self.text else words


class MarkList:
    """The marks of a training, by kind and in the order of their steps."""

    def __init__(self) -> None:
        self._marks: dict[str, list[MarkLike]] = {}

    def set(self, marks: Iterable[MarkLike]) -> None:
        """Hold these marks and no others but those of `OWN_KINDS`. Kinds that are not known are left out."""
        self._marks = {kind: self._marks[kind] for kind in OWN_KINDS if kind in self._marks}
        for mark in sorted(marks, key=lambda mark: mark.step):
            if mark.kind in _LOOKS:
                self._marks.setdefault(mark.kind, []).append(mark)

    def set_kind(self, kind: str, marks: Iterable[MarkLike]) -> None:
        """Hold these marks of a kind in place of those before."""
        self._marks[kind] = sorted(marks, key=lambda mark: mark.step)

    def add(self, mark: MarkLike) -> None:
        """Add a mark; the same one a second time is left out. One of going back takes what came after with it."""
        if mark.kind not in _LOOKS:
            return
        if mark.kind == "rolled_back":
            self._go_back_to(mark.step)
        marks = self._marks.setdefault(mark.kind, [])
        if not any(other.step == mark.step and other.text == mark.text for other in marks[-8:]):
            marks.append(mark)
            if len(marks) > 1 and marks[-2].step > mark.step:
                marks.sort(key=lambda other: other.step)

    def _go_back_to(self, step: int) -> None:
        """As `Run.cut_marks` does it on disk."""
        for kind in self._marks.keys() - set(OWN_KINDS):
            marks = self._marks[kind]
            if kind == "changed":
                self._marks[kind] = [mark if mark.step <= step else PlotMark(step, kind, mark.text) for mark in marks]
            else:
                self._marks[kind] = [mark for mark in marks if mark.step <= step]

    def count(self, kinds: Iterable[str]) -> int:
        """How many marks there are of these kinds."""
        return sum(len(self._marks.get(kind, [])) for kind in kinds)

    def of(self, kind: str) -> list[MarkLike]:
        """The marks of a kind."""
        return self._marks.get(kind, [])

    def placed(self, kinds: Iterable[str], to_x: _Column, width: float) -> list[PlacedMark]:
        """Where the marks of these kinds stand in a view.

        Marks of a kind that would touch become one symbol, so there are never more than fit beside each other.

        Args:
            kinds: The kinds that are shown.
            to_x: From steps to pixels from the left edge of the view.
            width: Of the view, in pixels.
        """
        taken: list[list[float]] = [[] for _ in range(_ROWS)]
        placed: list[PlacedMark] = []
        for kind in kinds:
            for mark in _thinned(kind, self._marks.get(kind, []), to_x, width):
                if _LOOKS[kind].is_minor:
                    placed.append(mark)
                    continue
                # The best one has the first row to itself, since its name stands beside it.
                has_best = kind != "best" and any(other.kind == "best" for other in placed[:1])
                rows = range(1 if has_best else 0, _ROWS)
                row = next((row for row in rows if all(abs(mark.x - x) > SYMBOL for x in taken[row])), rows[-1])
                taken[row].append(mark.x)
                placed.append(PlacedMark(mark.x, row, kind, mark.first, mark.last, mark.count, mark.text))
        return placed


def _thinned(kind: str, marks: list[MarkLike], to_x: _Column, width: float) -> list[PlacedMark]:
    if not marks:
        return []
    columns = to_x(np.array([mark.step for mark in marks], np.float64))
    placed = []
    index = int(np.searchsorted(columns, 0.0, "left"))
    end = int(np.searchsorted(columns, width, "right"))
    while index < end:
        after = min(end, max(index + 1, int(np.searchsorted(columns, columns[index] + SYMBOL + 1, "left"))))
        first, last = marks[index], marks[after - 1]
        text = first.text if after == index + 1 else ""
        placed.append(PlacedMark(float(columns[index]), -1, kind, first.step, last.step, after - index, text))
        index = after
    return placed


def draw_marks(painter: QPainter, view: QRectF, placed: Iterable[PlacedMark], *, is_dark: bool) -> None:
    """Draw symbols with their lines into a view. `painter` works in the pixels in which `view` is given."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    for mark in placed:
        colour = mark_colour(mark.kind, is_dark=is_dark)
        place = symbol_place(view, mark)
        if not _LOOKS[mark.kind].is_minor:
            faint = QColor(colour)
            faint.setAlpha(150)
            painter.setPen(QPen(faint, 1.0, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(place.x(), place.y()), QPointF(place.x(), view.bottom()))
        _draw_symbol(painter, place, mark.kind, colour)
        if mark.kind == "best":
            _draw_words(painter, view, place, _tr("best: step {step:,}").format(step=mark.first), colour)


def _draw_words(painter: QPainter, view: QRectF, place: QPointF, words: str, colour: QColor) -> None:
    """Write beside a symbol, where there is room."""
    width, height = painter.fontMetrics().horizontalAdvance(words) + 1, painter.fontMetrics().height()
    left = place.x() + SYMBOL
    if left + width > view.right():
        left = place.x() - SYMBOL - width
    painter.setPen(colour)
    painter.drawText(QRectF(left, place.y() - height / 2, width, height), Qt.AlignmentFlag.AlignCenter, words)


def symbol_place(view: QRectF, mark: PlacedMark) -> QPointF:
    """The middle of a symbol."""
    if mark.row < 0:
        return QPointF(view.left() + mark.x, view.bottom() - 4)
    return QPointF(view.left() + mark.x, view.top() + 3 + SYMBOL / 2 + mark.row * (SYMBOL + 3))


def mark_at(view: QRectF, placed: Iterable[PlacedMark], place: QPointF) -> PlacedMark | None:
    """The mark under the pointer: its symbol, or else its line."""
    found = None
    nearest = math.inf
    for mark in placed:
        symbol = symbol_place(view, mark)
        across, up = abs(place.x() - symbol.x()), abs(place.y() - symbol.y())
        is_on_line = mark.row >= 0 and place.y() >= symbol.y()
        if across <= _NEAR and (up <= _NEAR or is_on_line):
            distance = across + (0 if up <= _NEAR else SYMBOL)
            if distance < nearest:
                found, nearest = mark, distance
    return found


def mark_colour(kind: str, *, is_dark: bool) -> QColor:
    """The colour of a kind."""
    look = _LOOKS[kind]
    return QColor(look.on_dark if is_dark else look.on_light)


def mark_icon(kind: str, *, is_dark: bool) -> QIcon:
    """The symbol of a kind, for a menu."""
    scale = 4
    pixmap = QPixmap(16 * scale, 16 * scale)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    painter.scale(scale, scale)
    _draw_symbol(painter, QPointF(8, 8), kind, mark_colour(kind, is_dark=is_dark))
    painter.end()
    return QIcon(pixmap)


def kind_words(kind: str) -> str:
    """What happened, in a word or two."""
    return {
        "saved": _tr("saved"),
        "begun": _tr("begun"),
        "resumed": _tr("resumed"),
        "changed": _tr("settings changed"),
        "rolled_back": _tr("rolled back"),
        "starred": _tr("starred"),
        "best": _tr("best score"),
    }[kind]


def switch_words(switch: str) -> str:
    """What a switch shows, in the plural."""
    return {
        "starred": _tr("Stars"),
        "saved": _tr("Saves"),
        "resumed": _tr("Beginning and resumes"),
        "changed": _tr("Changes of settings"),
        "rolled_back": _tr("Roll-backs"),
    }[switch]


def _draw_symbol(painter: QPainter, middle: QPointF, kind: str, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    half = SYMBOL / 2
    match _LOOKS[kind].shape:
        case "square":
            painter.drawRect(QRectF(middle.x() - half * 0.6, middle.y() - half * 0.6, half * 1.2, half * 1.2))
        case "circle":
            painter.drawEllipse(middle, half * 0.8, half * 0.8)
        case shape:
            painter.drawPolygon(QPolygonF([middle + QPointF(x * half, y * half) for x, y in _POLYGONS[shape]]))
    painter.setBrush(Qt.BrushStyle.NoBrush)


_POLYGONS: dict[str, list[tuple[float, float]]] = {
    "right": [(-0.8, -0.95), (0.95, 0.0), (-0.8, 0.95)],
    "left": [(0.8, -0.95), (-0.95, 0.0), (0.8, 0.95)],
    "diamond": [(0.0, -1.05), (0.9, 0.0), (0.0, 1.05), (-0.9, 0.0)],
    "flag": [(-0.2, -1.0), (1.1, -0.45), (0.0, 0.1), (0.0, 1.0), (-0.2, 1.0)],
    "star": [
        (radius * math.sin(angle), -radius * math.cos(angle))
        for radius, angle in ((1.2 if point % 2 == 0 else 0.5, math.pi * point / 5) for point in range(10))
    ],
}


def _tr(text: str) -> str:
    return QCoreApplication.translate("Marks", text)
