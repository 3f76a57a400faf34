from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, QRect, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.main_window import MainWindow, Page
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.page import TrainingPage


def page_with_a_field(name: str) -> QWidget:
    page = QWidget()
    page.setObjectName(name)
    field = QLineEdit()
    field.setObjectName(f"{name}_field")
    QVBoxLayout(page).addWidget(field)
    return page


@pytest.fixture
def make_window(qtbot, settings):
    def make(settings: Settings = settings) -> MainWindow:
        pages = (page_with_a_field(name) for name in ("train_page", "convert_page", "models_page"))
        window = MainWindow(settings)
        window.set_pages(*pages)
        # Whatever the test leaves running, its window can close.
        qtbot.addWidget(window, before_close_func=lambda window: (window.set_training(False), window.stay_open()))
        return window

    return make


@pytest.fixture
def window(make_window, qtbot):
    window = make_window()
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    return window


def mime_of(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def drag(window: QWidget, mime: QMimeData) -> QDragEnterEvent:
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDragEnterEvent(window.rect().center(), Qt.DropAction.MoveAction, mime, buttons, keys)
    QApplication.sendEvent(window, event)
    return event


def drop(window: QWidget, mime: QMimeData) -> QDropEvent:
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    actions = Qt.DropAction.MoveAction | Qt.DropAction.CopyAction
    event = QDropEvent(QPointF(window.rect().center()), actions, mime, buttons, keys)
    QApplication.sendEvent(window, event)
    return event


def question(window: MainWindow) -> QMessageBox:
    box = window.findChild(QMessageBox, "stop_question")
    assert box is not None
    return box


def test_pages_are_reached_by_keyboard(window, qtbot):
    for key, page in ((Qt.Key.Key_2, Page.CONVERT), (Qt.Key.Key_3, Page.MODELS), (Qt.Key.Key_1, Page.TRAIN)):
        with qtbot.waitSignal(window.page_shown) as shown:
            qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        assert (window.page, shown.args) == (page, [page])


def test_pages_are_reached_by_mouse(window, qtbot):
    for page in (Page.MODELS, Page.CONVERT, Page.TRAIN):
        qtbot.mouseClick(window.findChild(QWidget, f"show_{page.name.lower()}"), Qt.MouseButton.LeftButton)
        assert window.page == page
        assert window.findChild(QWidget, f"{page.name.lower()}_page").isVisible()


def test_the_window_fits_a_small_screen(window):
    assert window.minimumSizeHint().width() <= 1000
    assert window.minimumWidth() <= 1000
    assert window.minimumHeight() <= 640
    window.resize(1000, 640)
    assert (window.width(), window.height()) == (1000, 640)


def test_a_drag_of_files_shows_where_to_let_go_and_the_drop_hands_them_over(window, qtbot, tmp_path):
    curtain = window.findChild(QWidget, "curtain")
    assert not curtain.isVisible()
    mime = mime_of(tmp_path / "a.png", tmp_path / "b")
    assert drag(window, mime).isAccepted()
    assert curtain.isVisible()
    assert curtain.size() == window.size()
    with qtbot.waitSignal(window.files_dropped) as dropped:
        event = drop(window, mime)
    assert dropped.args == [[tmp_path / "a.png", tmp_path / "b"]]
    assert event.dropAction() == Qt.DropAction.CopyAction, "a move would delete the user's files"
    assert not curtain.isVisible()


def test_a_drag_of_weights_of_the_reference_says_what_will_be_done_with_them(window, tmp_path):
    drag(window, mime_of(tmp_path / "latest_net_G_A.pth"))
    assert "to be imported" in window.findChild(QWidget, "curtain")._text
    QApplication.sendEvent(window, QDragLeaveEvent())
    drag(window, mime_of(tmp_path / "latest_net_G_A.pth", tmp_path / "a.png"))
    assert "to be imported" not in window.findChild(QWidget, "curtain")._text


def test_a_drag_that_leaves_leaves_nothing(window, tmp_path):
    drag(window, mime_of(tmp_path))
    QApplication.sendEvent(window, QDragLeaveEvent())
    assert not window.findChild(QWidget, "curtain").isVisible()


def test_a_drag_of_text_is_refused(window):
    mime = QMimeData()
    mime.setText("not a file")
    assert not drag(window, mime).isAccepted()
    assert not window.findChild(QWidget, "curtain").isVisible()


def test_a_file_dropped_on_a_line_edit_goes_to_the_window(window):
    assert not any(edit.acceptDrops() for edit in window.findChildren(QLineEdit))


def test_ten_thousand_files_are_handed_over(window, qtbot, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(10_000)]
    mime = mime_of(*paths)
    drag(window, mime)
    with qtbot.waitSignal(window.files_dropped) as dropped:
        drop(window, mime)
    assert dropped.args == [paths]


def test_the_title_tells_what_runs(window, qtbot):
    assert window.windowTitle() == "CycleGAN Desktop"
    window.set_training(True)
    window.set_training_progress("Apples", "<b>Oranges</b>", 0.15)
    qtbot.waitUntil(lambda: window.windowTitle() == "Training Apples and <b>Oranges</b>, 15% - CycleGAN Desktop")
    window.set_conversion(True)
    window.set_conversion_progress(3, 12)
    qtbot.waitUntil(lambda: window.windowTitle().endswith("15% - Converting, 3 of 12 - CycleGAN Desktop"))
    window.set_watching(22)
    qtbot.waitUntil(lambda: window.windowTitle().endswith("15% - Watching, 22 done - CycleGAN Desktop"))
    window.set_training(False)
    window.set_conversion(False)
    assert window.windowTitle() == "CycleGAN Desktop"


def test_the_title_changes_a_few_times_a_second_and_ends_with_the_last(window, qtbot):
    titles = []
    window.windowTitleChanged.connect(titles.append)
    for done in range(10_000):
        window.set_conversion_progress(done + 1, 10_000)
    qtbot.waitUntil(lambda: bool(titles))
    assert titles == ["Converting, 10,000 of 10,000 - CycleGAN Desktop"]


def test_an_idle_window_closes_without_a_question(window, qtbot):
    with qtbot.waitSignal(window.closed):
        window.close()
    assert not window.isVisible()


def test_closing_while_training_asks_and_keeps_running_unless_told(window, qtbot):
    stops = []
    window.stop_requested.connect(lambda: stops.append(True))
    window.set_training(True)
    assert not window.close()
    box = question(window)
    assert box.textFormat() == Qt.TextFormat.PlainText
    assert box.text() == "A training is running. Stop it and save, then close?"
    qtbot.keyClick(box, Qt.Key.Key_Escape)
    assert window.isVisible()
    assert not stops


def test_closing_amid_both_says_what_becomes_of_each(window):
    window.set_training(True)
    window.set_conversion(True)
    window.close()
    box = question(window)
    assert "resume the training later" in box.informativeText()
    assert "the rest is offered when the app starts again" in box.informativeText()
    box.reject()


def test_asked_twice_there_is_one_question(window):
    window.set_training(True)
    window.close()
    window.close()
    assert len(window.findChildren(QMessageBox)) == 1
    question(window).reject()


@pytest.mark.parametrize("kind", ["training", "conversion", "both"])
def test_stop_and_close_waits_until_everything_has_stopped(window, qtbot, kind):
    if kind != "conversion":
        window.set_training(True)
    if kind != "training":
        window.set_conversion(True)
    window.close()
    with qtbot.waitSignal(window.stop_requested):
        qtbot.mouseClick(question(window).findChild(QPushButton, "stop_and_close"), Qt.MouseButton.LeftButton)
    assert window.isVisible()
    assert "Stopping" in window.windowTitle()
    window.close()
    assert window.isVisible(), "a second click does not close before the saving is done"
    with qtbot.waitSignal(window.closed):
        window.set_conversion(False)
        window.set_training(False)
    assert not window.isVisible()


def test_a_failure_to_save_keeps_the_window_open_to_read_it(window, qtbot):
    window.set_training(True)
    window.stop_and_close()
    window.set_training(False)
    window.stay_open()
    QApplication.processEvents()
    assert window.isVisible()
    assert window.windowTitle() == "CycleGAN Desktop"
    with qtbot.waitSignal(window.closed):
        window.close()


def test_size_and_place_are_remembered(make_window, qtbot, settings):
    first = make_window()
    with qtbot.waitExposed(first):
        first.show()
    first.setGeometry(30, 40, 1010, 650)
    first.close()
    second = make_window(Settings.load(settings.path))
    # The off-screen screen is narrower than the window, so its width says nothing.
    assert (second.geometry().top(), second.height()) == (40, 650)
    assert second.height() != make_window(Settings(settings.path)).height()


@pytest.mark.parametrize("geometry", ["no base64!", "AAAA", "äöü"])
def test_damaged_geometry_is_no_obstacle(make_window, settings, geometry):
    settings.window_geometry = geometry
    assert make_window(settings).width() >= 960


def test_the_first_paint_is_told_once(make_window, qtbot):
    window = make_window()
    painted = []
    window.painted.connect(lambda: painted.append(True))
    with qtbot.waitSignal(window.painted):
        window.show()
    window.update()
    QApplication.processEvents()
    window.hide()
    window.show()
    QApplication.processEvents()
    assert painted == [True]


def test_about_tells_where_the_log_is(window, qtbot, own_folders):
    qtbot.mouseClick(window.findChild(QWidget, "show_about"), Qt.MouseButton.LeftButton)
    dialog = window.findChild(QWidget, "about_dialog")
    assert dialog.isVisible()
    from PySide6.QtWidgets import QLabel

    assert any(str(own_folders) in label.text() for label in dialog.findChildren(QLabel))
    dialog.close()


def test_unfinished_conversions_are_counted_on_the_button_of_their_page(window):
    convert = window.findChild(QToolButton, "show_convert")
    before = convert.grab().toImage()
    tooltip = convert.toolTip()
    window.set_unfinished(1)
    assert convert.toolTip().startswith("1 conversion was not finished")
    assert convert.accessibleDescription() == "1 conversion was not finished"
    assert convert.grab().toImage() != before
    window.set_unfinished(12)
    assert convert.accessibleDescription() == "12 conversions were not finished"
    window.set_unfinished(0)
    assert (convert.toolTip(), convert.accessibleDescription()) == (tooltip, "")
    assert convert.grab().toImage() == before


def test_another_page_has_the_focus_at_once(window, qtbot):
    qtbot.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    page = window.findChild(QWidget, "convert_page")
    assert QApplication.focusWidget() in (page, *page.findChildren(QWidget))


def test_what_the_first_page_says_is_there_before_the_pages_and_makes_room_for_them(qtbot, settings):
    window = MainWindow(settings)
    qtbot.addWidget(window)
    with qtbot.waitSignal(window.welcomed):
        window.show_welcome()
        window.show()
    start = window.findChild(QPushButton, "empty_state_action")
    assert start.isVisible()
    with qtbot.waitSignal(window.training_wanted):
        qtbot.mouseClick(start, Qt.MouseButton.LeftButton)
    window.show_page(Page.CONVERT)
    assert not start.isVisible(), "it belongs to another page"
    with qtbot.waitSignal(window.furnished):
        window.set_pages(*(page_with_a_field(name) for name in ("train_page", "convert_page", "models_page")))
    assert window.findChild(QWidget, "convert_page").isVisible()


def test_the_first_page_stands_where_it_was_said_before(qtbot, settings):
    def places(window: MainWindow) -> list[QRect]:
        shown = [widget for widget in window.findChildren(QWidget) if widget.isVisible()]
        return [
            QRect(widget.mapTo(window, widget.rect().topLeft()), widget.size())
            for widget in shown
            if isinstance(widget, QPushButton) or (isinstance(widget, QLabel) and widget.pixmap().isNull())
        ]

    window = MainWindow(settings)
    qtbot.addWidget(window)
    with qtbot.waitSignal(window.welcomed):
        window.show_welcome()
        window.show()
    before = places(window)
    with qtbot.waitSignal(window.furnished):
        window.set_pages(TrainingPage(), QWidget(), QWidget())
    assert len(before) == 3
    assert places(window) == before
