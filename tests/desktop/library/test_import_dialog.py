from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QLineEdit, QPushButton, QSpinBox

from cyclegan_desktop.library.import_dialog import ImportChoice, ImportDialog, Recognised
from engine.model.architecture import Architecture

FILES = tuple(Path("/checkpoints") / f"latest_net_{name}.pth" for name in ("G_A", "G_B", "D_A", "D_B"))
BOTH = Recognised(((FILES[0], "G_AB"), (FILES[1], "G_BA")), Architecture(), ("a2b", "b2a"), False)
ONE = Recognised(((FILES[0], "G_AB"),), Architecture(), ("a2b",), False)
ALL = Recognised(
    ((FILES[0], "G_AB"), (FILES[1], "G_BA"), (FILES[2], "D_B"), (FILES[3], "D_A")),
    Architecture(),
    ("a2b", "b2a"),
    True,
)


@pytest.fixture
def dialog(qtbot):
    dialog = ImportDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def texts(dialog: ImportDialog) -> list[str]:
    QApplication.processEvents()  # New labels are shown with the next layout.
    return [label.text() for label in dialog.findChildren(QLabel) if label.isVisible()]


def button(dialog: ImportDialog, name: str) -> QPushButton:
    return dialog.findChild(QPushButton, f"import_{name}")


def edit(dialog: ImportDialog, name: str) -> QLineEdit:
    return dialog.findChild(QLineEdit, f"import_{name}")


def drag_and_drop(dialog: ImportDialog, *paths: Path) -> bool:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    how = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(50, 50), *how)
    enter.ignore()
    QApplication.sendEvent(dialog, enter)
    if enter.isAccepted():
        QApplication.sendEvent(dialog, QDropEvent(QPointF(50, 50), *how))
    return enter.isAccepted()


def test_it_blocks_its_window_and_not_the_program(dialog):
    assert dialog.windowModality() == Qt.WindowModality.WindowModal


def test_what_was_recognised_is_told_in_the_names_being_typed(dialog, qtbot):
    dialog.show_reading(FILES, [])
    assert not button(dialog, "start").isEnabled()
    dialog.show_recognised(ALL)
    dialog.set_place(Path("/models/x.safetensors"))
    assert "A to B" in texts(dialog)
    assert not button(dialog, "start").isEnabled(), "the domains have no names yet"
    qtbot.keyClicks(edit(dialog, "name_A"), "Horses")
    qtbot.keyClicks(edit(dialog, "name_B"), "Zebras")
    shown = texts(dialog)
    for words in ("Horses to Zebras", "Zebras to Horses", "discriminator of Zebras", "discriminator of Horses"):
        assert words in shown
    assert shown.index("latest_net_D_A.pth") + 1 == shown.index("discriminator of Zebras"), "the reference's judges B"
    found = dialog.findChild(QLabel, "import_recognised").text()
    assert found.startswith("ResNet, 9 blocks, 64 channels; both directions; with discriminators")
    assert button(dialog, "start").isEnabled()


def test_swapping_the_names_turns_the_only_direction(dialog):
    dialog.show_recognised(ONE)
    dialog.set_names("Horses", "Zebras")
    found = dialog.findChild(QLabel, "import_recognised")
    assert "Horses to Zebras only" in found.text()
    dialog.findChild(object, "import_swap").click()
    assert dialog.names == ("Zebras", "Horses")
    assert "Zebras to Horses only" in found.text()


def test_swapping_the_names_is_one_edit(dialog):
    dialog.set_names("Horses", "Zebras")
    edits = []
    dialog.names_edited.connect(lambda: edits.append(dialog.names))
    dialog.findChild(object, "import_swap").click()
    assert edits == [("Zebras", "Horses")]


def test_import_asks_for_what_is_shown(dialog, qtbot, tmp_path):
    dialog.show_recognised(BOTH)
    dialog.set_names(" Horses", "Zebras ")
    dialog.set_place(tmp_path / "x.safetensors")
    dialog.findChild(QSpinBox, "import_size").setValue(512)
    with qtbot.waitSignal(dialog.import_requested) as asked:
        qtbot.keyClick(edit(dialog, "name_B"), Qt.Key.Key_Return)
    assert asked.args == [ImportChoice(("Horses", "Zebras"), tmp_path / "x.safetensors", 512)]


def test_a_file_that_cannot_be_imported_is_told_and_nothing_can_be_started(dialog):
    dialog.set_names("Horses", "Zebras")
    dialog.set_place(Path("/models/x.safetensors"))
    dialog.show_recognised(BOTH)
    dialog.show_reading(FILES[:1], [])
    dialog.show_unreadable("/checkpoints/<b>x.pth is damaged. Copy it again.")
    found = dialog.findChild(QLabel, "import_recognised")
    assert found.text() == "/checkpoints/<b>x.pth is damaged. Copy it again."
    assert (found.textFormat(), found.property("role")) == (Qt.TextFormat.PlainText, "error")
    assert not button(dialog, "start").isEnabled()
    assert button(dialog, "choose").isEnabled()


@pytest.mark.parametrize("field", ["name_A", "name_B", "size", "to", ""])
def test_a_refusal_stands_beside_its_field_until_the_next_try(dialog, field):
    dialog.show_recognised(BOTH)
    dialog.set_names("Horses", "Zebras")
    dialog.set_place(Path("/models/x.safetensors"))
    dialog.show_importing()
    assert not button(dialog, "start").isEnabled()
    assert not edit(dialog, "name_A").isEnabled()
    dialog.show_problem("It cannot be.", field)
    error = dialog.findChild(QLabel, f"import_error_{field or 'other'}")
    assert (error.isVisible(), error.text()) == (True, "It cannot be.")
    assert button(dialog, "start").isEnabled()
    dialog.show_importing()
    assert "It cannot be." not in texts(dialog)


def test_further_files_can_be_dropped_on_it_and_other_things_cannot(dialog, qtbot, tmp_path):
    dialog.show_recognised(ONE)
    with qtbot.waitSignal(dialog.files_added) as added:
        assert drag_and_drop(dialog, tmp_path / "latest_net_G_B.pth")
    assert added.args == [[tmp_path / "latest_net_G_B.pth"]]
    assert not drag_and_drop(dialog, tmp_path / "a.png")
    dialog.show_unreadable("No.")
    with qtbot.waitSignal(dialog.files_chosen):
        drag_and_drop(dialog, tmp_path / "latest_net_G_B.pth")
    dialog.show_recognised(ONE)
    dialog.show_importing()
    assert not drag_and_drop(dialog, tmp_path / "latest_net_G_B.pth")


@pytest.mark.parametrize(("beside", "words"), [(FILES[1:2], "latest_net_G_B.pth"), (FILES[1:], "3 other files")])
def test_the_other_files_of_the_training_are_offered(dialog, qtbot, beside, words):
    dialog.show_reading(FILES[:1], beside)
    assert words in button(dialog, "beside").text()
    with qtbot.waitSignal(dialog.files_added) as added:
        button(dialog, "beside").click()
    assert added.args == [list(beside)]
    dialog.show_reading(FILES, [])
    assert not button(dialog, "beside").isVisible()


def test_other_files_and_another_place_are_chosen_by_dialogs_that_block_nothing(dialog, qtbot, tmp_path):
    dialog.show_recognised(BOTH)
    button(dialog, "choose").click()
    files = dialog.findChild(QFileDialog, "import_files_dialog")
    with qtbot.waitSignal(dialog.files_chosen) as chosen:
        files.filesSelected.emit([str(tmp_path / "a.pth"), str(tmp_path / "b.pth")])
    assert chosen.args == [[tmp_path / "a.pth", tmp_path / "b.pth"]]
    files.reject()
    button(dialog, "choose_to").click()
    place = dialog.findChild(QFileDialog, "import_to_dialog")
    with qtbot.waitSignal(dialog.place_edited):
        place.fileSelected.emit(str(tmp_path / "x.safetensors"))
    assert edit(dialog, "to").text() == str(tmp_path / "x.safetensors")
    place.reject()


def test_afterwards_the_model_can_be_converted_with(dialog, qtbot):
    dialog.show_done("Horses & Zebras", "ResNet; both directions.", Path("/models/x.safetensors"))
    assert "Horses & Zebras is imported" in texts(dialog)
    with qtbot.waitSignal(dialog.convert_requested):
        button(dialog, "convert").click()
    assert not dialog.isVisible()


def test_files_dropped_afterwards_are_the_next_import(dialog, qtbot, tmp_path):
    dialog.show_recognised(ONE)
    dialog.show_done("Horses and Zebras", "ResNet; both directions.", Path("/models/x.safetensors"))
    with qtbot.waitSignal(dialog.files_chosen) as chosen:
        assert drag_and_drop(dialog, tmp_path / "latest_net_G_B.pth")
    assert chosen.args == [[tmp_path / "latest_net_G_B.pth"]]
    dialog.show_reading([tmp_path / "latest_net_G_B.pth"], [])
    assert edit(dialog, "name_A").isVisible()
    assert button(dialog, "start").isDefault()
