"""The first page of the wizard: two folders and their names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QLabel,
    QToolButton,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training import folder_look
from cyclegan_desktop.training.wizard import free_run_folder
from engine.data.folders import FolderContent
from tests.desktop.training.wizards import (
    MakePictures,
    Wizard,
    drop,
)


@pytest.mark.parametrize("side", ["A", "B"])
def test_a_folder_of_trainA_and_trainB_dropped_on_either_well_fills_both(
    wizard: Wizard, tmp_path: Path, make_pictures: MakePictures, qtbot: QtBot, side: str
) -> None:
    root = tmp_path / "apple2orange"
    for name, count in (("trainA", 9), ("trainB", 4), ("testA", 2), ("testB", 2)):
        make_pictures(root / name, count)
    drop(wizard.well(side), root)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "9 pictures" and wizard.well("B").summary == "4 pictures")
    qtbot.waitUntil(lambda: wizard.thumbnails("A") == 8 and wizard.thumbnails("B") == 4)
    assert wizard.edit("name_A").text() == "Apple"
    assert wizard.edit("name_B").text() == "Orange"
    for _ in range(3):
        wizard.go_on()
    (config,) = wizard.started
    assert (config.folder_A, config.folder_B) == (root / "trainA", root / "trainB")
    assert (config.test_A, config.test_B) == (root / "testA", root / "testB")


def test_two_folders_dropped_at_once_fill_both(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    drop(wizard.well("B"), *folders)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "5 pictures" and wizard.well("B").summary == "4 pictures")


def test_folders_dropped_beside_the_wells_fill_the_free_side(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    for folder in folders:
        drop(wizard.dialog, folder)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "5 pictures" and wizard.well("B").summary == "4 pictures")


def test_a_name_of_ones_own_stays(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    qtbot.keyClicks(wizard.edit("name_A"), "Fruit")
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[1])
    wizard.go_on()
    assert wizard.edit("name_A").text() == "Fruit"
    assert wizard.edit("run").text().endswith(free_run_folder(Path(), "Fruit", "Oranges").name)


def test_nothing_goes_on_before_both_folders_are_chosen(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    assert not wizard.button("wizard_next").isEnabled()
    drop(wizard.well("A"), folders[0])
    assert not wizard.button("wizard_next").isEnabled()
    assert "trainA" in wizard.text("wizard_hint")


def test_the_same_folder_twice_is_an_error_beside_both(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[0])
    for side in "AB":
        assert "same folder" in wizard.text(f"error_folder_{side}")
    wizard.wait_for_error("folder_B", "same folder")
    drop(wizard.well("B"), folders[1])
    wizard.go_on()


@pytest.mark.parametrize(
    ("content", "part"),
    [("empty", "is empty"), ("text", "no picture"), ("one", "only one picture"), ("missing", "no folder")],
)
def test_a_folder_that_cannot_be_trained_on_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_pictures: MakePictures, content: str, part: str
) -> None:
    bad = tmp_path / "bad"
    if content != "missing":
        bad.mkdir()
    if content == "text":
        (bad / "notes.txt").touch()
    if content == "one":
        make_pictures(bad, 1)
    drop(wizard.well("B"), folders[0])
    drop(wizard.well("A"), bad)
    wizard.wait_for_error("folder_A", part)
    assert wizard.text("error_folder_B") == ""


@pytest.mark.parametrize("both", [False, True])
def test_each_bad_folder_has_its_sentence_at_once(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, both: bool, qtbot: QtBot
) -> None:
    empty, letters = tmp_path / "nothing here", tmp_path / "letters"
    for folder in (empty, letters):
        folder.mkdir()
    (letters / "letter.txt").touch()
    if both:
        drop(wizard.well("A"), empty)
    drop(wizard.well("B"), letters)
    remedy = "Choose a folder of pictures, such as JPEG, PNG, WebP or TIFF."
    wizard.wait_for_error("folder_B", f"letters holds no pictures, only other files. {remedy}")
    if both:
        wizard.wait_for_error("folder_A", f"nothing here is empty. {remedy}")
        drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[1])
    if both:
        wizard.go_on()


def test_names_are_empty_until_a_folder_is_chosen(wizard: Wizard, tmp_path: Path, make_pictures) -> None:
    assert (wizard.edit("name_A").text(), wizard.edit("name_B").text()) == ("", "")
    drop(wizard.well("A"), make_pictures(tmp_path / "apples", 2))
    assert (wizard.edit("name_A").text(), wizard.edit("name_B").text()) == ("Apples", "")
    drop(wizard.well("B"), make_pictures(tmp_path / "trainB", 2))
    assert (wizard.edit("name_A").text(), wizard.edit("name_B").text()) == ("Apples", "B")


def test_a_file_dropped_on_a_well_is_an_error_beside_it(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[0] / "0.png")
    wizard.wait_for_error("folder_B", "is a file")


def test_a_folder_within_the_other_is_an_error(wizard: Wizard, folders: tuple[Path, Path], make_pictures) -> None:
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), make_pictures(folders[0] / "inner", 3))
    wizard.wait_for_error("folder_B", "lies inside")


@pytest.mark.parametrize(("name_A", "name_B", "field"), [("", "Oranges", "name_A"), ("Fruit", "fruit", "name_B")])
def test_a_name_that_makes_no_sense_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], name_A: str, name_B: str, field: str
) -> None:
    drop(wizard.well("A"), *folders)
    wizard.edit("name_A").setText(name_A)
    wizard.edit("name_B").setText(name_B)
    wizard.wait_for_error(field, "name")


def test_the_window_stays_alive_while_a_huge_folder_is_looked_at(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def walk(folder: Path) -> Iterator[FolderContent]:
        yield FolderContent(folder, tuple(folder / f"{n}.jpg" for n in range(1234)), 0)
        gate.wait(60)
        yield FolderContent(folder, (), 0)

    monkeypatch.setattr(folder_look, "walk_folder", walk)
    drop(wizard.well("A"), folders[0])
    qtbot.waitUntil(lambda: "1,234 so far" in wizard.well("A").summary)
    monkeypatch.undo()
    drop(wizard.well("A"), folders[1])
    qtbot.waitUntil(lambda: wizard.well("A").summary == "4 pictures")
    gate.set()
    qtbot.wait(50)
    assert wizard.well("A").summary == "4 pictures"


def test_recent_folders_are_offered(
    make_wizard: Callable[..., Wizard], settings: Settings, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    settings.recent_folders = list(folders)
    wizard = make_wizard()
    recent = wizard.dialog.findChildren(QToolButton, "recent_folders")[1]
    recent.menu().actions()[0].trigger()
    qtbot.waitUntil(lambda: wizard.well("B").summary == "5 pictures")


def test_names_of_folders_are_shown_as_they_are_typed(
    wizard: Wizard, tmp_path: Path, make_pictures: MakePictures, qtbot: QtBot
) -> None:
    odd = [make_pictures(tmp_path / name, 2) for name in ("<b>bold</b> & <img src=x>", "&amp; {name} %1")]
    drop(wizard.well("A"), *odd)
    qtbot.waitUntil(lambda: wizard.well("A").summary == "2 pictures")
    assert any(label.text() == odd[0].name for label in wizard.well("A").findChildren(QLabel))
    wizard.go_on()
    wizard.go_on()
    assert all(
        label.textFormat() == Qt.TextFormat.PlainText for label in wizard.dialog.findChildren(QLabel) if label.text()
    )
    wizard.go_on()
    assert wizard.started[0].folder_A == odd[0]
