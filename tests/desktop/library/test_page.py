from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QColor, QImage
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QDialog,
    QFileDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
)

from cyclegan_desktop.library.entries import LibraryEntry
from cyclegan_desktop.library.page import LibraryPage
from cyclegan_desktop.widgets import ElidedLabel, EmptyState
from engine.model.architecture import Architecture
from engine.training.upkeep import DiskUse


def sheet() -> QImage:
    image = QImage(56, 36, QImage.Format.Format_RGB32)
    image.fill(QColor("green"))
    return image


def run(folder: str = "run", **values: object) -> LibraryEntry:
    story = {
        "kind": "run",
        "name_A": "Apples",
        "name_B": "Oranges",
        "preset": "quick",
        "size": 64,
        "step": 5,
        "total_steps": 20,
        "day": date(2026, 3, 1),
        "architecture": Architecture(blocks=3, channels=32, long_skip=True),
        "model": Path("/runs") / folder / "model.safetensors",
        "sheets": (sheet(), sheet()),
    }
    return LibraryEntry(path=Path("/runs") / folder, **{**story, **values})  # type: ignore[arg-type]


@pytest.fixture
def page(page, qtbot):
    page.resize(1100, 640)
    with qtbot.waitActive(page):
        page.activateWindow()
    return page


def listing(page: LibraryPage) -> QListWidget:
    found = page.findChild(QListWidget, "library_list")
    assert found is not None
    return found


def shown(page: LibraryPage, name: str) -> str:
    label = page.findChild(QLabel, name)
    assert label is not None
    return label.text() if label.isVisible() else ""


def press(qtbot, page: LibraryPage, name: str) -> None:
    button = page.findChild(QPushButton, name)
    assert button is not None
    assert button.isVisible()
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_an_empty_page_says_where_models_come_from_but_not_before_it_is_known(page):
    assert not any(widget.isVisible() for widget in (*page.findChildren(EmptyState), listing(page)))
    page.arrange([])
    assert any(state.isVisible() for state in page.findChildren(EmptyState))
    assert not listing(page).isVisible()


def test_a_training_is_shown_with_its_names_and_numbers(page):
    page.show_entry(run())
    assert shown(page, "library_title") == "Apples and Oranges"
    texts = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    assert "Quick preset  ·  64 px  ·  step 5 of 20  ·  2026-03-01" in texts
    assert "Oranges to Apples: original, translated, back again" in texts
    assert page.findChild(ElidedLabel, "library_path").text() == str(Path("/runs/run"))


@pytest.mark.parametrize(
    ("button", "signal"),
    [
        ("library_convert", "convert_requested"),
        ("library_open", "open_requested"),
        ("library_resume", "resume_requested"),
        ("library_reveal", "reveal_requested"),
        ("library_remove", "remove_requested"),
        ("library_fine_tune", "fine_tune_requested"),
    ],
)
def test_each_button_asks_for_the_entry_chosen(page, qtbot, button, signal):
    page.show_entry(run("first"))
    page.show_entry(run("second"))
    page.select(Path("/runs/second"))
    with qtbot.waitSignal(getattr(page, signal)) as asked:
        press(qtbot, page, button)
    assert asked.args == [Path("/runs/second")]


def test_the_list_is_used_by_keyboard(page, qtbot):
    page.show_entry(run("first"))
    page.show_entry(run("second"))
    listing(page).setFocus()
    qtbot.keyClick(listing(page), Qt.Key.Key_Down)
    assert page.current_path() == Path("/runs/second")
    with qtbot.waitSignal(page.convert_requested) as asked:
        qtbot.keyClick(listing(page), Qt.Key.Key_Return)
    assert asked.args == [Path("/runs/second")]
    with qtbot.waitSignal(page.remove_requested):
        qtbot.keyClick(listing(page), Qt.Key.Key_Delete)


@pytest.mark.parametrize(
    ("entry", "is_training", "hint"),
    [
        (run(step=20, is_complete=True), False, "complete"),
        (run(), True, "A training is running"),
        (run(model=None), False, "No model is saved yet"),
        (run(), False, ""),
        (run(kind="model", directions=("a2b",)), False, "needs both directions"),
        (run(kind="model"), True, "A training is running"),
        (run(kind="model"), False, ""),
    ],
)
def test_what_cannot_be_done_says_why(page, entry, is_training, hint):
    page.show_entry(entry)
    page.set_training(is_training)
    resume, convert = (page.findChild(QPushButton, f"library_{name}") for name in ("resume", "convert"))
    assert resume.isEnabled() == (entry.can_resume and not is_training)
    assert resume.isVisible() == (entry.kind == "run")
    assert convert.isEnabled() == (entry.model is not None)
    assert hint in shown(page, "library_hint")
    assert bool(hint) == bool(shown(page, "library_hint"))
    fine_tune, export = (page.findChild(QPushButton, f"library_{name}") for name in ("fine_tune", "export"))
    assert fine_tune.isEnabled() == (entry.model is not None and entry.directions == ("a2b", "b2a") and not is_training)
    assert export.isEnabled() == (entry.model is not None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "ResNet, 3 blocks, 32 channels, long skip (predicts a change of the picture)  ·  both directions"),
        (
            {"kind": "model", "directions": ("b2a",), "architecture": Architecture(generator="unet", norm="batch")},
            "U-Net, 8 halvings, 64 channels, batch norm  ·  Oranges to Apples only  ·  without discriminators",
        ),
        (
            {"kind": "model", "has_discriminators": True, "architecture": Architecture()},
            "ResNet, 9 blocks, 64 channels  ·  both directions  ·  with discriminators",
        ),
    ],
)
def test_what_the_networks_are_is_told(page, values, words):
    page.show_entry(run(**values))
    assert shown(page, "library_networks") == words


def test_an_imported_model_says_where_it_comes_from_and_nothing_that_is_not_known(page):
    note = "Imported from latest_net_G_A.pth."
    page.show_entry(run(kind="model", preset="reference", step=0, total_steps=0, sheets=(), note=note))
    texts = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    assert "Imported  ·  64 px  ·  2026-03-01" in texts
    assert note in texts


@pytest.mark.parametrize("kind", ["pth", "onnx", "card"])
def test_an_export_asks_where_to_and_overwrites_nothing(page, qtbot, tmp_path, kind):
    page.show_entry(run("first"))
    page.findChild(QAction, f"export_{kind}").trigger()
    dialog = page.findChild(QFileDialog, "export_dialog")
    if kind == "card":
        assert dialog.testOption(QFileDialog.Option.DontConfirmOverwrite), "refused on the page, as nothing is replaced"
        assert [Path(name).name for name in dialog.selectedFiles()] == ["first.json"]
    else:
        assert dialog.fileMode() == QFileDialog.FileMode.Directory
    with qtbot.waitSignal(page.export_requested) as asked:
        dialog.fileSelected.emit(str(tmp_path / "out"))
    assert asked.args == [Path("/runs/first"), kind, tmp_path / "out"]
    dialog.reject()


def test_an_export_begins_beside_the_model_and_not_where_the_app_was_started(page, tmp_path):
    model = tmp_path / "models" / "pears.safetensors"
    model.parent.mkdir()
    page.show_entry(LibraryEntry(path=model, kind="model", model=model))
    page.findChild(QAction, "export_onnx").trigger()
    dialog = page.findChild(QFileDialog, "export_dialog")
    assert Path(dialog.directory().absolutePath()) == model.parent
    dialog.reject()


@pytest.mark.parametrize("name", ["import_model", "empty_import"])
def test_files_of_the_reference_are_chosen_by_a_dialog_that_blocks_nothing(page, qtbot, tmp_path, name):
    page.arrange([])
    if name == "import_model":
        page.show_entry(run())
    press(qtbot, page, name)
    dialog = page.findChild(QFileDialog, "import_files_dialog")
    with qtbot.waitSignal(page.import_requested) as asked:
        dialog.filesSelected.emit([str(tmp_path / "a.pth"), str(tmp_path / "b.pth")])
    assert asked.args == [[tmp_path / "a.pth", tmp_path / "b.pth"]]
    dialog.reject()


def test_what_is_gone_can_be_taken_off_the_list_and_nothing_else(page, qtbot):
    page.show_entry(LibraryEntry(path=Path("/gone/model.safetensors"), kind="missing"))
    assert "no longer at this place" in shown(page, "library_problem")
    assert not page.findChild(QPushButton, "library_convert").isEnabled()
    assert not page.findChild(QPushButton, "library_reveal").isEnabled()
    assert not page.findChild(QPushButton, "library_open").isVisible()
    assert not page.findChild(QPushButton, "library_resume").isVisible()
    with qtbot.waitSignal(page.remove_requested):
        press(qtbot, page, "library_remove")


def test_the_reason_stands_with_what_cannot_be_read(page):
    page.show_entry(LibraryEntry(path=Path("/x.safetensors"), kind="unreadable", problem="/x.safetensors is damaged."))
    assert shown(page, "library_problem") == "/x.safetensors is damaged."


def test_the_starter_stays_on_the_list(page):
    page.show_entry(run(kind="starter", total_steps=0, sheets=()))
    assert not page.findChild(QPushButton, "library_remove").isVisible()
    assert page.findChild(QPushButton, "library_convert").isEnabled()


def test_names_that_look_like_html_are_shown_as_they_are(page):
    name = "<img src=x>"
    page.show_entry(run(name, name_A=name))
    page.show_entry(LibraryEntry(path=Path("/runs") / f"{name}.safetensors", kind="missing"))
    assert shown(page, "library_title") == f"{name} and Oranges"
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in page.findChildren(QLabel) if label.text())
    assert listing(page).item(1).text() == f"{name}.safetensors"
    # Draws every line, through the delegate.
    assert not listing(page).grab().isNull()


def test_reading_anew_keeps_the_place_and_what_is_chosen(page):
    for name in ("a", "b", "c"):
        page.show_entry(run(name))
    page.select(Path("/runs/b"))
    page.show_entry(run("b", step=12))
    page.show_entry(run("d"))
    page.arrange([Path("/runs") / name for name in ("d", "b", "a")])
    items = [listing(page).item(row).data(Qt.ItemDataRole.UserRole) for row in range(listing(page).count())]
    assert [(entry.path.name, entry.step) for entry in items] == [("d", 5), ("b", 12), ("a", 5)]
    assert page.current_path() == Path("/runs/b")
    page.arrange([Path("/runs/d")])
    assert page.current_path() == Path("/runs/d")
    page.arrange([])
    assert page.current_path() is None
    assert page.findChild(QStackedWidget).currentIndex() == 0


def test_a_file_is_added_by_a_dialog_that_blocks_nothing(page, qtbot, tmp_path):
    page.show_entry(run())
    press(qtbot, page, "add_model")
    dialog = page.findChild(QFileDialog, "model_dialog")
    assert dialog is not None
    with qtbot.waitSignal(page.add_requested) as asked:
        dialog.fileSelected.emit(str(tmp_path / "a.safetensors"))
    assert asked.args == [tmp_path / "a.safetensors"]
    dialog.reject()
    QApplication.processEvents()


def rows(page: LibraryPage) -> list[str]:
    items = [listing(page).item(row) for row in range(listing(page).count())]
    return [item.text() for item in items if not item.isHidden()]


def search(qtbot, page: LibraryPage, text: str) -> None:
    field = page.findChild(QLineEdit, "library_search")
    field.clear()
    qtbot.keyClicks(field, text)


def test_searching_leaves_what_matches_every_word(page, qtbot):
    page.show_entry(run("first", name="Braeburn", note="Red"))
    page.show_entry(run("second", name_A="Horses", name_B="Zebras", note="with more stripes"))
    page.show_entry(run("third", preset="standard"))
    search(qtbot, page, "APPLES stand")
    assert rows(page) == ["Apples and Oranges"]
    assert page.current_path() == Path("/runs/third")
    search(qtbot, page, "stripes")
    assert rows(page) == ["Horses and Zebras"]
    search(qtbot, page, "braeburn")
    assert rows(page) == ["Braeburn"]
    search(qtbot, page, "pears")
    assert rows(page) == []
    assert shown(page, "nothing_found")
    search(qtbot, page, "")
    assert len(rows(page)) == 3
    assert not shown(page, "nothing_found")


def test_a_search_lasts_while_the_list_is_read_anew(page, qtbot):
    page.show_entry(run("first"))
    page.show_entry(run("second", name_A="Horses", name_B="Zebras"))
    search(qtbot, page, "horses")
    page.show_entry(run("first", step=6))
    page.arrange([Path("/runs/second"), Path("/runs/first")])
    assert rows(page) == ["Horses and Zebras"]


def test_a_training_says_what_it_is_called_what_it_reached_and_what_room_it_takes(page):
    disk = DiskUse(checkpoints=3_000_000_000, samples=400_000_000)
    entry = run(
        name="Second try",
        note="Better.",
        seconds=3700.0,
        best_score=12.34,
        best_step=4,
        disk=disk,
        freeable={"checkpoints": 2_000_000_000, "moments": 0, "samples": 0},
    )
    page.show_entry(entry)
    assert shown(page, "library_title") == "Second try"
    assert shown(page, "library_note") == "Better."
    room = shown(page, "library_room")
    assert room == "best score 12.3 at step 4, which converts  ·  3.4 GB on disk  ·  2.0 GB of it can be cleaned up"
    texts = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    facts = "Apples and Oranges  ·  Quick preset  ·  64 px  ·  step 5 of 20  ·  62 min  ·  2026-03-01"
    assert facts in texts


def test_a_name_and_a_note_are_asked_for(page, qtbot):
    page.show_entry(run(note="Old."))
    page.findChild(QAction, "library_describe").trigger()
    dialog = page.findChild(QDialog, "describe_dialog")
    assert dialog.findChild(QLineEdit, "describe_name").placeholderText() == "Apples and Oranges"
    qtbot.keyClicks(dialog.findChild(QLineEdit, "describe_name"), "First")
    note = dialog.findChild(QPlainTextEdit, "describe_note")
    assert note.toPlainText() == "Old."
    note.setPlainText("New.")
    with qtbot.waitSignal(page.describe_requested) as asked:
        qtbot.mouseClick(dialog.findChild(QPushButton, "dialog_accept"), Qt.MouseButton.LeftButton)
    assert asked.args == [Path("/runs/run"), "First", "New."]


def test_cleaning_up_deletes_only_what_was_chosen(page, qtbot):
    page.show_entry(run(freeable={"checkpoints": 2_000_000, "moments": 5_000_000, "samples": 0}))
    page.findChild(QAction, "library_clean_up").trigger()
    dialog = page.findChild(QDialog, "clean_up_dialog")
    boxes = {name: dialog.findChild(QCheckBox, f"clean_{name}") for name in ("checkpoints", "moments", "samples")}
    assert [box.isChecked() for box in boxes.values()] == [True, False, False]
    assert not boxes["samples"].isEnabled()
    assert "5.0 MB" in boxes["moments"].text()
    delete = dialog.findChild(QPushButton, "dialog_accept")
    boxes["checkpoints"].setChecked(False)
    assert not delete.isEnabled()
    boxes["moments"].setChecked(True)
    with qtbot.waitSignal(page.clean_up_requested) as asked:
        qtbot.mouseClick(delete, Qt.MouseButton.LeftButton)
    assert asked.args == [Path("/runs/run"), ["moments"]]


@pytest.mark.parametrize("is_agreed", [True, False])
def test_the_trash_takes_a_training_after_a_question_only(page, qtbot, is_agreed):
    asked = []
    page.trash_requested.connect(asked.append)
    page.show_entry(run())
    page.findChild(QAction, "library_trash").trigger()
    dialog = page.findChild(QMessageBox, "trash_dialog")
    assert str(Path("/runs/run")) in dialog.informativeText()
    cancel = dialog.button(QMessageBox.StandardButton.Cancel)
    pressed = dialog.findChild(QPushButton, "trash_yes") if is_agreed else cancel
    qtbot.mouseClick(pressed, Qt.MouseButton.LeftButton)
    assert asked == ([Path("/runs/run")] if is_agreed else [])


@pytest.mark.parametrize(
    ("entry", "is_training", "enabled"),
    [
        (run(), False, {"describe", "duplicate", "clean_up", "trash"}),
        (run(), True, {"describe", "clean_up", "trash"}),
        (run(kind="model"), False, {"trash"}),
        (run(kind="starter"), False, set()),
        (run(kind="missing"), False, set()),
    ],
)
def test_more_offers_what_can_be_done(page, entry, is_training, enabled):
    page.show_entry(entry)
    page.set_training(is_training)
    names = ("describe", "duplicate", "clean_up", "trash")
    assert {name for name in names if page.findChild(QAction, f"library_{name}").isEnabled()} == enabled
    assert page.findChild(QPushButton, "library_more").isEnabled() == bool(enabled)
