from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.film_work import PictureChoice
from cyclegan_desktop.training.pictures_dialog import PicturesDialog

FILES = tuple(Path(f"/pictures/{n}.png") for n in range(7))


@pytest.fixture
def dialog(qtbot: QtBot) -> Iterator[PicturesDialog]:
    made = PicturesDialog(
        ("<b>Apples</b>", "Oranges"),
        (PictureChoice(FILES[:4], FILES, 0), PictureChoice(FILES[:1], FILES[:3], 12)),
        is_training=False,
    )
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()


def _texts(dialog: PicturesDialog) -> list[str]:
    return [label.text() for label in dialog.findChildren(QLabel)]


def test_the_pictures_shown_now_are_chosen_and_ticked(dialog: PicturesDialog) -> None:
    first = dialog._sides[0]
    assert first.chosen == FILES[:4]
    ticked = [first.list.item(row).checkState() == Qt.CheckState.Checked for row in range(7)]
    assert ticked == [True] * 4 + [False] * 3
    assert "4 of at most 4 chosen" in _texts(dialog)


def test_a_fifth_picture_is_refused_with_a_sentence(dialog: PicturesDialog) -> None:
    first = dialog._sides[0]
    first.list.item(6).setSelected(True)
    assert first.chosen == FILES[:4]
    assert "No more than 4: take one away first." in _texts(dialog)


def test_a_side_needs_a_picture(dialog: PicturesDialog) -> None:
    use = dialog.findChild(QPushButton, "use_pictures")
    dialog._sides[1].list.item(0).setSelected(False)
    assert not use.isEnabled()
    assert any(text.startswith("Choose at least one.") for text in _texts(dialog))
    dialog._sides[1].list.item(2).setSelected(True)
    assert use.isEnabled()


def test_more_than_can_be_listed_is_said(dialog: PicturesDialog) -> None:
    assert "1 of at most 4 chosen 12 more are not listed: browse for them." in _texts(dialog)


def test_the_space_bar_chooses(dialog: PicturesDialog, qtbot: QtBot) -> None:
    second = dialog._sides[1]
    second.list.setCurrentRow(0)
    second.list.setFocus()
    second.list.selectionModel().setCurrentIndex(
        second.list.model().index(1, 0), second.list.selectionModel().SelectionFlag.NoUpdate
    )
    qtbot.keyClick(second.list, Qt.Key.Key_Space)
    assert FILES[1] in second.chosen


def test_thumbnails_are_asked_for_with_the_chosen_ones_first(dialog: PicturesDialog) -> None:
    dialog._sides[0].list.item(0).setSelected(False)
    assert dialog.without_thumbnail()[0] == FILES[1]
    assert dialog.without_thumbnail()[3] == FILES[0]
    dialog.show_thumbnail(FILES[1], np.zeros((8, 8, 3), np.uint8))
    assert FILES[1] not in dialog.without_thumbnail()


def test_a_picture_that_cannot_be_read_cannot_be_chosen(dialog: PicturesDialog) -> None:
    dialog.show_thumbnail(FILES[0], None)
    assert dialog._sides[0].chosen == FILES[1:4]
    assert not dialog._sides[0].list.item(0).flags() & Qt.ItemFlag.ItemIsEnabled


def test_files_browsed_for_are_added_and_chosen(dialog: PicturesDialog, qtbot: QtBot) -> None:
    side = dialog._sides[1]
    with qtbot.waitSignal(dialog.thumbnails_asked):
        side._take_files(["/elsewhere/new.png", str(FILES[2])])
    assert side.chosen == (FILES[0], FILES[2], Path("/elsewhere/new.png"))
    assert Path("/elsewhere/new.png") in dialog.without_thumbnail()


def test_agreeing_tells_both_sides(dialog: PicturesDialog, qtbot: QtBot) -> None:
    with qtbot.waitSignal(dialog.chosen) as chosen:
        dialog.findChild(QPushButton, "use_pictures").click()
    assert chosen.args == [FILES[:4], FILES[:1]]


def test_names_are_shown_as_they_are_typed(dialog: PicturesDialog) -> None:
    assert "<b>Apples</b>" in _texts(dialog)
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in dialog.findChildren(QLabel) if label.text())
