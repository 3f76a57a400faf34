from __future__ import annotations

import itertools

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QNativeGestureEvent, QPointingDevice, QWheelEvent
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.picture_image import image_of
from cyclegan_desktop.review.compare_mode import MODES
from cyclegan_desktop.review.compare_view import TO_THE_END, CompareView
from cyclegan_desktop.review.zoom import Zoom

RED, BLUE = QColor("#ff0000"), QColor("#0000ff")


def filled(colour: QColor, width: int = 400, height: int = 200) -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB888)
    image.fill(colour)
    return image


def chequered(width: int, height: int) -> QImage:
    """Every pixel black or white, unlike the four beside it."""
    rows, columns = np.indices((height, width))
    return image_of(np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2))


@pytest.fixture
def view(qtbot) -> CompareView:
    made = CompareView()
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show()
    made.set_pictures(filled(RED), filled(BLUE))
    return made


def colour_at(view: CompareView, share: float) -> QColor:
    """The colour at a share of the width of the pictures, below the captions and above the handle."""
    rect = view.picture_rect()
    return colour_in(view, rect.left() + share * (rect.width() - 1), rect.top() + rect.height() * 0.3)


def colour_in(view: CompareView, x: float, y: float) -> QColor:
    shot = view.grab().toImage()
    ratio = shot.devicePixelRatio()
    return shot.pixelColor(round(x * ratio), round(y * ratio))


def move(view: CompareView, x: float, y: float, *, pressed: bool = True) -> None:
    held = Qt.MouseButton.LeftButton if pressed else Qt.MouseButton.NoButton
    at = QPointF(x, y)
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        at,
        view.mapToGlobal(at),
        Qt.MouseButton.NoButton,
        held,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(view, event)


def turn_wheel(view: CompareView, notches: int, at: QPointF, *, ctrl: bool = False) -> None:
    held = Qt.KeyboardModifier.ControlModifier if ctrl else Qt.KeyboardModifier.NoModifier
    turn = QPoint(0, 120 * notches)
    QApplication.sendEvent(
        view,
        QWheelEvent(
            at,
            view.mapToGlobal(at),
            QPoint(),
            turn,
            Qt.MouseButton.NoButton,
            held,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        ),
    )


# The slider


def test_the_first_picture_is_left_of_the_divider_and_the_second_right(view):
    assert view.divider == 0.5
    assert (colour_at(view, 0.4), colour_at(view, 0.6)) == (RED, BLUE)
    view.set_divider(0.2)
    assert (colour_at(view, 0.1), colour_at(view, 0.4)) == (RED, BLUE)


def test_pictures_fit_the_view_and_keep_their_shape(view):
    assert view.picture_rect().getRect() == (0, 50, 600, 300)
    view.resize(200, 400)
    assert view.picture_rect().getRect() == (0, 150, 200, 100)
    view.set_pictures(filled(RED, 10, 40))
    assert view.picture_rect().getRect() == (50, 0, 100, 400)


def test_the_mouse_drags_the_divider(view, qtbot):
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(150, 200))
    assert view.divider == pytest.approx(0.25, abs=0.01)
    move(view, 450, 200)
    assert view.divider == pytest.approx(0.75, abs=0.01)


def test_in_an_enlarged_picture_the_divider_stays_in_sight_and_only_its_handle_moves_it(view, qtbot):
    view.set_pictures(filled(RED, 3000, 2000), filled(BLUE, 3000, 2000))
    view.zoom_to_pixels()
    assert (colour_in(view, 290, 100), colour_in(view, 310, 100)) == (RED, BLUE)
    start = view.picture_rect().topLeft()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(305, 200))
    move(view, 450, 200)
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(450, 200))
    assert view.divider == pytest.approx(0.75, abs=0.01)
    assert view.picture_rect().topLeft() == start
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    move(view, 140, 130)
    assert view.divider == pytest.approx(0.75, abs=0.01)
    assert view.picture_rect().topLeft() == start + QPoint(40, 30)


def test_one_picture_alone_fills_the_view_without_a_divider(view):
    view.set_pictures(filled(RED))
    assert (colour_at(view, 0.3), colour_at(view, 0.51)) == (RED, RED)


# Modes


@pytest.mark.parametrize(("key", "mode"), [("s", "slider"), ("b", "side"), ("t", "toggle")])
def test_keys_choose_the_mode(view, qtbot, key, mode):
    view.set_mode("side" if mode != "side" else "toggle")
    with qtbot.waitSignal(view.mode_changed) as changed:
        qtbot.keyClick(view, key)
    assert view.mode == mode
    assert changed.args == [mode]


def test_side_by_side_each_has_a_room_of_its_own(view):
    view.set_mode("side")
    first, second = view.rooms()
    assert not first.intersects(second)
    assert colour_in(view, first.center().x(), first.center().y()) == RED
    assert colour_in(view, second.center().x(), second.center().y()) == BLUE


def test_side_by_side_is_one_above_the_other_where_that_is_larger(view):
    view.set_pictures(filled(RED, 100, 200), filled(BLUE, 100, 200))
    view.set_mode("side")
    assert [room.top() for room in view.rooms()] == [0, 0]
    view.set_pictures(filled(RED, 400, 50), filled(BLUE, 400, 50))
    assert [room.left() for room in view.rooms()] == [0, 0]


def test_the_space_bar_shows_the_other_picture_and_says_which(view, qtbot):
    view.set_captions("Apples", "<b>Oranges</b>")
    view.set_mode("toggle")
    assert colour_at(view, 0.5) == BLUE
    assert view.accessibleDescription() == "After: <b>Oranges</b>"
    qtbot.keyClick(view, Qt.Key.Key_Space)
    assert colour_at(view, 0.5) == RED
    assert view.accessibleDescription() == "Before: Apples"
    qtbot.keyClick(view, Qt.Key.Key_Space)
    assert colour_at(view, 0.5) == BLUE


def test_holding_the_mouse_shows_the_other_picture_while_it_is_held(view, qtbot):
    view.set_mode("toggle")
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    qtbot.waitUntil(lambda: view.shows_before)
    assert colour_at(view, 0.5) == RED
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    assert colour_at(view, 0.5) == BLUE


def test_the_next_pair_is_shown_in_the_same_way(view):
    view.set_pictures(filled(RED, 3000, 2000), filled(BLUE, 3000, 2000))
    view.set_mode("side")
    view.zoom_to_pixels()
    view.pan(QPointF(-100, -50))
    zoom = view.zoom
    view.set_pictures(None)
    view.set_pictures(filled(BLUE, 3000, 2000), filled(RED, 3000, 2000))
    assert (view.mode, view.zoom) == ("side", zoom)


# Other pictures


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (Qt.Key.Key_Left, -1),
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_Up, -1),
        (Qt.Key.Key_Down, 1),
        (Qt.Key.Key_PageUp, -1),
        (Qt.Key.Key_PageDown, 1),
        (Qt.Key.Key_Home, -TO_THE_END),
        (Qt.Key.Key_End, TO_THE_END),
    ],
)
def test_keys_ask_for_other_pictures_in_every_mode(view, qtbot, mode, key, rows):
    view.set_mode(mode)
    with qtbot.waitSignal(view.step_asked) as asked:
        qtbot.keyClick(view, key)
    assert asked.args == [rows]
    assert view.divider == 0.5


def test_keys_move_the_divider(view, qtbot):
    steps: list[int] = []
    view.step_asked.connect(steps.append)
    shift = Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(view, Qt.Key.Key_Left, shift)
    assert view.divider == pytest.approx(0.48)
    qtbot.keyClick(view, Qt.Key.Key_Right, shift)
    qtbot.keyClick(view, Qt.Key.Key_Period)
    assert view.divider == pytest.approx(0.52)
    qtbot.keyClick(view, Qt.Key.Key_Comma)
    qtbot.keyClick(view, Qt.Key.Key_Home, shift)
    qtbot.keyClick(view, Qt.Key.Key_Left, shift)
    assert view.divider == 0.0
    qtbot.keyClick(view, Qt.Key.Key_End, shift)
    assert view.divider == 1.0
    assert not steps


def test_keys_for_nothing_here_go_on_to_others(view, qtbot):
    got: list[int] = []

    class Parent(CompareView):
        def keyPressEvent(self, event) -> None:
            got.append(event.key())

    parent = Parent()
    qtbot.addWidget(parent)
    view.setParent(parent)
    for key in (Qt.Key.Key_Q, Qt.Key.Key_Space):
        qtbot.keyClick(view, key)
    qtbot.keyClick(view, Qt.Key.Key_M, Qt.KeyboardModifier.AltModifier)
    assert [key for key in got if key != Qt.Key.Key_Alt] == [Qt.Key.Key_Q, Qt.Key.Key_Space, Qt.Key.Key_M]
    view.setParent(None)


# Zoom


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ctrl", [False, True])
def test_the_wheel_zooms_where_the_pointer_is(view, mode, ctrl):
    view.set_pictures(filled(RED, 3000, 2000), filled(BLUE, 3000, 2000))
    view.set_mode(mode)
    at = QPointF(200, 180)

    def spot() -> tuple[float, float]:
        rect = view.picture_rect()
        return (at.x() - rect.left()) / rect.width(), (at.y() - rect.top()) / rect.height()

    before, scale = spot(), view.scale
    turn_wheel(view, 4, at, ctrl=ctrl)
    assert view.scale == pytest.approx(scale * 1.25**4)
    assert spot() == pytest.approx(before, abs=0.005)
    turn_wheel(view, -4, at, ctrl=ctrl)
    assert view.zoom == Zoom()


def test_pinching_zooms(view):
    view.set_pictures(filled(RED, 3000, 2000))
    scale = view.scale
    pinch = QNativeGestureEvent(
        Qt.NativeGestureType.ZoomNativeGesture,
        QPointingDevice.primaryPointingDevice(),
        2,
        QPointF(10, 10),
        QPointF(10, 10),
        QPointF(10, 10),
        0.5,
        QPointF(),
    )
    QApplication.sendEvent(view, pinch)
    assert view.scale == pytest.approx(1.5 * scale)


def test_keys_zoom(view, qtbot):
    view.set_pictures(filled(RED, 3000, 2000))
    qtbot.keyClick(view, Qt.Key.Key_1)
    assert view.scale == 1
    qtbot.keyClick(view, Qt.Key.Key_Plus)
    assert view.scale == 1.25
    qtbot.keyClick(view, Qt.Key.Key_Minus)
    assert view.scale == 1
    qtbot.keyClick(view, Qt.Key.Key_0)
    assert view.zoom == Zoom()
    assert view.scale == pytest.approx(0.2)


def test_a_double_click_goes_to_the_pictures_own_pixels_and_back(view, qtbot):
    view.set_pictures(filled(RED, 3000, 2000), filled(BLUE, 3000, 2000))
    view.set_mode("toggle")
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton, pos=QPoint(1, 1))
    assert view.scale == 1
    assert view.picture_rect().topLeft() == QPoint(-4, -4)
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    assert view.zoom == Zoom()


@pytest.mark.parametrize("mode", MODES)
def test_at_its_own_pixels_a_picture_is_drawn_pixel_by_pixel(view, mode):
    picture = chequered(3001, 1999)
    view.set_pictures(picture, picture)
    view.set_mode(mode)
    view.zoom_to_pixels()
    view.pan(QPointF(-33, 21))
    corner = view.picture_rect().topLeft()
    shot = view.grab().toImage()
    for x in range(20, 120):
        assert shot.pixelColor(x, 90).red() == picture.pixelColor(x - corner.x(), 90 - corner.y()).red()


def test_enlarged_pixels_are_squares(view):
    view.set_pictures(chequered(3000, 2000))
    view.set_zoom(Zoom(8.0))
    shot = view.grab().toImage()
    values = [shot.pixelColor(x, 203).red() for x in range(100, 132)]
    assert set(values) == {0, 255}
    assert sum(a != b for a, b in itertools.pairwise(values)) in (3, 4)


def test_panning_moves_both_pictures(view, qtbot):
    halves = filled(RED, 2000, 1000)
    halves.fill(RED)
    for x in range(1000, 2000):
        halves.setPixelColor(x, 250, BLUE)
    view.set_pictures(halves, halves.copy())
    view.set_mode("side")
    view.zoom_to_pixels()
    first, second = view.rooms()

    def edges() -> list[int]:
        """Where the line begins, in each room."""
        shot = view.grab().toImage()
        found = []
        for room in (first, second):
            row = view.picture_rect().top() + 250
            columns = range(round(room.left()) + 4, round(room.right()) - 4)
            found.append(next(x for x in columns if shot.pixelColor(x, row) == BLUE) - round(room.left()))
        return found

    view.pan(QPointF(0, 250))
    start = edges()
    assert start[0] == start[1]
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(450, 300))
    move(view, 420, 280)
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(420, 280))
    assert edges() == [start[0] - 30, start[1] - 30]


def test_ctrl_and_an_arrow_pan(view, qtbot):
    view.set_pictures(filled(RED, 3000, 2000))
    view.zoom_to_pixels()
    start = view.picture_rect().topLeft()
    qtbot.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
    assert view.picture_rect().topLeft() == start - QPoint(64, 64)


@pytest.mark.parametrize("mode", MODES)
def test_a_smaller_result_covers_the_same_place(view, mode):
    source, result = filled(RED, 2000, 1000), filled(BLUE, 200, 100)
    for image in (source, result):
        width, height = image.width(), image.height()
        for x in range(width // 2, width):
            for y in range(height // 2, height // 2 + height // 100):
                image.setPixelColor(x, y, QColor("white"))
    view.set_pictures(source, result)
    view.set_mode(mode)
    view.zoom_to_pixels()
    assert view.scale == 1
    assert view.picture_rect().width() == 2000
    rooms = view.rooms()
    colours = []
    for room in (rooms[0], rooms[-1]):
        # Just left and right of the middle of both pictures, which is in the middle of each room.
        if mode == "toggle":
            view.toggle()
        view.set_divider(1.0 if not colours else 0.0)
        middle = room.center()
        colours.append([colour_in(view, middle.x() + by, middle.y() + 4).green() // 128 for by in (-12, 12)])
    assert colours == [[0, 1], [0, 1]]


def test_all_pixels_are_wanted_only_where_they_can_be_seen(view, qtbot):
    wanted: list[bool] = []
    view.detail_changed.connect(wanted.append)
    view.set_pictures(filled(RED, 800, 400), sizes=(QSize(8000, 4000), None))
    assert not wanted
    view.zoom_to_pixels()
    assert wanted == [True]
    view.zoom_to_fit()
    view.set_pictures(filled(RED, 800, 400))
    view.zoom_to_pixels()
    assert wanted == [True, False]
    view.set_pictures(filled(RED, 800, 400), sizes=(QSize(8000, 4000), None))
    view.hide()
    assert wanted == [True, False, True, False]


def test_all_pixels_are_drawn_once_they_are_there(view):
    full = chequered(3000, 2000)
    view.set_pictures(filled(RED, 300, 200), sizes=(QSize(3000, 2000), None))
    view.zoom_to_pixels()
    assert colour_in(view, 100, 100) == RED
    view.set_full(full, None)
    shot = view.grab().toImage()
    assert {shot.pixelColor(100, 100).name(), shot.pixelColor(101, 100).name()} == {"#000000", "#ffffff"}
    view.set_full(None, None)
    assert colour_in(view, 100, 100) == RED


# What can be done


def test_a_marked_picture_shows_a_sign(view):
    plain = view.grab().toImage()
    view.set_marked(True)
    assert view.grab().toImage() != plain
    assert "Marked to redo" in view.accessibleDescription()
    view.set_marked(False)
    assert view.grab().toImage() == plain


@pytest.mark.parametrize(
    ("key", "held", "signal"),
    [
        (Qt.Key.Key_M, Qt.KeyboardModifier.NoModifier, "mark_asked"),
        (Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier, "copy_asked"),
        (Qt.Key.Key_F11, Qt.KeyboardModifier.NoModifier, "full_asked"),
    ],
)
def test_keys_ask_for_what_can_be_done(view, qtbot, key, held, signal):
    with qtbot.waitSignal(getattr(view, signal)):
        qtbot.keyClick(view, key, held)


@pytest.mark.parametrize(("mode", "room", "dragged"), [("side", 1, 1), ("side", 0, 0), ("toggle", 0, 1)])
def test_a_result_that_is_seen_whole_can_be_dragged_out(view, qtbot, mode, room, dragged):
    asked: list[None] = []
    view.drag_asked.connect(lambda: asked.append(None))
    view.set_mode(mode)
    at = view.rooms()[room].center().toPoint()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=at)
    move(view, at.x() + 2, at.y())
    assert not asked
    for way in (20, 40, 60):
        move(view, at.x() + way, at.y())
    assert len(asked) == dragged


def test_while_toggling_only_the_result_is_dragged_out(view, qtbot):
    asked: list[None] = []
    view.drag_asked.connect(lambda: asked.append(None))
    view.set_mode("toggle")
    view.toggle()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    move(view, 350, 200)
    assert not asked


def test_an_enlarged_result_is_moved_and_not_dragged_out(view, qtbot):
    asked: list[None] = []
    view.drag_asked.connect(lambda: asked.append(None))
    view.set_mode("toggle")
    view.set_zoom(Zoom(8.0))
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    start = view.picture_rect().left()
    move(view, 350, 200)
    assert view.picture_rect().left() == start + 50
    assert not asked


def test_the_pointer_says_what_pressing_does(view):
    move(view, 300, 200, pressed=False)
    assert view.cursor().shape() == Qt.CursorShape.SplitHCursor
    view.set_zoom(Zoom(8.0))
    move(view, 100, 200, pressed=False)
    assert view.cursor().shape() == Qt.CursorShape.OpenHandCursor
    move(view, 300, 200, pressed=False)
    assert view.cursor().shape() == Qt.CursorShape.SplitHCursor
