"""A picture before and after its conversion, with a divider to move between the two."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from PySide6.QtCore import QObject, QPointF, QRect, QRectF, QRunnable, QSize, Qt, QThreadPool, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import QFrame, QLabel, QStackedWidget, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import ACCENT, DANGER, RADIUS, XL, XS, L, M, S, colours
from cyclegan_desktop.widgets import ElidedLabel, EmptyState, image_of, plain_label
from engine.data.images import read_thumbnail
from engine.errors import EngineError
from engine.events import Picture

logger = logging.getLogger(__name__)

_LONGEST: Final = 2560
"""Longest side kept of a picture on screen, in device pixels: enough for a window, small beside a 100 MP photo."""

_PATIENCE_MS: Final = 250
"""Time for which the last pair stays while the next is read, in milliseconds: longer would show the wrong picture."""

ReadPicture: TypeAlias = Callable[[Path, int], Picture]
"""Reads a picture, upright, scaled down to fit a square of so many pixels a side: [H, W, 3] uint8."""

_KEY_STEP: Final = 0.02
_HANDLE: Final = 15


class PairLoader(QObject):
    """Reads pictures in threads of its own, scaled down to what a screen can show.

    Signals:
        loaded: The ticket that `load` gave, a list of `QImage` (None for what could not be read), and a sentence about
            the first that could not be read, or "".
    """

    loaded = Signal(int, list, str)

    def __init__(self, read: ReadPicture = read_thumbnail, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._read = read
        self._newest = 0
        self._pool = QThreadPool(self)
        # Two, so that a huge picture that is no longer wanted does not keep the next one waiting.
        self._pool.setMaxThreadCount(2)

    def load(self, paths: list[Path]) -> int:
        """Read pictures; `loaded` follows unless another call comes first.

        Returns:
            The ticket by which to know them.
        """
        self._newest += 1
        ticket = self._newest
        self._pool.start(_Task(lambda: self._work(ticket, paths)))
        return ticket

    def forget(self) -> None:
        """Want nothing of what is being read."""
        self._newest += 1

    def wait(self) -> None:
        """Wait until nothing is being read."""
        self._pool.waitForDone()

    def _work(self, ticket: int, paths: list[Path]) -> None:
        pictures: list[QImage | None] = []
        problem = ""
        for path in paths:
            if ticket != self._newest:
                return
            try:
                pictures.append(image_of(self._read(path, _LONGEST)))
            except EngineError as error:
                pictures.append(None)
                problem = problem or str(error)
            except Exception as error:  # Whatever a decoder raises, the window stays.
                logger.warning("Could not show %s: %r", path, error)
                pictures.append(None)
                problem = problem or str(error) or type(error).__name__
        with suppress(RuntimeError):  # The window may be gone by now.
            self.loaded.emit(ticket, pictures, problem)


class CompareView(QWidget):
    """Two pictures of one size, the first left of a divider, the second right of it.

    The mouse or the left and right arrow keys move the divider; Home and End show one picture alone.

    Signals:
        step_asked: The up (-1) or down (+1) arrow key: the previous or next picture.
    """

    step_asked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("compare_view")
        self.setAccessibleName(self.tr("Before and after"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, 120)
        self._before: QImage | None = None
        self._after: QImage | None = None
        self._captions = ("", "")
        self._divider = 0.5
        self._scaled: dict[str, QPixmap] = {}
        self._scaled_size = QSize()

    @property
    def before(self) -> QImage | None:
        """The first picture."""
        return self._before

    @property
    def after(self) -> QImage | None:
        """The second picture."""
        return self._after

    @property
    def captions(self) -> tuple[str, str]:
        """What the two pictures are."""
        return self._captions

    @property
    def divider(self) -> float:
        """Where the divider stands, from 0 (left edge) to 1."""
        return self._divider

    def set_divider(self, place: float) -> None:
        """Move the divider, from 0 (only the second picture is seen) to 1 (only the first)."""
        self._divider = min(max(place, 0.0), 1.0)
        self.update()

    def set_captions(self, before: str, after: str) -> None:
        """Say what the two pictures are."""
        self._captions = (shown_text(before), shown_text(after))
        self.update()

    def set_pictures(self, before: QImage | None, after: QImage | None = None) -> None:
        """Show a pair, one picture, or nothing. The divider stays where it is, so that pairs can be compared."""
        self._before, self._after = before, after
        self._scaled.clear()
        both = before is not None and after is not None
        self.setCursor(Qt.CursorShape.SplitHCursor if both else Qt.CursorShape.ArrowCursor)
        self.update()

    def picture_rect(self) -> QRect:
        """Where the pictures are, in this widget's coordinates; empty if there are none."""
        shown = self._before or self._after
        if shown is None or shown.isNull():
            return QRect()
        size = shown.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio).expandedTo(QSize(1, 1))
        rect = QRect(0, 0, size.width(), size.height())
        rect.moveCenter(self.rect().center())
        return rect

    def sizeHint(self) -> QSize:
        """As much room as there is."""
        return QSize(640, 480)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures, the divider and what they are."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours().picture))
        painter.drawRoundedRect(self.rect(), RADIUS, RADIUS)
        rect = self.picture_rect()
        if rect.isEmpty():
            return
        if self._before is None or self._after is None:
            name = "before" if self._after is None else "after"
            painter.drawPixmap(rect, self._scaled_to(name, rect.size()))
            self._draw_caption(painter, rect, self._captions[name == "after"], left=True)
            return
        x = rect.left() + round(self._divider * rect.width())
        left, right = QRect(rect), QRect(rect)
        left.setRight(x - 1)
        right.setLeft(x)
        for side, name in ((right, "after"), (left, "before")):
            painter.setClipRect(side)
            painter.drawPixmap(rect, self._scaled_to(name, rect.size()))
            self._draw_caption(painter, side, self._captions[name == "after"], left=name == "before")
        painter.setClipping(False)
        self._draw_divider(painter, rect, x)

    def _scaled_to(self, name: str, size: QSize) -> QPixmap:
        """A picture at the size at which it is drawn, in device pixels: scaled once, not at each repaint."""
        if size != self._scaled_size:
            self._scaled.clear()
            self._scaled_size = QSize(size)
        if name not in self._scaled:
            picture = self._before if name == "before" else self._after
            assert picture is not None
            ratio = self.devicePixelRatioF()
            scaled = picture.scaled(
                size * ratio, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
            self._scaled[name] = QPixmap.fromImage(scaled)
        return self._scaled[name]

    def _draw_caption(self, painter: QPainter, side: QRect, text: str, *, left: bool) -> None:
        if not text:
            return
        metrics = self.fontMetrics()
        room = side.width() - 2 * (S + M)
        if room < min(metrics.horizontalAdvance(text), metrics.averageCharWidth() * 8):
            return
        text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
        width, height = metrics.horizontalAdvance(text) + 2 * M, metrics.height() + S
        x = side.left() + S if left else side.right() - S - width
        pill = QRectF(x, side.top() + S, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(pill, height / 2, height / 2)
        painter.setPen(QColor("white"))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)

    def _draw_divider(self, painter: QPainter, rect: QRect, x: int) -> None:
        painter.setPen(QPen(QColor(0, 0, 0, 70), 4))
        painter.drawLine(x, rect.top(), x, rect.bottom())
        painter.setPen(QPen(QColor("white"), 2))
        painter.drawLine(x, rect.top(), x, rect.bottom())
        centre = QPointF(x, rect.center().y())
        focused = self.hasFocus()
        painter.setPen(QPen(QColor(ACCENT) if focused else QColor(0, 0, 0, 70), 3 if focused else 1))
        painter.setBrush(QColor("white"))
        painter.drawEllipse(centre, _HANDLE, _HANDLE)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#3a4350"))
        for way in (-1, 1):
            tip = centre + QPointF(way * 10, 0)
            base = centre + QPointF(way * 4, 0)
            painter.drawPolygon(QPolygonF([tip, base + QPointF(0, -5), base + QPointF(0, 5)]))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the divider to the mouse."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._divider_to(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the divider."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._divider_to(event)

    def _divider_to(self, event: QMouseEvent) -> None:
        rect = self.picture_rect()
        if not rect.isEmpty() and self._after is not None:
            self.set_divider((event.position().x() - rect.left()) / rect.width())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move the divider, or go to another picture."""
        match event.key():
            case Qt.Key.Key_Left:
                self.set_divider(self._divider - _KEY_STEP)
            case Qt.Key.Key_Right:
                self.set_divider(self._divider + _KEY_STEP)
            case Qt.Key.Key_Home:
                self.set_divider(0.0)
            case Qt.Key.Key_End:
                self.set_divider(1.0)
            case Qt.Key.Key_Up | Qt.Key.Key_PageUp:
                self.step_asked.emit(-1)
            case Qt.Key.Key_Down | Qt.Key.Key_PageDown:
                self.step_asked.emit(1)
            case _:
                super().keyPressEvent(event)


class Comparison(QFrame):
    """The pictures of the chosen row, under their name, or a sentence where there are none.

    Signals:
        step_asked: The previous (-1) or next (+1) picture is wanted.
    """

    step_asked = Signal(int)

    def __init__(self, *, read: ReadPicture = read_thumbnail, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("comparison")
        self.setProperty("card", True)
        self._name = ElidedLabel(role="heading")
        self._name.setObjectName("comparison_name")
        self._notes = plain_label(role="muted", wrap=True)
        self._notes.setObjectName("comparison_notes")
        self.view = CompareView()
        self._nothing = EmptyState(
            "picture",
            self.tr("Before and after"),
            self.tr("Choose a picture in the list; once converted, move the divider to compare."),
        )
        self._problem_page = QWidget()
        self._problem_title = plain_label(role="heading")
        self._problem = plain_label(role="error", wrap=True)
        self._problem.setObjectName("comparison_problem")
        self._lay_out_problem()
        self._pages = QStackedWidget()
        for page in (self._nothing, self.view, self._problem_page):
            self._pages.addWidget(page)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(S, S, S, S)
        layout.setSpacing(XS)
        layout.addWidget(self._name)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self._notes)

        self._loader = PairLoader(read, self)
        self._loader.loaded.connect(self._show_loaded)
        self._ticket = 0
        self._paths: list[Path] = []
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE_MS)
        self._patience.timeout.connect(lambda: self.view.set_pictures(None))
        self.view.step_asked.connect(self.step_asked)
        self.show_nothing()

    @property
    def name(self) -> str:
        """The name above the pictures."""
        return self._name.text()

    def show_nothing(self) -> None:
        """No row is chosen."""
        self._show(self._nothing, "")

    def show_problem(self, name: str, title: str, reason: str) -> None:
        """A picture that could not be converted.

        Args:
            name: Of the picture.
            title: What happened, in a few words.
            reason: The whole sentence.
        """
        self._problem_title.setText(title)
        self._problem.setText(shown_paragraph(reason))
        self._show(self._problem_page, name)

    def show_files(
        self, name: str, before: Path, after: Path | None, captions: tuple[str, str], notes: str = ""
    ) -> None:
        """A picture and its result, read in the background.

        Args:
            name: Of the picture.
            before: The picture.
            after: Its result, None if there is none yet.
            captions: What the two show.
            notes: What the result could not keep.
        """
        paths = [before] if after is None else [before, after]
        self.view.set_captions(*captions)
        if paths == self._paths and self._pages.currentWidget() is self.view:
            return
        self._show(self.view, name, notes)
        self._paths = paths
        self._ticket = self._loader.load(paths)
        self._patience.start()

    def wait(self) -> None:
        """Wait until no picture is being read."""
        self._loader.wait()

    def _lay_out_problem(self) -> None:
        sign = QLabel()
        sign.setPixmap(icon("alert", colour=QColor(DANGER)).pixmap(QSize(48, 48)))
        lines = QVBoxLayout(self._problem_page)
        lines.setContentsMargins(XL, L, XL, L)
        lines.setSpacing(M)
        lines.addStretch(2)
        for label in (sign, self._problem_title, self._problem):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            lines.addWidget(label)
        lines.addStretch(3)

    def _show(self, page: QWidget, name: str, notes: str = "") -> None:
        self._loader.forget()
        self._patience.stop()
        self._paths = []
        if page is not self.view:
            self.view.set_pictures(None)
        self._name.setText(name)
        self._name.setVisible(bool(name))
        self._notes.setText(shown_paragraph(notes))
        self._notes.setVisible(bool(notes))
        self._pages.setCurrentWidget(page)

    def _show_loaded(self, ticket: int, pictures: list[QImage | None], problem: str) -> None:
        if ticket != self._ticket or not self._paths:
            return
        self._patience.stop()
        before, after = pictures[0], pictures[1] if len(pictures) > 1 else None
        if before is None and after is None:
            self.show_problem(self.name, self.tr("This picture cannot be shown"), problem)
            return
        self.view.set_pictures(before, after)
        if problem:
            self._notes.setText(shown_paragraph(problem))
            self._notes.show()


class _Task(QRunnable):
    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self._work = work

    def run(self) -> None:
        self._work()
