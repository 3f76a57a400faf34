from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel

from cyclegan_desktop.conversion.drop_area import DropArea

BOTH = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction


@pytest.fixture
def area(qtbot) -> DropArea:
    made = DropArea(QLabel("contents"))
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show()
    return made


def mime_of(*urls: QUrl) -> QMimeData:
    mime = QMimeData()
    mime.setUrls(list(urls))
    return mime


def drag(area: DropArea, mime: QMimeData) -> QDragEnterEvent:
    event = QDragEnterEvent(QPoint(50, 50), BOTH, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    event.setDropAction(Qt.DropAction.MoveAction)
    event.ignore()
    QApplication.sendEvent(area, event)
    return event


def drop(area: DropArea, mime: QMimeData) -> QDropEvent:
    event = QDropEvent(QPointF(50, 50), BOTH, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    event.setDropAction(Qt.DropAction.MoveAction)
    event.ignore()
    QApplication.sendEvent(area, event)
    return event


def test_dropped_files_and_folders_are_handed_over_in_order(area, qtbot, tmp_path: Path):
    file = tmp_path / "100% <b>ü.png"
    file.touch()
    mime = mime_of(QUrl.fromLocalFile(str(file)), QUrl.fromLocalFile(str(tmp_path)))
    assert drag(area, mime).isAccepted()
    with qtbot.waitSignal(area.dropped) as dropped:
        assert drop(area, mime).isAccepted()
    assert dropped.args == [[file, tmp_path]]


def test_a_drop_never_moves_the_pictures(area, tmp_path: Path):
    mime = mime_of(QUrl.fromLocalFile(str(tmp_path)))
    assert drag(area, mime).dropAction() == Qt.DropAction.CopyAction
    assert drop(area, mime).dropAction() == Qt.DropAction.CopyAction


def test_what_is_no_file_is_refused(area):
    dropped: list[object] = []
    area.dropped.connect(dropped.append)
    text = QMimeData()
    text.setText("words")
    for mime in (mime_of(QUrl("https://example.org/a.png")), text):
        assert not drag(area, mime).isAccepted()
        assert not drop(area, mime).isAccepted()
    assert dropped == []


def test_a_drag_over_it_is_seen_until_it_leaves(area, tmp_path: Path):
    before = area.grab().toImage()
    drag(area, mime_of(QUrl.fromLocalFile(str(tmp_path))))
    assert area.grab().toImage() != before
    QApplication.sendEvent(area, QDragLeaveEvent())
    assert area.grab().toImage() == before


def test_a_click_anywhere_on_the_invitation_asks_for_files(area, qtbot):
    invitation = area.findChild(object, "drop_invitation")
    with qtbot.waitSignal(area.files_asked):
        qtbot.mouseClick(invitation, Qt.MouseButton.LeftButton, pos=QPoint(20, 20))
    with qtbot.waitSignal(area.folder_asked):
        qtbot.mouseClick(area.findChild(object, "invite_folder"), Qt.MouseButton.LeftButton)


def test_the_contents_take_the_place_of_the_invitation(area):
    invitation = area.findChild(object, "drop_invitation")
    assert invitation.isVisible()
    area.set_inviting(False)
    assert not invitation.isVisible()
