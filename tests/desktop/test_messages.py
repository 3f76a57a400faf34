from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QToolButton

from cyclegan_desktop.messages import MessageArea


@pytest.fixture
def messages(qtbot):
    made = MessageArea()
    qtbot.addWidget(made)
    return made


def test_a_message_stands_until_it_is_dismissed(messages, qtbot):
    messages.add("One.")
    messages.add("Two.", is_error=True)
    messages.add("Two.", is_error=True)
    assert messages.texts == ["One.", "Two."]
    assert messages.isVisible()
    for _ in range(2):
        close = next(b for b in messages.findChildren(QToolButton, "dismiss_message") if b.isVisible())
        qtbot.keyClick(close, Qt.Key.Key_Space)
    assert messages.texts == []
    assert not messages.isVisible()


def test_many_messages_leave_room_for_the_pictures(messages):
    for number in range(50):
        messages.add(f"Message {number}.")
    assert messages.texts == ["Message 47.", "Message 48.", "Message 49."]


def test_a_message_is_shown_as_it_is_typed_and_widens_no_window(messages):
    messages.add(f"<b>{'x' * 250}</b>.png is empty.")
    label = next(label for label in messages.findChildren(QLabel) if label.text())
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert messages.minimumSizeHint().width() < 400


def test_the_details_of_a_bug_can_be_copied(messages):
    messages.add("Something unexpected happened.", is_error=True, details="Traceback: boom")
    messages.findChild(QPushButton, "copy_details").click()
    assert QApplication.clipboard().text() == "Something unexpected happened.\n\nTraceback: boom"
