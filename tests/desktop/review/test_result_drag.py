from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QDrag, QImage
from PySide6.QtWidgets import QApplication, QWidget

from cyclegan_desktop.drops import local_paths
from cyclegan_desktop.review.result_drag import DragHandle, result_data, start_drag


@pytest.fixture
def picture() -> QImage:
    image = QImage(400, 200, QImage.Format.Format_RGB888)
    image.fill(QColor("red"))
    return image


@pytest.mark.parametrize("name", ["a.png", "ä ö%20#?.png", "<b>x</b>.png", "line\nbreak.png"])
def test_another_program_gets_the_address_of_the_file(tmp_path: Path, name):
    data = result_data(tmp_path / name)
    assert data.hasUrls()
    assert [Path(url.toLocalFile()) for url in data.urls()] == [tmp_path / name]
    assert local_paths(data) == [tmp_path / name]
    assert not data.hasImage()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="Names are text there.")
def test_a_name_that_is_no_text_arrives_as_it_is(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    assert local_paths(result_data(path)) == [path]


def test_a_relative_path_becomes_a_whole_one(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert local_paths(result_data(Path("a.png"))) == [tmp_path / "a.png"]


def test_the_picture_goes_along_where_it_is_given(tmp_path: Path, picture):
    data = result_data(tmp_path / "a.png", picture)
    assert data.hasImage() and data.hasUrls()
    assert QImage(data.imageData()).size() == picture.size()


def test_a_drag_is_a_copy_with_the_picture_at_the_pointer(qtbot, monkeypatch, tmp_path: Path, picture):
    drags: list[tuple] = []

    def execute(drag: QDrag, *actions: Qt.DropAction) -> Qt.DropAction:
        drags.append((actions, local_paths(drag.mimeData()), drag.pixmap().size().toTuple()))
        return Qt.DropAction.CopyAction

    monkeypatch.setattr(QDrag, "exec", execute)
    widget = QWidget()
    qtbot.addWidget(widget)
    start_drag(widget, tmp_path / "a.png", picture)
    copy = Qt.DropAction.CopyAction
    assert drags == [((copy, copy), [tmp_path / "a.png"], (128, 64))]


def test_the_handle_is_dragged_and_clicked(qtbot):
    handle = DragHandle()
    qtbot.addWidget(handle)
    handle.resize(30, 30)
    handle.show()
    dragged: list[None] = []
    clicked: list[None] = []
    handle.drag_asked.connect(lambda: dragged.append(None))
    handle.clicked.connect(lambda: clicked.append(None))
    left = Qt.MouseButton.LeftButton
    qtbot.mouseClick(handle, left)
    assert (len(dragged), len(clicked)) == (0, 1)
    qtbot.mousePress(handle, left, pos=QPoint(15, 15))
    far = QApplication.startDragDistance() + 1
    qtbot.mouseMove(handle, QPoint(15 + far, 15))
    qtbot.waitUntil(lambda: len(dragged) == 1)
    qtbot.mouseMove(handle, QPoint(15 + 3 * far, 15))
    qtbot.mouseRelease(handle, left, pos=QPoint(15 + 3 * far, 15))
    assert (len(dragged), len(clicked)) == (1, 1)
    assert not handle.isDown()
