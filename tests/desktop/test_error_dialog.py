from __future__ import annotations

import sys
import threading

import pytest
from PySide6.QtCore import Qt, QThread
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QPushButton, QWidget

from cyclegan_desktop import error_dialog
from cyclegan_desktop.error_dialog import ErrorDialog, ErrorReporter


@pytest.fixture
def reporter(qtbot):
    reporter = ErrorReporter()
    yield reporter
    reporter.uninstall()
    if reporter.dialog is not None:
        reporter.dialog.close()


def raised(message: str) -> tuple[type[BaseException], BaseException, object]:
    try:
        raise ValueError(message)
    except ValueError:
        return sys.exc_info()  # type: ignore[return-value]


def details(dialog: ErrorDialog) -> str:
    return dialog.findChild(QPlainTextEdit, "error_details").toPlainText()


def test_an_exception_is_shown_with_all_of_its_text(reporter, qtbot, caplog):
    reporter.install()
    sys.excepthook(*raised("<img src=x> is no number"))
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    assert reporter.dialog.isVisible()
    assert "ValueError: <img src=x> is no number" in details(reporter.dialog)
    assert "test_error_dialog.py" in details(reporter.dialog)
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in reporter.dialog.findChildren(QLabel))
    assert "is no number" in caplog.text


def test_the_details_can_be_copied(reporter, qtbot):
    reporter.install()
    sys.excepthook(*raised("copy me"))
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    copy = reporter.dialog.findChild(QPushButton, "copy_details")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert "ValueError: copy me" in QGuiApplication.clipboard().text()


def test_an_exception_in_another_thread_is_shown_by_the_one_with_the_windows(reporter, qtbot):
    reporter.install()
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert reporter.dialog is None, "nothing is shown from within the other thread"
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    assert reporter.dialog.thread() == QThread.currentThread()
    assert "ZeroDivisionError" in details(reporter.dialog)


def test_a_storm_of_exceptions_is_one_dialog(reporter, qtbot):
    reporter.install()
    for number in range(500):
        sys.excepthook(*raised(f"number {number}"))
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    QApplication.processEvents()
    dialogs = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, ErrorDialog)]
    assert len(dialogs) == 1
    assert "number 0" in details(dialogs[0])
    assert any("499 more" in label.text() for label in dialogs[0].findChildren(QLabel))


def test_the_same_exception_does_not_come_back_the_moment_it_is_closed(reporter, qtbot, monkeypatch):
    reporter.install()
    same = raised("each frame")
    sys.excepthook(*same)
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    reporter.dialog.accept()
    sys.excepthook(*same)
    QApplication.processEvents()
    assert reporter.dialog is None
    sys.excepthook(*raised("another one"))
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    reporter.dialog.accept()
    monkeypatch.setattr(error_dialog, "_QUIET_SECONDS", 0.0)
    sys.excepthook(*raised("another one"))
    qtbot.waitUntil(lambda: reporter.dialog is not None)


def test_a_dialog_that_went_away_with_its_window_makes_room_for_the_next(reporter, qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    reporter.install()
    sys.excepthook(*raised("first"))
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    first = reporter.dialog
    first.setParent(None)
    first.deleteLater()
    QApplication.sendPostedEvents(first)
    qtbot.waitUntil(lambda: not any(isinstance(w, ErrorDialog) for w in QApplication.topLevelWidgets()))
    sys.excepthook(*raised("second"))
    qtbot.waitUntil(lambda: reporter.dialog is not first)
    assert "second" in details(reporter.dialog)


def test_a_slot_that_raises_is_shown_and_the_app_goes_on(reporter, qtbot):
    reporter.install()
    button = QPushButton("x")
    qtbot.addWidget(button)
    button.clicked.connect(lambda: {}[1])
    button.click()
    button.click()
    qtbot.waitUntil(lambda: reporter.dialog is not None)
    assert "KeyError" in details(reporter.dialog)


def test_ctrl_c_is_no_fault(reporter, qtbot, monkeypatch):
    codes = []
    monkeypatch.setattr(QApplication, "exit", codes.append)
    reporter.install()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    QApplication.processEvents()
    assert codes == [130]
    assert reporter.dialog is None
