"""A picture before and after its conversion: with a divider, side by side, or one in place of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QHideEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.review.compare_mode import CompareMode
from cyclegan_desktop.review.picture_layer import PictureLayer
from cyclegan_desktop.review.zoom import ZOOM_STEP, Place, Zoom
from cyclegan_desktop.style import ACCENT, RADIUS, WARNING, M, S, colours

TO_THE_END: Final = 2**30
"""Rows to step to be surely at the first or last one."""

_KEY_STEP: Final = 0.02
_PAN_STEP: Final = 64
_HANDLE: Final = 15
_NOTCH: Final = 120
_HOLD_MS: Final = 150
_SAID_MS: Final = 1800
_REAL_PIXELS: Final = 2.0
"""Pixels of the screen to one of the picture from which its pixels are shown as squares and not blended."""

_Drag: TypeAlias = Literal["", "divider", "pan", "out"]


class CompareView(QWidget):
    """Two pictures at the same place and scale, whatever their sizes.

    Keys: the arrows, Page Up and Page Down go to other pictures, Home and End to the first and the last. S, B and T
    choose the slider, side by side or toggling; Shift with left or right (or comma and full stop) moves the divider,
    the space bar shows the other picture. +, -, 0 and 1 zoom, Ctrl with an arrow pans. M marks, Ctrl+C copies, F11 asks
    for a whole window.

    The mouse: the wheel zooms where the pointer is, a double click goes from all of the picture to its own pixels and
    back. Dragging moves the divider or, in an enlarged picture, the picture; a result that is seen whole can be dragged
    out of the window. Holding the button shows the other picture while toggling.

    Signals:
        step_asked: So many pictures further on, or back if negative; `TO_THE_END` of them for the last.
        mark_asked: The picture is to be marked, or no longer.
        copy_asked: The result is to be copied.
        drag_asked: The result is dragged out.
        full_asked: The whole window is wanted, or no longer.
        mode_changed: The mode that is shown now.
        zoom_changed: Another scale or part is shown.
        detail_changed: Whether the pictures show less than their files hold, so that all of it is wanted.
    """

    step_asked = Signal(int)
    mark_asked = Signal()
    copy_asked = Signal()
    drag_asked = Signal()
    full_asked = Signal()
    mode_changed = Signal(str)
    zoom_changed = Signal()
    detail_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("compare_view")
        self.setAccessibleName(self.tr("Before and after"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, 120)
        self.setMouseTracking(True)
        self._before: PictureLayer | None = None
        self._after: PictureLayer | None = None
        self._captions = ("", "")
        self._mode: CompareMode = "slider"
        self._zoom = Zoom()
        self._divider = 0.5
        self._shows_before = False
        self._marked = False
        self._ground = ""
        self._wants_detail = False
        self._drag: _Drag = ""
        self._pressed_at = QPointF()
        self._panned_to = QPointF()
        self._held = False
        self._hold = QTimer(self)
        self._hold.setSingleShot(True)
        self._hold.setInterval(_HOLD_MS)
        self._hold.timeout.connect(lambda: self._set_held(True))
        self._said = ""
        self._say_until = QTimer(self)
        self._say_until.setSingleShot(True)
        self._say_until.setInterval(_SAID_MS)
        self._say_until.timeout.connect(lambda: self.say(""))
        self._describe()

    # What is shown

    @property
    def before(self) -> QImage | None:
        """The first picture, maybe scaled down for the screen."""
        return None if self._before is None else self._before.image

    @property
    def after(self) -> QImage | None:
        """The second picture, maybe scaled down for the screen."""
        return None if self._after is None else self._after.image

    @property
    def has_full(self) -> bool:
        """Whether all pixels of the pictures are there, beside what was read for the screen."""
        return any(layer is not None and layer.full is not None for layer in (self._before, self._after))

    @property
    def captions(self) -> tuple[str, str]:
        """What the two pictures are."""
        return self._captions

    @property
    def mode(self) -> CompareMode:
        """How the two are compared."""
        return self._mode

    @property
    def divider(self) -> float:
        """Where the divider stands in what is seen of the pictures, from 0 (left edge) to 1."""
        return self._divider

    @property
    def shows_before(self) -> bool:
        """Whether toggling shows the first picture now."""
        return self._shows_before != self._held

    @property
    def zoom(self) -> Zoom:
        """What is seen of the pictures."""
        return self._zoom

    @property
    def scale(self) -> float:
        """Pixels of the screen to a pixel of the picture (of the larger one, if they differ); 0 without a picture."""
        place = self._place()
        return 0.0 if place is None else place.scale(self._zoom)

    @property
    def wants_detail(self) -> bool:
        """Whether the pictures show less than their files hold."""
        return self._wants_detail

    @property
    def is_marked(self) -> bool:
        """Whether the picture has the sign of a marked one."""
        return self._marked

    def set_mode(self, mode: CompareMode) -> None:
        """Compare in another way. What is seen of the pictures stays the same."""
        if mode != self._mode:
            self._mode = mode
            self._shows_before = self._held = False
            self._changed()
            self.mode_changed.emit(mode)

    def set_divider(self, place: float) -> None:
        """Move the divider, from 0 (only the second picture is seen) to 1 (only the first)."""
        self._divider = min(max(place, 0.0), 1.0)
        self.update()

    def set_captions(self, before: str, after: str) -> None:
        """Say what the two pictures are."""
        self._captions = (shown_text(before), shown_text(after))
        self._describe()
        self.update()

    def set_pictures(
        self, before: QImage | None, after: QImage | None = None, *, sizes: Sequence[QSize | None] = (None, None)
    ) -> None:
        """Show a pair, one picture, or nothing. Divider, mode and zoom stay, so that pairs can be compared.

        Args:
            before: The first picture, maybe scaled down.
            after: The second one.
            sizes: Of their files in pixels, None for that of the picture given.
        """
        self._before, self._after = (
            None if image is None or image.isNull() else PictureLayer(image, size)
            for image, size in zip((before, after), sizes, strict=True)
        )
        self._shows_before = False
        self._changed()

    def set_full(self, before: QImage | None, after: QImage | None) -> None:
        """All pixels of the same two pictures, or None to be without them again."""
        for layer, image in ((self._before, before), (self._after, after)):
            if layer is not None:
                layer.full = image
        self.update()

    def set_marked(self, marked: bool) -> None:
        """Show whether the picture is marked."""
        self._marked = marked
        self._describe()
        self.update()

    def set_ground(self, colour: str) -> None:
        """The colour around the pictures, "" for that of the scheme."""
        self._ground = colour
        self.update()

    def say(self, text: str, *, stays: bool = False) -> None:
        """Say something below the pictures: for a moment, or until something else is said. "" says nothing more."""
        self._said = shown_text(text)
        self._say_until.stop()
        if text and not stays:
            self._say_until.start()
        self._describe()
        self.update()

    # Zoom

    def set_zoom(self, zoom: Zoom) -> None:
        """Show another part of the pictures, or all of them."""
        if zoom != self._zoom:
            self._zoom = zoom
            self._changed()

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Enlarge (above 1) or shrink. What is under `at` stays there; by default it is what is in the middle."""
        if (place := self._place(at)) is not None:
            self.set_zoom(place.scaled(self._zoom, place.scale(self._zoom) * factor, at))

    def zoom_to_fit(self) -> None:
        """Show all of the pictures."""
        self.set_zoom(Zoom())

    def zoom_to_pixels(self, at: QPointF | None = None) -> None:
        """Show each pixel of the picture as one of the screen."""
        if (place := self._place(at)) is not None:
            self.set_zoom(place.scaled(self._zoom, 1.0, at))

    def toggle_zoom(self, at: QPointF | None = None) -> None:
        """From all of the picture to its own pixels, or back."""
        if self._zoom.scale is None and abs(self.scale - 1) > 1e-3:
            self.zoom_to_pixels(at)
        else:
            self.zoom_to_fit()

    def pan(self, by: QPointF) -> None:
        """Move both pictures, no farther than to their edges."""
        if (place := self._place()) is not None:
            self.set_zoom(place.panned(self._zoom, by))

    def picture_rect(self) -> QRect:
        """Where the first or only picture is, also what is out of sight of it; empty if there is none."""
        place = self._place()
        return QRect() if place is None else place.rect(self._zoom).toRect()

    def rooms(self) -> list[QRectF]:
        """Where pictures are shown: two rooms side by side (or one above the other, if larger), else one."""
        whole = QRectF(self.rect())
        if self._mode != "side" or self._before is None or self._after is None:
            return [whole]
        size = self._size()
        width, height = (whole.width() - S) / 2, (whole.height() - S) / 2
        beside = [QRectF(0, 0, width, whole.height()), QRectF(width + S, 0, width, whole.height())]
        above = [QRectF(0, 0, whole.width(), height), QRectF(0, height + S, whole.width(), height)]
        return max((beside, above), key=lambda rooms: Place(size, rooms[0]).fit)

    def _size(self) -> QSize:
        """The pixels that the scale counts: those of the larger picture."""
        sizes = [layer.size for layer in (self._before, self._after) if layer is not None]
        return max(sizes, key=lambda size: size.width() * size.height())

    def _place(self, at: QPointF | None = None) -> Place | None:
        """The picture in the room that `at` is in, by default in the first."""
        if self._before is None and self._after is None:
            return None
        rooms = self.rooms()
        room = next((room for room in rooms if at is not None and room.contains(at)), rooms[0])
        return Place(self._size(), room, self.devicePixelRatioF())

    def _changed(self) -> None:
        """Another picture, scale or room."""
        place = self._place()
        wants = False
        if place is not None and self.isVisible():
            pixels = place.rect(self._zoom).width() * place.ratio
            wants = any(
                layer is not None and layer.is_coarse_at(pixels * layer.size.width() / self._size().width())
                for layer in (self._before, self._after)
            )
        if wants != self._wants_detail:
            self._wants_detail = wants
            self.detail_changed.emit(wants)
        self._describe()
        self._show_cursor(None)
        self.zoom_changed.emit()
        self.update()

    def _describe(self) -> None:
        """What is seen, in words for those who do not see it."""
        parts = [
            {
                "slider": self.tr("Slider: {0} left, {1} right").format(*self._captions),
                "side": self.tr("Side by side: {0}, {1}").format(*self._captions),
                "toggle": self._toggle_caption(),
            }[self._mode]
            if self._before is not None and self._after is not None
            else self._captions[self._before is None]
        ]
        if self._marked:
            parts.append(self.tr("Marked to redo"))
        if self._said:
            parts.append(self._said)
        self.setAccessibleDescription(". ".join(part for part in parts if part))

    def _toggle_caption(self) -> str:
        if self.shows_before:
            return self.tr("Before: {0}").format(self._captions[0])
        return self.tr("After: {0}").format(self._captions[1])

    def sizeHint(self) -> QSize:
        """As much room as there is."""
        return QSize(640, 480)

    # Drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures, the divider and what they are."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._ground or colours().picture))
        painter.drawRoundedRect(self.rect(), RADIUS, RADIUS)
        place = self._place()
        if place is None:
            self._draw_said(painter)
            return
        rooms = self.rooms()
        if self._before is None or self._after is None:
            self._draw_picture(painter, "before" if self._after is None else "after", rooms[0])
        elif self._mode == "toggle":
            name: Literal["before", "after"] = "before" if self.shows_before else "after"
            self._draw_picture(painter, name, rooms[0], caption=self._toggle_caption())
        elif self._mode == "side":
            self._draw_picture(painter, "before", rooms[0])
            self._draw_picture(painter, "after", rooms[1])
        else:
            self._draw_divided(painter, place)
        if self._marked:
            self._draw_mark(painter)
        # In the slider its handle shows it.
        if self.hasFocus() and (self._mode != "slider" or self._after is None or self._before is None):
            painter.setPen(QPen(QColor(ACCENT), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), RADIUS, RADIUS)
        self._draw_said(painter)

    def _draw_divided(self, painter: QPainter, place: Place) -> None:
        seen = self._seen(place)
        x = round(seen.left() + self._divider * seen.width())
        left, right = QRectF(seen), QRectF(seen)
        left.setRight(x)
        right.setLeft(x)
        self._draw_picture(painter, "after", right, room=place.room, left=False)
        self._draw_picture(painter, "before", left, room=place.room)
        self._draw_divider(painter, seen.toRect(), x)

    def _draw_picture(
        self,
        painter: QPainter,
        name: Literal["before", "after"],
        side: QRectF,
        *,
        room: QRectF | None = None,
        caption: str | None = None,
        left: bool = True,
    ) -> None:
        """Draw what is seen of a picture in `side`, a part of its room, with what it is."""
        layer = self._before if name == "before" else self._after
        assert layer is not None
        place = Place(self._size(), side if room is None else room, self.devicePixelRatioF())
        target = place.rect(self._zoom)
        seen = target.intersected(side)
        painter.save()
        painter.setClipRect(seen)
        smooth = self._zoom.scale is None or place.scale(self._zoom) < _REAL_PIXELS
        layer.draw(painter, target, seen, place.ratio, smooth=smooth)
        self._draw_caption(painter, seen, self._captions[name == "after"] if caption is None else caption, left=left)
        painter.restore()

    def _draw_caption(self, painter: QPainter, side: QRectF, text: str, *, left: bool) -> None:
        metrics = self.fontMetrics()
        room = round(side.width()) - 2 * (S + M)
        if not text or room < min(metrics.horizontalAdvance(text), metrics.averageCharWidth() * 8):
            return
        text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
        width, height = metrics.horizontalAdvance(text) + 2 * M, metrics.height() + S
        x = side.left() + S if left else side.right() - S - width
        _draw_pill(painter, QRectF(x, side.top() + S, width, height), text)

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

    def _draw_mark(self, painter: QPainter) -> None:
        """A frame and a word: seen at a glance, also by those who see no colours."""
        painter.setPen(QPen(QColor(WARNING), 4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        # Within the line of the focus.
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(4, 4, -4, -4), RADIUS - 2, RADIUS - 2)
        text = self.tr("Marked to redo")
        metrics = self.fontMetrics()
        width, height = metrics.horizontalAdvance(text) + 2 * M, metrics.height() + S
        _draw_pill(painter, QRectF(S, self.height() - S - height, width, height), text, QColor(WARNING))

    def _draw_said(self, painter: QPainter) -> None:
        if not self._said:
            return
        metrics = self.fontMetrics()
        text = metrics.elidedText(self._said, Qt.TextElideMode.ElideRight, self.width() - 2 * (S + M))
        width, height = metrics.horizontalAdvance(text) + 2 * M, metrics.height() + S
        pill = QRectF((self.width() - width) / 2, self.height() - 2 * S - 2 * height, width, height)
        _draw_pill(painter, pill, text, QColor(0, 0, 0, 190))

    # The mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the divider, of an enlarged picture, or of a result to drag out."""
        if event.button() != Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)
            return
        at = event.position()
        self._pressed_at = self._panned_to = at
        self._drag = self._drag_at(at)
        if self._drag == "divider":
            self._divider_to(at)
        if self._mode == "toggle" and self._before is not None and self._after is not None:
            self._hold.start()
        self._show_cursor(at)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move what was taken hold of."""
        at = event.position()
        if not event.buttons() & Qt.MouseButton.LeftButton:
            self._show_cursor(at)
            return
        if self._drag == "divider":
            self._divider_to(at)
            return
        far = (at - self._pressed_at).manhattanLength() >= QApplication.startDragDistance()
        if not self._drag or (not far and self._panned_to == self._pressed_at):
            return
        self._let_go()
        if self._drag == "pan":
            by, self._panned_to = at - self._panned_to, at
            self.pan(by)
        else:
            # The drag takes the mouse, so its button is let go of elsewhere.
            self._drag = ""
            self.drag_asked.emit()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._let_go()
            self._drag = ""
            self._show_cursor(event.position())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """All of the picture, or its own pixels."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._let_go()
            self._drag = ""
            self.toggle_zoom(event.position())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom where the pointer is, with or without Ctrl."""
        notches = event.angleDelta().y() / _NOTCH
        if notches and self._place() is not None:
            self.zoom_by(ZOOM_STEP**notches, event.position())
            event.accept()
        else:
            event.ignore()

    def event(self, event: QEvent) -> bool:
        """Zoom by two fingers where the pointer is, besides what every widget does."""
        if (
            isinstance(event, QNativeGestureEvent)
            and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture
            and event.value() > -1
        ):
            self.zoom_by(1 + event.value(), event.position())
            return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another room may need other pixels."""
        super().resizeEvent(event)
        self._changed()

    def showEvent(self, event: QShowEvent) -> None:
        """Want all pixels again, if they are seen."""
        super().showEvent(event)
        self._changed()

    def hideEvent(self, event: QHideEvent) -> None:
        """Want no pixels that nobody sees."""
        super().hideEvent(event)
        self._let_go()
        self._changed()

    def _drag_at(self, at: QPointF) -> _Drag:
        """What pressing the button there takes hold of."""
        place = self._place(at)
        if place is None:
            return ""
        both = self._before is not None and self._after is not None
        can_pan = place.can_pan(self._zoom)
        if both and self._mode == "slider":
            seen = self._seen(place)
            x = seen.left() + self._divider * seen.width()
            return "divider" if not can_pan or abs(at.x() - x) <= _HANDLE else "pan"
        if can_pan:
            return "pan"
        is_result = self._after is not None and (
            not both
            or (self._mode == "toggle" and not self.shows_before)
            or (self._mode == "side" and self.rooms()[1].contains(at))
        )
        return "out" if is_result and place.rect(self._zoom).contains(at) else ""

    def _show_cursor(self, at: QPointF | None) -> None:
        """The pointer that says what pressing the button does; `at` None takes the slider's without a place."""
        shape = Qt.CursorShape.ArrowCursor
        drag = self._drag or ("" if at is None else self._drag_at(at))
        if drag == "divider" or (at is None and self._drag_at(QPointF(self.rect().center())) == "divider"):
            shape = Qt.CursorShape.SplitHCursor
        elif drag == "pan":
            shape = Qt.CursorShape.ClosedHandCursor if self._drag == "pan" else Qt.CursorShape.OpenHandCursor
        if shape != self.cursor().shape():
            self.setCursor(shape)

    def _seen(self, place: Place) -> QRectF:
        return place.rect(self._zoom).intersected(place.room)

    def _divider_to(self, at: QPointF) -> None:
        if (place := self._place()) is not None:
            seen = self._seen(place)
            self.set_divider((at.x() - seen.left()) / max(seen.width(), 1.0))

    def _set_held(self, held: bool) -> None:
        if held != self._held:
            self._held = held
            self._describe()
            self.update()

    def _let_go(self) -> None:
        self._hold.stop()
        self._set_held(False)

    # The keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Do what the key stands for."""
        if not self.take_key(event):
            super().keyPressEvent(event)

    def take_key(self, event: QKeyEvent) -> bool:
        """Do what a key stands for, also one that was pressed in something beside the view; False if it is none."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_asked.emit()
            return True
        ways = {
            Qt.Key.Key_Left: QPointF(-1, 0),
            Qt.Key.Key_Right: QPointF(1, 0),
            Qt.Key.Key_Up: QPointF(0, -1),
            Qt.Key.Key_Down: QPointF(0, 1),
        }
        key, held = Qt.Key(event.key()), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        way = ways.get(key)
        if held == Qt.KeyboardModifier.ControlModifier and way is not None:
            self.pan(-way * _PAN_STEP)
            return True
        if held == Qt.KeyboardModifier.ShiftModifier and self._take_divider_key(key):
            return True
        # On some keyboards + is with Shift and 0 or 1 also.
        if held & ~Qt.KeyboardModifier.ShiftModifier:
            return False
        return self._take_plain_key(key, way, event.isAutoRepeat())

    def _take_divider_key(self, key: Qt.Key) -> bool:
        places = {
            Qt.Key.Key_Left: self._divider - _KEY_STEP,
            Qt.Key.Key_Right: self._divider + _KEY_STEP,
            Qt.Key.Key_Home: 0.0,
            Qt.Key.Key_End: 1.0,
        }
        if key in places:
            self.set_divider(places[key])
        return key in places

    def _take_plain_key(self, key: Qt.Key, way: QPointF | None, repeated: bool) -> bool:
        modes: dict[Qt.Key, CompareMode] = {
            Qt.Key.Key_S: "slider",
            Qt.Key.Key_B: "side",
            Qt.Key.Key_T: "toggle",
        }
        if way is not None:
            self.step_asked.emit(round(way.x() + way.y()))
        elif key in modes:
            self.set_mode(modes[key])
        else:
            match key:
                case Qt.Key.Key_PageUp:
                    self.step_asked.emit(-1)
                case Qt.Key.Key_PageDown:
                    self.step_asked.emit(1)
                case Qt.Key.Key_Home:
                    self.step_asked.emit(-TO_THE_END)
                case Qt.Key.Key_End:
                    self.step_asked.emit(TO_THE_END)
                case Qt.Key.Key_Comma:
                    self.set_divider(self._divider - _KEY_STEP)
                case Qt.Key.Key_Period:
                    self.set_divider(self._divider + _KEY_STEP)
                case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                    self.zoom_by(ZOOM_STEP)
                case Qt.Key.Key_Minus:
                    self.zoom_by(1 / ZOOM_STEP)
                case Qt.Key.Key_0:
                    self.zoom_to_fit()
                case Qt.Key.Key_1:
                    self.zoom_to_pixels()
                case Qt.Key.Key_Space if self._mode == "toggle":
                    if not repeated:
                        self.toggle()
                case Qt.Key.Key_M:
                    if not repeated:
                        self.mark_asked.emit()
                case Qt.Key.Key_F11:
                    self.full_asked.emit()
                case _:
                    return False
        return True

    def toggle(self) -> None:
        """Show the other of the two pictures."""
        if self._before is not None and self._after is not None:
            self._shows_before = not self._shows_before
            self._describe()
            self.update()


def _draw_pill(painter: QPainter, pill: QRectF, text: str, colour: QColor | None = None) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 150) if colour is None else colour)
    painter.drawRoundedRect(pill, pill.height() / 2, pill.height() / 2)
    painter.setPen(QColor("white"))
    painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)
