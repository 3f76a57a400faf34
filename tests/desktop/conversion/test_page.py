from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QCheckBox, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from cyclegan_desktop.conversion.batches import Progress

TAB, BACKTAB = Qt.Key.Key_Tab, Qt.Key.Key_Backtab


@pytest.fixture
def window(qtbot, page) -> QWidget:
    """A window with the page below a button, as with the sidebar in the app."""
    window = QWidget()
    train = QPushButton("Train")
    train.setObjectName("show_train")
    layout = QVBoxLayout(window)
    layout.addWidget(train)
    layout.addWidget(page)
    qtbot.addWidget(window)
    window.resize(1240, 760)
    window.show()
    window.activateWindow()
    qtbot.waitActive(window)
    return window


def focus() -> str:
    widget = QApplication.focusWidget()
    return "" if widget is None else widget.objectName()


def press(qtbot, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    qtbot.keyClick(QApplication.focusWidget(), key, modifiers)


def add(qtbot, controller, *paths: Path) -> None:
    controller.add_sources(list(paths))
    qtbot.waitUntil(lambda: not controller.is_looking)


# The focus


def test_the_page_hands_the_focus_to_its_first_field(window, page, controller):
    page.setFocus()
    assert focus() == "convert_model"


@pytest.mark.parametrize("key", [TAB, BACKTAB])
def test_the_tab_key_goes_once_round_the_whole_page(window, page, controller, pictures, qtbot, key):
    add(qtbot, controller, pictures)
    controller.show_comparison(0)
    qtbot.waitUntil(lambda: page.comparison.view.before is not None)
    page.setFocus()
    reached = []
    for _ in range(60):
        press(qtbot, key)
        reached.append(focus())
        if reached[-1] == "convert_model":
            break
    on_the_way = ["convert_more", "convert_add_files", "file_list", "compare_view", "convert_button", "show_train"]
    if key == BACKTAB:
        on_the_way.reverse()
    assert [name for name in reached if name in on_the_way] == on_the_way
    assert reached[-1] == "convert_model"


def test_cancel_and_pause_with_the_keyboard_leave_the_focus_on_the_page(
    window, page, controller, pictures, converter, qtbot
):
    add(qtbot, controller, pictures)
    converter.hold_before = "a.png"
    page.findChild(QPushButton, "convert_button").setFocus()
    press(qtbot, Qt.Key.Key_Space)
    qtbot.waitUntil(converter.waiting.is_set)
    assert focus() == "convert_button"
    page.findChild(QPushButton, "convert_pause").setFocus()
    press(qtbot, Qt.Key.Key_Space)
    # Not the button beside it: another press of the same key would cancel everything.
    assert focus() == "file_list"
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    converter.waiting.clear()
    converter.go.clear()
    controller.resume()
    qtbot.waitUntil(converter.waiting.is_set)
    page.findChild(QPushButton, "convert_button").setFocus()
    press(qtbot, Qt.Key.Key_Space)
    assert focus() == "file_list"
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert page.isAncestorOf(QApplication.focusWidget())


@pytest.mark.parametrize("way", ["button", "key", "drop"])
def test_a_new_batch_leaves_the_focus_on_the_page(window, page, controller, pictures, converter, qtbot, way):
    add(qtbot, controller, pictures)
    if way == "button":
        page.findChild(QToolButton, "convert_new").setFocus()
        press(qtbot, Qt.Key.Key_Space)
    elif way == "key":
        page.list.setFocus()
        press(qtbot, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    else:
        converter.hold_before = "a.png"
        controller.start()
        qtbot.waitUntil(converter.waiting.is_set)
        page.findChild(QPushButton, "convert_button").setFocus()
        page.drop_area.dropped.emit([pictures / "a.png"])
    assert len(controller.batches) == 2
    qtbot.waitUntil(lambda: not controller.is_looking)
    assert page.isAncestorOf(QApplication.focusWidget())
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)
    assert page.isAncestorOf(QApplication.focusWidget())


def test_focus_that_is_parked_on_the_list_chooses_no_row(window, page, controller, pictures, converter, qtbot):
    add(qtbot, controller, pictures)
    page.setFocus()
    converter.hold_before = "c.png"
    controller.start()
    qtbot.waitUntil(converter.waiting.is_set)
    assert focus() == "file_list"
    # Results go on showing themselves.
    qtbot.waitUntil(lambda: page.comparison.name == "b.gif")
    with qtbot.waitSignal(controller.ended):
        converter.go.set()


def test_dismissing_a_message_leaves_the_focus_on_the_page(window, page, controller, qtbot):
    page.show_notice("The moon is full.")
    page.findChild(QToolButton, "dismiss_message").setFocus()
    press(qtbot, Qt.Key.Key_Space)
    assert page.messages.texts == []
    assert page.isAncestorOf(QApplication.focusWidget())


def test_leaving_the_page_takes_the_focus_along(window, page, controller):
    page.setFocus()
    page.hide()
    assert focus() == "show_train"


# What is said


@pytest.mark.parametrize("state", ["idle", "looking", "waiting", "held", "running", "pausing", "paused", "stopping"])
def test_each_letter_leads_to_one_thing(window, page, controller, pictures, qtbot, state):
    add(qtbot, controller, pictures)
    page.set_state(state)
    page.set_failed_count(2, can_retry=state == "idle")
    page.set_marked_count(1)
    page.set_can_open_output(True)
    page.set_can_report(True)
    page.offer_again(2, lambda: None)
    page.offer_unfinished([("Photos", 1, 2)], lambda: None, lambda: None)
    page.options.size_hint.show_advice(Path("a.png"), (4000, 3000), 256, long_skip=True)
    letters: Counter[str] = Counter()
    for widget in page.findChildren(QWidget):
        if not isinstance(widget, QPushButton | QCheckBox | QLabel) or not widget.isVisible():
            continue
        if (widget.buddy() if isinstance(widget, QLabel) else widget) is None or not widget.isEnabled():
            continue
        letters.update(re.findall("&([^&])", widget.text().replace("&&", "").lower()))
    assert letters["u"] or state in ("idle", "looking", "pausing", "stopping")
    assert [letter for letter, times in letters.items() if times > 1] == []


def test_what_is_paused_before_it_began_does_not_start(window, page):
    page.set_starting()
    assert page.findChild(QLabel, "convert_status").text() == "Starting"
    page.set_state("paused")
    page.set_starting()
    assert page.findChild(QLabel, "convert_status").text() == "Paused"
    assert not page.findChild(QWidget, "convert_progress").isVisible()


@pytest.mark.parametrize(
    ("engines", "words"),
    [((), ""), (("OpenVINO",), "by OpenVINO"), (("OpenVINO", "PyTorch"), "by OpenVINO and PyTorch")],
)
def test_during_a_conversion_and_after_it_is_said_what_translates(page, engines, words):
    progress = Progress(converted=4, skipped=0, failed=0, canceled=0, total=9, engines=engines)
    page.set_state("running")
    page.set_progress(progress)
    status = page.findChild(QLabel, "convert_status")
    assert ("by" in status.text()) == bool(words) and words in status.text()
    page.set_state("idle")
    page.set_summary(progress)
    assert ("by" in status.text()) == bool(words) and words in status.text()


def test_what_is_paused_says_no_more_than_is_known(page):
    page.set_state("paused")
    page.set_progress(Progress(converted=4, skipped=0, failed=0, canceled=0, total=9))
    assert "paused; the model is unloaded" in page.findChild(QLabel, "convert_status").text()
