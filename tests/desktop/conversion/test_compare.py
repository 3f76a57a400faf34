from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.conversion.compare import CompareView, Comparison
from engine.errors import PictureError

RED, BLUE = QColor("#ff0000"), QColor("#0000ff")
NAMES = ("Apples", "Oranges")


def filled(colour: QColor, width: int = 400, height: int = 200) -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB888)
    image.fill(colour)
    return image


@pytest.fixture
def view(qtbot) -> CompareView:
    made = CompareView()
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show()
    made.set_pictures(filled(RED), filled(BLUE))
    return made


@pytest.fixture
def make_comparison(qtbot):
    made: list[Comparison] = []

    def make(**arguments: object) -> Comparison:
        comparison = Comparison(**arguments)
        qtbot.addWidget(comparison)
        comparison.resize(600, 400)
        comparison.show()
        made.append(comparison)
        return comparison

    yield make
    for comparison in made:
        comparison.wait()


def colour_at(view: CompareView, share: float) -> QColor:
    """The colour at a share of the width of the pictures, below the captions and above the handle."""
    rect = view.picture_rect()
    shot = view.grab().toImage()
    ratio = shot.devicePixelRatio()
    x, y = rect.left() + share * (rect.width() - 1), rect.top() + rect.height() * 0.3
    return shot.pixelColor(round(x * ratio), round(y * ratio))


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
    moved = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(450, 200),
        view.mapToGlobal(QPointF(450, 200)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(view, moved)
    assert view.divider == pytest.approx(0.75, abs=0.01)


def test_keys_move_the_divider_and_ask_for_other_pictures(view, qtbot):
    qtbot.keyClick(view, Qt.Key.Key_Left)
    assert view.divider < 0.5
    qtbot.keyClick(view, Qt.Key.Key_Home)
    qtbot.keyClick(view, Qt.Key.Key_Left)
    assert view.divider == 0.0
    qtbot.keyClick(view, Qt.Key.Key_End)
    assert view.divider == 1.0
    steps: list[int] = []
    view.step_asked.connect(steps.append)
    qtbot.keyClick(view, Qt.Key.Key_Down)
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert steps == [1, -1]


def test_one_picture_alone_fills_the_view_without_a_divider(view):
    view.set_pictures(filled(RED))
    assert (colour_at(view, 0.3), colour_at(view, 0.51)) == (RED, RED)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_source_is_shown_upright(make_comparison, qtbot, tmp_path: Path, orientation):
    upright = np.zeros((30, 60, 3), np.uint8)
    upright[:15, :30] = (255, 0, 0)  # Red in the upper left corner, black elsewhere.
    stored = Image.fromarray(upright)
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    for turn in undo.get(orientation, []):
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    source, target = tmp_path / "source.png", tmp_path / "target.png"
    stored.save(source, exif=exif)
    Image.fromarray(255 - upright).save(target)

    comparison = make_comparison()
    comparison.show_files("source.png", source, target, NAMES)
    qtbot.waitUntil(lambda: comparison.view.after is not None)
    before = comparison.view.before
    assert (before.width(), before.height()) == (60, 30)
    assert before.pixelColor(5, 5) == RED
    assert before.pixelColor(55, 25) == QColor("black")
    assert comparison.view.after.pixelColor(55, 25) == QColor("white")


def test_a_large_picture_is_scaled_down_for_the_screen(make_comparison, qtbot, tmp_path: Path):
    Image.new("RGB", (6000, 30), "red").save(tmp_path / "wide.jpg")
    comparison = make_comparison()
    comparison.show_files("wide.jpg", tmp_path / "wide.jpg", None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is not None)
    assert comparison.view.before.width() == 2560


def test_only_the_pictures_asked_for_last_are_shown(make_comparison, qtbot):
    slow = threading.Event()

    def read(path: Path, _longest: int) -> np.ndarray:
        if path.name == "slow":
            assert slow.wait(20)
        side = {"slow": 10, "quick": 20}[path.name]
        return np.zeros((side, side, 3), np.uint8)

    comparison = make_comparison(read=read)
    comparison.show_files("slow", Path("slow"), None, NAMES)
    comparison.show_files("quick", Path("quick"), None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is not None)
    slow.set()
    comparison.wait()
    qtbot.wait(20)
    assert comparison.view.before.width() == 20
    assert comparison.name == "quick"


def test_while_the_next_pictures_are_read_the_last_are_not_shown_for_them_for_long(make_comparison, qtbot):
    slow = threading.Event()

    def read(path: Path, _longest: int) -> np.ndarray:
        if path.name == "slow":
            assert slow.wait(20)
        return np.zeros((10, 10, 3), np.uint8)

    comparison = make_comparison(read=read)
    comparison.show_files("quick", Path("quick"), None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is not None)
    comparison.show_files("slow", Path("slow"), None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is None)
    slow.set()
    qtbot.waitUntil(lambda: comparison.view.before is not None)


@pytest.mark.parametrize("error", [PictureError("<b>x</b>.png is damaged."), RuntimeError("decoder"), MemoryError()])
def test_a_picture_that_cannot_be_read_is_a_sentence(make_comparison, qtbot, error):
    def read(_path: Path, _longest: int) -> np.ndarray:
        raise error

    comparison = make_comparison(read=read)
    comparison.show_files("<b>x</b>.png", Path("x.png"), None, NAMES)
    problem = comparison.findChild(object, "comparison_problem")
    qtbot.waitUntil(problem.isVisible)
    assert problem.text() == (str(error) or "MemoryError")
    assert problem.textFormat() == Qt.TextFormat.PlainText
    assert comparison.findChild(object, "comparison_name").textFormat() == Qt.TextFormat.PlainText


def test_a_result_that_is_gone_leaves_the_source_and_says_so(make_comparison, qtbot, tmp_path: Path):
    Image.new("RGB", (10, 10)).save(tmp_path / "source.png")
    comparison = make_comparison()
    comparison.show_files("source.png", tmp_path / "source.png", tmp_path / "gone.png", NAMES)
    notes = comparison.findChild(object, "comparison_notes")
    qtbot.waitUntil(notes.isVisible)
    assert "gone.png" in notes.text()
    assert comparison.view.before is not None and comparison.view.after is None
