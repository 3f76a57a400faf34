from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QColor, QImage
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QListWidget, QPushButton, QStackedWidget

from cyclegan_desktop.library.entries import LibraryEntry
from cyclegan_desktop.library.page import LibraryPage
from cyclegan_desktop.widgets import ElidedLabel, EmptyState
from engine.model.architecture import Architecture


def sheet() -> QImage:
    image = QImage(56, 36, QImage.Format.Format_RGB32)
    image.fill(QColor("green"))
    return image


def run(name: str = "run", **values: object) -> LibraryEntry:
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
        "model": Path("/runs") / name / "model.safetensors",
        "sheets": (sheet(), sheet()),
    }
    return LibraryEntry(path=Path("/runs") / name, **{**story, **values})  # type: ignore[arg-type]


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
