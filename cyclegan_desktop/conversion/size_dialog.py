"""One picture converted in each of the sizes, side by side, zoomed and panned together, to choose one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, assert_never

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QDialog,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.icons import icon
from cyclegan_desktop.one_work import OneWork
from cyclegan_desktop.picture_image import image_of
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.review.picture_layer import PictureLayer
from cyclegan_desktop.review.zoom import ZOOM_STEP, Place, Zoom
from cyclegan_desktop.style import ACCENT, RADIUS, XS, L, M, S, colours
from cyclegan_desktop.widgets import ElidedLabel, button, plain_label
from cyclegan_desktop.words import duration_words
from engine.config import Direction, Engine, Resize
from engine.conversion.preview import PreviewEvent, SizeFailed, SizePreview
from engine.events import Preparing

_LONGEST: Final = 3200
"""Longest side of what is shown, in pixels: enough to look closely, and some 20 MB each."""

_PAN_STEP: Final = 60


class Preview(Protocol):
    """`engine.conversion.preview.preview_sizes`, or what stands for it in a test."""

    def __call__(
        self,
        model: Path,
        direction: Direction,
        picture: Path,
        *,
        ways: Sequence[Resize],
        device: str,
        engine: Engine,
        memory_gb: float | None,
        max_megapixels: int,
        longest_shown: int,
        tick: Callable[[], None],
    ) -> Iterator[PreviewEvent]:
        """Convert one picture in several sizes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparing:
    """What is to be compared.

    Attributes:
        model: The model file.
        direction: "a2b" or "b2a".
        trained: Side of the pictures that the model was trained on, in pixels.
        pictures: Pictures that can be looked at, each with its width and height; the first is shown first.
        ways: The sizes, in the order in which they stand side by side.
        device: As in `ConvertJob`.
        engine: As in `ConvertJob`.
        memory_gb: As in `ConvertJob`.
        max_megapixels: As in `ConvertJob`.
    """

    model: Path
    direction: Direction
    trained: int
    pictures: tuple[tuple[Path, tuple[int, int]], ...]
    ways: tuple[Resize, ...]
    device: str
    engine: Engine
    memory_gb: float | None
    max_megapixels: int


class SizeDialog(QDialog):
    """Converts a picture in the background and shows every result as it comes. It deletes itself once closed.

    Signals:
        chosen: A size, as `ConvertJob.resize` has it.
    """

    chosen = Signal(object)

    def __init__(self, comparing: Comparing, preview: Preview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("size_dialog")
        self.setWindowTitle(self.tr("Compare sizes"))
        self.setModal(False)
        self._comparing = comparing
        self._preview = preview
        self._place = 0
        self._zoom = Zoom()
        self._cancel_asked = threading.Event()
        self._start_wanted = False
        self._work = OneWork(self)
        self._work.reported.connect(self._take)
        self._work.ended.connect(self._work_ended)

        self._panes = {way: _Pane(*self._way_words(way), self) for way in comparing.ways}
        for way, pane in self._panes.items():
            pane.used.connect(lambda way=way: self._choose(way))
            pane.view.zoom_changed.connect(self._set_zoom)
        self._lay_out()
        self.finished.connect(self._closed)
        self.resize(1120, 560)
        self._show_picture(0)

    @property
    def picture(self) -> Path:
        """The picture that is shown."""
        return self._comparing.pictures[self._place][0]

    def stop(self) -> None:
        """End the work and wait for it."""
        self._start_wanted = False
        self._cancel_asked.set()
        self._work.close()

    # How it is made

    def _way_words(self, way: Resize) -> tuple[str, str, str]:
        """Name of its widgets, title and meaning of a size."""
        trained = self._comparing.trained
        if way is None:
            return (
                "original",
                self.tr("Original"),
                self.tr(
                    "Everything is computed at the picture's own size: textures are at another scale than in training."
                ),
            )
        if way == "change":
            return (
                "change",
                self.tr("Original, change at {0} px").format(trained),
                self.tr(
                    "The change is computed at the training size, enlarged and added to the full picture: as broad as "
                    "in training, and no finer."
                ),
            )
        if way == "training":
            return (
                "training",
                self.tr("Training size"),
                self.tr("The picture is scaled down to what the model was trained on, and stays that small."),
            )
        return "longest", self.tr("Longest side {0} px").format(way), self.tr("The picture is scaled down first.")

    def _lay_out(self) -> None:
        self._name = ElidedLabel(role="heading")
        self._name.setObjectName("size_name")
        previous, following, fit = QToolButton(), QToolButton(), QToolButton()
        several = len(self._comparing.pictures) > 1
        for made, name, icon_name, words in (
            (previous, "size_previous", "arrow-left", self.tr("Another picture: the one before (Page Up)")),
            (following, "size_next", "arrow-right", self.tr("Another picture: the next one (Page Down)")),
            (fit, "size_fit", "zoom-fit", self.tr("The whole picture (0)")),
        ):
            made.setObjectName(name)
            made.setIcon(icon(icon_name))
            made.setToolTip(words)
            made.setAccessibleName(words)
            made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for made, step in ((previous, -1), (following, 1)):
            made.setVisible(several)
            made.clicked.connect(lambda _checked=False, step=step: self._step(step))
        fit.clicked.connect(lambda: self._set_zoom(Zoom()))
        top = QHBoxLayout()
        top.setSpacing(S)
        top.addWidget(self._name, 1)
        for made in (previous, following, fit):
            top.addWidget(made)

        panes = QHBoxLayout()
        panes.setSpacing(M)
        for pane in self._panes.values():
            panes.addWidget(pane, 1)

        self._status = plain_label(role="muted", wrap=True)
        self._status.setObjectName("size_status")
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Progress of the comparison"))
        self._progress.setFixedWidth(160)
        self._cancel = button(self.tr("&Cancel"), "stop")
        self._cancel.setObjectName("size_cancel")
        self._cancel.clicked.connect(self._cancel_work)
        close = button(self.tr("C&lose"))
        close.setObjectName("size_close")
        close.clicked.connect(self.close)
        bottom = QHBoxLayout()
        bottom.setSpacing(M)
        bottom.addWidget(self._status, 1)
        bottom.addWidget(self._progress)
        bottom.addWidget(self._cancel)
        bottom.addWidget(close)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, M, L, M)
        layout.setSpacing(M)
        layout.addLayout(top)
        layout.addLayout(panes, 1)
        layout.addLayout(bottom)

    # What happens

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go to another picture, or press the button that has the focus, which none is by default."""
        focused = self.focusWidget()
        match event.key():
            case Qt.Key.Key_PageUp:
                self._step(-1)
            case Qt.Key.Key_PageDown:
                self._step(1)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if isinstance(focused, QAbstractButton):
                focused.click()
            case _:
                super().keyPressEvent(event)

    def _step(self, by: int) -> None:
        if len(self._comparing.pictures) > 1:
            self._show_picture((self._place + by) % len(self._comparing.pictures))

    def _show_picture(self, place: int) -> None:
        self._place = place
        picture, size = self._comparing.pictures[place]
        self._name.setText(self.tr("{0}  ({1:,} x {2:,} px)").format(shown_text(picture.name), *size))
        self._set_zoom(Zoom())
        for pane in self._panes.values():
            pane.show_waiting(size)
        self._start_wanted = True
        self._cancel_asked.set()
        self._status.setText(self.tr("Starting"))
        self._set_busy(True)
        if not self._work.is_running:
            self._start()

    def _start(self) -> None:
        self._start_wanted = False
        # Of this work alone: the one before may not have ended yet.
        canceled = self._cancel_asked = threading.Event()
        comparing, picture, preview = self._comparing, self.picture, self._preview

        def tick() -> None:
            if canceled.is_set():
                raise _CanceledError

        def work() -> Iterator[PreviewEvent]:
            events = preview(
                comparing.model,
                comparing.direction,
                picture,
                ways=comparing.ways,
                device=comparing.device,
                engine=comparing.engine,
                memory_gb=comparing.memory_gb,
                max_megapixels=comparing.max_megapixels,
                longest_shown=_LONGEST,
                tick=tick,
            )
            try:
                for event in events:
                    tick()
                    yield event
            except _CanceledError:
                close = getattr(events, "close", None)
                if close is not None:
                    close()

        self._work.start(work)

    def _take(self, event: PreviewEvent) -> None:
        if self._cancel_asked.is_set():
            return
        match event:
            case Preparing():
                self._status.setText(shown_text(event.text))
                self._progress.setRange(0, event.total)
                self._progress.setValue(event.done)
            case SizePreview():
                layer = PictureLayer(image_of(event.pixels), QSize(*event.size))
                words = self.tr("{0:,} x {1:,} px, {2}").format(*event.size, _time_words(event.seconds))
                self._panes[event.way].show_result(layer, words)
            case SizeFailed():
                self._panes[event.way].show_problem(event.reason)
            case _:
                assert_never(event)

    def _work_ended(self, failure: Failure | None) -> None:
        if self._start_wanted:
            self._start()
            return
        canceled = self._cancel_asked.is_set()
        self._set_busy(False)
        text = self.tr("Wheel or + and -: zoom. Drag: move. All pictures follow.")
        if failure is not None:
            text = failure.message
        elif canceled:
            text = self.tr("Canceled.")
        self._status.setText(shown_paragraph(text))
        for pane in self._panes.values():
            pane.stop_waiting(self.tr("Canceled") if canceled else "")

    def _cancel_work(self) -> None:
        self._cancel_asked.set()
        self._cancel.setEnabled(False)
        self._status.setText(self.tr("Stopping..."))

    def _set_busy(self, busy: bool) -> None:
        self._progress.setRange(0, 0)
        self._progress.setVisible(busy)
        self._cancel.setVisible(busy)
        self._cancel.setEnabled(busy)

    def _set_zoom(self, zoom: Zoom) -> None:
        self._zoom = zoom
        for pane in self._panes.values():
            pane.view.set_zoom(zoom)

    def _choose(self, way: Resize) -> None:
        self.chosen.emit(way)
        self.close()

    def _closed(self) -> None:
        self._start_wanted = False
        self._cancel_asked.set()
        if self._work.is_running:
            # A thread that is still at work must not lose its parent.
            self._work.ended.connect(self.deleteLater)
        else:
            self.deleteLater()


class _CanceledError(Exception):
    """The user wants no more of this work."""


class _Pane(QFrame):
    """One size: what it is called, the picture in it, how large the result is and how long it took.

    Signals:
        used: This size is to be used.
    """

    used = Signal()

    def __init__(self, name: str, title: str, meaning: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        self.setObjectName(f"size_pane_{name}")
        heading = plain_label(title, role="heading")
        text = plain_label(meaning, role="muted", wrap=True)
        text.setAlignment(Qt.AlignmentFlag.AlignTop)
        # Pictures of all panes begin at one height.
        text.setMinimumHeight(3 * text.fontMetrics().lineSpacing())
        self.view = _View(title)
        self.view.setObjectName(f"size_view_{name}")
        self.view.used.connect(self.used)
        self._caption = plain_label(role="muted")
        self._caption.setObjectName(f"size_caption_{name}")
        self._use = button(self.tr("Use this"))
        self._use.setObjectName(f"size_use_{name}")
        self._use.setAccessibleName(self.tr("Use this: {0}").format(title))
        self._use.clicked.connect(self.used)
        last = QHBoxLayout()
        last.addWidget(self._caption, 1)
        last.addWidget(self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, S, M, S)
        layout.setSpacing(XS)
        layout.addWidget(heading)
        layout.addWidget(text)
        layout.addWidget(self.view, 1)
        layout.addLayout(last)
        self._is_waiting = False

    def show_waiting(self, size: tuple[int, int]) -> None:
        """Another picture, of this width and height, is being converted."""
        self._is_waiting = True
        self._caption.clear()
        self.view.show_words(self.tr("Waiting"), QSize(*size))

    def show_result(self, layer: PictureLayer, caption: str) -> None:
        """Show what came of it."""
        self._is_waiting = False
        self._caption.setText(caption)
        self.view.show_layer(layer)

    def show_problem(self, reason: str) -> None:
        """Say why nothing came of it."""
        self._is_waiting = False
        self.view.show_words(shown_paragraph(reason))

    def stop_waiting(self, words: str) -> None:
        """Nothing more will come."""
        if self._is_waiting:
            self._is_waiting = False
            self.view.show_words(words)


class _View(QWidget):
    """A picture at the zoom of all of them.

    Signals:
        zoom_changed: The user wants another `Zoom`.
        used: The Return key: this size is to be used.
    """

    zoom_changed = Signal(object)
    used = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setAccessibleName(title)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, 120)
        self._layer: PictureLayer | None = None
        self._words = ""
        self._size = QSize(1, 1)
        self._zoom = Zoom()
        self._drag: QPointF | None = None

    @property
    def words(self) -> str:
        """What is said in place of a picture."""
        return self._words

    @property
    def layer(self) -> PictureLayer | None:
        """The picture, None for none."""
        return self._layer

    @property
    def zoom(self) -> Zoom:
        """What is seen of it."""
        return self._zoom

    def show_words(self, words: str, size: QSize | None = None) -> None:
        """Show no picture but these words; `size` is that of the source, by which the scale counts."""
        self._layer = None
        self._words = words
        if size is not None:
            self._size = size
        self.setAccessibleDescription(words)
        self.update()

    def show_layer(self, layer: PictureLayer) -> None:
        """Show a picture, stretched over the place of the source, so that all can be compared."""
        self._layer = layer
        self._words = ""
        self.setAccessibleDescription("")
        self.update()

    def set_zoom(self, zoom: Zoom) -> None:
        """Show this part."""
        self._zoom = zoom
        self.setCursor(Qt.CursorShape.OpenHandCursor if self._there.can_pan(zoom) else Qt.CursorShape.ArrowCursor)
        self.update()

    @property
    def _there(self) -> Place:
        return Place(self._size, QRectF(self.rect()), self.devicePixelRatioF())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture or the words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        room = QRectF(self.rect())
        edge = QPainterPath()
        edge.addRoundedRect(room, RADIUS, RADIUS)
        painter.fillPath(edge, QColor(colours().picture))
        if self._layer is not None:
            painter.save()
            painter.setClipPath(edge)
            target = self._there.rect(self._zoom)
            self._layer.draw(painter, target, room, self.devicePixelRatioF(), smooth=True)
            painter.restore()
        elif self._words:
            painter.setPen(QColor(colours().muted))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(room.adjusted(M, M, -M, -M), flags, self._words)
        if self.hasFocus():
            painter.setPen(QColor(ACCENT))
            painter.drawPath(edge)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom in and out under the pointer."""
        notches = event.angleDelta().y() / 120
        if notches:
            self._scale_by(ZOOM_STEP**notches, event.position())
            event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the picture."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move it along."""
        if self._drag is not None:
            self.zoom_changed.emit(self._there.panned(self._zoom, event.position() - self._drag))
            self._drag = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._drag = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Between the whole picture and its own pixels."""
        there = self._there
        to_pixels = self._zoom.scale is None
        self.zoom_changed.emit(there.scaled(self._zoom, 1.0, event.position()) if to_pixels else Zoom())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zoom and move by keys."""
        steps = {
            Qt.Key.Key_Left: QPointF(_PAN_STEP, 0),
            Qt.Key.Key_Right: QPointF(-_PAN_STEP, 0),
            Qt.Key.Key_Up: QPointF(0, _PAN_STEP),
            Qt.Key.Key_Down: QPointF(0, -_PAN_STEP),
        }
        match event.key():
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self._scale_by(ZOOM_STEP)
            case Qt.Key.Key_Minus:
                self._scale_by(1 / ZOOM_STEP)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.used.emit()
            case Qt.Key.Key_0:
                self.zoom_changed.emit(Zoom())
            case key if key in steps:
                self.zoom_changed.emit(self._there.panned(self._zoom, steps[Qt.Key(key)]))
            case _:
                super().keyPressEvent(event)

    def _scale_by(self, factor: float, at: QPointF | None = None) -> None:
        there = self._there
        self.zoom_changed.emit(there.scaled(self._zoom, there.scale(self._zoom) * factor, at))


def _time_words(seconds: float) -> str:
    return duration_words(seconds) if seconds >= 10 else f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"
