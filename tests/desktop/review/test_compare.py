from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QDesktopServices, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QToolButton

from cyclegan_desktop.drops import local_paths
from cyclegan_desktop.review.compare import Comparison
from cyclegan_desktop.review.shown_picture import ShownPicture, read_shown
from engine.errors import PictureError

RED = QColor("#ff0000")
NAMES = ("Apples", "Oranges")


def square(side: int) -> ShownPicture:
    return ShownPicture(np.zeros((side, side, 3), np.uint8), (side, side))


@pytest.fixture
def make_comparison(qtbot):
    made: list[Comparison] = []
    # Processes, which take their time to start, are the loader's tests' concern.
    pool = ThreadPoolExecutor(2)

    def make(**arguments: object) -> Comparison:
        comparison = Comparison(**{"pool": pool, **arguments})
        qtbot.addWidget(comparison)
        comparison.resize(600, 400)
        comparison.show()
        made.append(comparison)
        return comparison

    yield make
    for comparison in made:
        comparison.show_nothing()
        comparison.wait()
    pool.shutdown()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A picture and its result, red and blue, 40 x 20."""
    for name, colour in (("source.png", "red"), ("result.png", "blue")):
        Image.new("RGB", (40, 20), colour).save(tmp_path / name)
    return tmp_path / "source.png", tmp_path / "result.png"


@pytest.fixture
def large_pair(tmp_path: Path) -> tuple[Path, Path]:
    """The same with more pixels than are read for the screen: 3000 x 60, result half as large."""
    Image.new("RGB", (3000, 60), "red").save(tmp_path / "source.png")
    Image.new("RGB", (2800, 56), "blue").save(tmp_path / "result.png")
    return tmp_path / "source.png", tmp_path / "result.png"


def show(qtbot, comparison: Comparison, pair: tuple[Path, Path], notes: str = "") -> None:
    comparison.show_files(pair[0].name, *pair, NAMES, notes)
    qtbot.waitUntil(lambda: comparison.view.after is not None)


def tool(comparison: Comparison, name: str) -> QToolButton:
    return comparison.tools.findChild(QToolButton, name)


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

    def read(path: Path, _longest: int) -> ShownPicture:
        if path.name == "slow":
            assert slow.wait(20)
        return square({"slow": 10, "quick": 20}[path.name])

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

    def read(path: Path, _longest: int) -> ShownPicture:
        if path.name == "slow":
            assert slow.wait(20)
        return square(10)

    comparison = make_comparison(read=read)
    comparison.show_files("quick", Path("quick"), None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is not None)
    comparison.show_files("slow", Path("slow"), None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is None)
    assert "Opening" in comparison.view.accessibleDescription()
    slow.set()
    qtbot.waitUntil(lambda: comparison.view.before is not None)
    assert "Opening" not in comparison.view.accessibleDescription()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PictureError("<b>x</b>.png is damaged."), "<b>x</b>.png is damaged."),
        (RuntimeError("decoder"), "decoder"),
        (MemoryError(), "There is too little memory to show x.png. Close other programs and try again."),
    ],
)
def test_a_picture_that_cannot_be_read_is_a_sentence(make_comparison, qtbot, error, sentence):
    def read(_path: Path, _longest: int) -> ShownPicture:
        raise error

    comparison = make_comparison(read=read)
    comparison.show_files("<b>x</b>.png", Path("x.png"), None, NAMES)
    problem = comparison.findChild(object, "comparison_problem")
    qtbot.waitUntil(problem.isVisible)
    assert problem.text() == sentence
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


def test_a_result_that_was_made_anew_is_shown_anew(make_comparison, qtbot, pair):
    comparison = make_comparison()
    show(qtbot, comparison, pair)
    Image.new("RGB", (40, 20), "lime").save(pair[1])
    comparison.show_nothing()
    show(qtbot, comparison, pair)
    assert comparison.view.after.pixelColor(3, 3).name() == "#00ff00"


# Stepping


def test_the_keys_go_on_at_a_picture_that_failed(make_comparison, qtbot, pair):
    comparison = make_comparison()
    steps: list[int] = []
    comparison.step_asked.connect(steps.append)
    show(qtbot, comparison, pair)
    comparison.activateWindow()
    comparison.view.setFocus()
    qtbot.waitUntil(comparison.view.hasFocus)
    comparison.show_problem("bad.png", "This picture could not be converted", "bad.png is empty.")
    focused = QApplication.focusWidget()
    assert focused is not None and comparison.isAncestorOf(focused)
    qtbot.keyClick(focused, Qt.Key.Key_Right)
    assert steps == [1]
    show(qtbot, comparison, pair)
    assert comparison.view.hasFocus()


def test_the_keys_work_from_the_buttons(make_comparison, qtbot, pair):
    comparison = make_comparison()
    steps: list[int] = []
    comparison.step_asked.connect(steps.append)
    show(qtbot, comparison, pair)
    qtbot.keyClick(tool(comparison, "compare_copy"), Qt.Key.Key_PageDown)
    qtbot.keyClick(tool(comparison, "compare_mark"), "t")
    assert steps == [1]
    assert comparison.view.mode == "toggle"


def test_buttons_step_zoom_and_choose_the_mode(make_comparison, qtbot, pair):
    comparison = make_comparison()
    steps: list[int] = []
    modes: list[str] = []
    comparison.step_asked.connect(steps.append)
    comparison.mode_changed.connect(modes.append)
    show(qtbot, comparison, pair)
    for name in ("compare_previous", "compare_next", "compare_side", "compare_zoom_in"):
        tool(comparison, name).click()
    assert steps == [-1, 1]
    assert modes == ["side"]
    assert comparison.view.zoom.scale is not None
    assert tool(comparison, "compare_scale").text() == f"{comparison.view.scale * 100:.0f}%"
    tool(comparison, "compare_scale").click()
    assert comparison.view.zoom.scale is None
    comparison.set_mode("toggle")
    assert tool(comparison, "compare_toggle").isChecked()


def test_buttons_are_of_use_only_where_there_is_something(make_comparison, qtbot, pair):
    comparison = make_comparison()

    def enabled() -> list[bool]:
        return [tool(comparison, f"compare_{name}").isEnabled() for name in ("next", "zoom_in", "side", "copy")]

    assert enabled() == [False, False, False, False]
    comparison.show_files("source.png", pair[0], None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is not None)
    assert enabled() == [True, True, False, False]
    show(qtbot, comparison, pair)
    assert enabled() == [True, True, True, True]
    comparison.show_problem("bad.png", "Failed", "It is empty.")
    assert enabled() == [True, False, False, False]


def test_every_button_has_a_name_and_says_its_key(make_comparison):
    for button in make_comparison().tools.findChildren(QToolButton):
        assert button.accessibleName(), button.objectName()
        assert button.toolTip(), button.objectName()
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_neighbours_are_read_after_the_pair_that_is_shown(make_comparison, qtbot, pair):
    read_paths: list[str] = []

    def read(path: Path, longest: int) -> ShownPicture:
        read_paths.append(path.name)
        return read_shown(path, longest)

    for name in ("next.png", "next result.png", "previous.png"):
        Image.new("RGB", (8, 8)).save(pair[0].with_name(name))
    comparison = make_comparison(read=read, pool=ThreadPoolExecutor(1))
    comparison.set_neighbours(
        (pair[0].with_name("previous.png"), None),
        (pair[0].with_name("next.png"), pair[0].with_name("next result.png")),
    )
    show(qtbot, comparison, pair)
    comparison.wait()
    assert read_paths == ["source.png", "result.png", "next.png", "next result.png", "previous.png"]
    show(qtbot, comparison, (pair[0].with_name("next.png"), pair[0].with_name("next result.png")))
    assert len(read_paths) == 5


# All pixels


def test_an_enlarged_picture_is_read_whole_and_given_up_when_it_is_not(make_comparison, qtbot, large_pair):
    comparison = make_comparison()
    show(qtbot, comparison, large_pair)
    view = comparison.view
    assert (view.before.width(), view.after.width()) == (2560, 2560)
    view.zoom_to_pixels()
    qtbot.waitUntil(lambda: view.has_full)
    view.zoom_to_fit()
    qtbot.waitUntil(lambda: not view.has_full)
    view.zoom_to_pixels()
    qtbot.waitUntil(lambda: view.has_full)
    comparison.show_nothing()
    assert not view.has_full
    show(qtbot, comparison, large_pair)
    assert view.scale == 1
    qtbot.waitUntil(lambda: view.has_full)


# Marks


def test_a_mark_is_asked_for_and_shown_when_it_is_set(make_comparison, qtbot, pair):
    comparison = make_comparison()
    asked: list[None] = []
    comparison.mark_asked.connect(lambda: asked.append(None))
    qtbot.keyClick(comparison.view, "m")
    assert not asked
    show(qtbot, comparison, pair)
    mark = tool(comparison, "compare_mark")
    qtbot.keyClick(comparison.view, "m")
    mark.click()
    assert len(asked) == 2
    assert not mark.isChecked()
    comparison.set_marked(True)
    assert mark.isChecked() and comparison.view.is_marked
    assert any("Un&mark" in action.text() for action in comparison.make_menu().actions())


# Out of the window


def test_a_result_is_dragged_out_by_its_handle(make_comparison, qtbot, pair):
    drags: list[tuple[Path, tuple[int, int]]] = []
    comparison = make_comparison(drag=lambda _source, path, image: drags.append((path, image.size().toTuple())))
    show(qtbot, comparison, pair)
    handle = tool(comparison, "compare_drag")
    qtbot.mousePress(handle, Qt.MouseButton.LeftButton)
    qtbot.mouseMove(handle, handle.rect().center() + QPoint(40, 0))
    qtbot.waitUntil(lambda: bool(drags))
    assert drags == [(pair[1], (40, 20))]


def test_the_result_is_copied_as_a_picture_and_as_a_file(make_comparison, qtbot, pair):
    comparison = make_comparison()
    show(qtbot, comparison, pair)
    qtbot.keyClick(comparison.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    data = QGuiApplication.clipboard().mimeData()
    assert local_paths(data) == [pair[1]]
    assert QImage(data.imageData()).pixelColor(3, 3).name() == "#0000ff"
    assert "Copied" in comparison.view.accessibleDescription()


def test_all_pixels_are_copied_also_of_a_result_that_is_shown_smaller(make_comparison, qtbot, large_pair):
    QGuiApplication.clipboard().setText("before")
    comparison = make_comparison()
    show(qtbot, comparison, large_pair)
    comparison.copy_picture()
    qtbot.waitUntil(lambda: QGuiApplication.clipboard().mimeData().hasImage())
    assert QGuiApplication.clipboard().image().size().toTuple() == (2800, 56)
    qtbot.waitUntil(lambda: not comparison.view.has_full)


def test_without_a_result_nothing_is_copied_or_dragged(make_comparison, qtbot, pair):
    QGuiApplication.clipboard().setText("as it was")
    comparison = make_comparison(drag=lambda *_: pytest.fail("It was dragged."))
    comparison.show_files("source.png", pair[0], None, NAMES)
    qtbot.waitUntil(lambda: comparison.view.before is not None)
    comparison.copy_picture()
    comparison.drag_result()
    assert QGuiApplication.clipboard().text() == "as it was"


def test_the_menu_copies_the_path_and_shows_the_folder(make_comparison, qtbot, pair, monkeypatch):
    opened: list[Path] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(Path(url.toLocalFile())) or True)
    comparison = make_comparison()
    show(qtbot, comparison, pair)
    copy, path, folder, _line, mark = comparison.make_menu().actions()
    assert copy.isEnabled()
    path.trigger()
    assert QGuiApplication.clipboard().text() == str(pair[1])
    folder.trigger()
    assert opened == [pair[1].parent]
    with qtbot.waitSignal(comparison.mark_asked):
        mark.trigger()


# The whole screen


def test_the_whole_screen_is_used_and_given_back(make_comparison, qtbot, pair):
    comparison = make_comparison()
    show(qtbot, comparison, pair)
    steps: list[int] = []
    comparison.step_asked.connect(steps.append)
    qtbot.keyClick(comparison.view, Qt.Key.Key_F11)
    window = comparison.full_window
    assert window is not None and window.isFullScreen()
    assert comparison.view.window() is window
    qtbot.keyClick(comparison.view, Qt.Key.Key_Right)
    assert steps == [1]
    qtbot.keyClick(comparison.view, Qt.Key.Key_Escape)
    assert comparison.full_window is None
    assert comparison.view.window() is comparison
    assert comparison.view.after is not None
    tool(comparison, "compare_full").click()
    tool(comparison, "compare_full").click()
    assert comparison.full_window is None
    qtbot.mouseDClick(comparison.tools, Qt.MouseButton.LeftButton, pos=QPoint(comparison.tools.width() // 3, 2))
    assert comparison.full_window is not None
    comparison.full_window.close()
    assert comparison.view.window() is comparison
