"""The wizard as a whole: what is chosen is what starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training import folder_look
from cyclegan_desktop.training.wizard import free_run_folder
from engine.config import preset_config
from engine.data.folders import FolderContent
from tests.desktop.training.wizards import (
    Wizard,
    drop,
    open_advanced,
    to_settings,
)


def test_what_is_chosen_is_what_starts(wizard: Wizard, folders: tuple[Path, Path], settings: Settings) -> None:
    (folders[0] / "notes.txt").touch()
    drop(wizard.well("A"), folders[0])
    drop(wizard.well("B"), folders[1])
    wizard.go_on()
    assert wizard.well("A").summary == "5 pictures, 1 other file"
    wizard.preset("standard").click()
    wizard.spin("size").setValue(128)
    wizard.spin("epochs").setValue(7)
    wizard.spin("decay_epochs").setValue(3)
    wizard.go_on()
    sentence = wizard.text("summary_sentence")
    for part in ("Apples and Oranges", "5 and 4 pictures", "Standard preset", "128 px", "10 epochs"):
        assert part in sentence
    wizard.go_on()
    run = free_run_folder(settings.runs_folder, "Apples", "Oranges")
    assert wizard.started == [
        preset_config(
            "standard",
            folder_A=folders[0],
            folder_B=folders[1],
            name_A="Apples",
            name_B="Oranges",
            run=run,
            size=128,
            epochs=7,
            decay_epochs=3,
        )
    ]
    assert str(run) in sentence
    assert not wizard.dialog.isVisible()


@pytest.mark.parametrize(
    ("values", "field", "part"),
    [
        ({"size": 70}, "size", "multiple of 4"),
        ({"size": 8}, "size", "from 32"),
        ({"epochs": 0, "decay_epochs": 0}, "epochs", "nothing to train"),
    ],
)
def test_a_setting_that_makes_no_sense_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], values: dict[str, int], field: str, part: str
) -> None:
    to_settings(wizard, folders)
    for name, value in values.items():
        wizard.spin(name).setValue(value)
    wizard.wait_for_error(field, part)
    wizard.spin("size").setValue(64)
    wizard.spin("epochs").setValue(1)
    wizard.go_on()


def test_every_setting_that_makes_no_sense_is_marked_at_once(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    to_settings(wizard, folders)
    for name, value in {"size": 8, "epochs": 0, "decay_epochs": 0}.items():
        wizard.spin(name).setValue(value)
    wizard.edit("run").setText("")
    for field, part in (("size", "from 32"), ("epochs", "nothing to train"), ("run", "Say where")):
        assert part in wizard.text(f"error_{field}")


def test_both_names_are_marked_when_both_are_missing(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    drop(wizard.well("A"), *folders)
    for side in "AB":
        wizard.edit(f"name_{side}").setText("")
    for side in "AB":
        wizard.wait_for_error(f"name_{side}", "name")


def test_a_place_that_cannot_be_used_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, qtbot: QtBot
) -> None:
    to_settings(wizard, folders)
    for place, part in (
        (folders[0] / "run", "among the pictures"),
        (folders[0], "among the pictures"),
        ("", "Say where"),
        (tmp_path, "not empty"),
    ):
        wizard.edit("run").setText(str(place))
        wizard.wait_for_error("run", part)
    wizard.edit("run").setText(str(tmp_path / "new"))
    wizard.go_on()
    wizard.go_on()
    assert wizard.started[0].run == tmp_path / "new"


def test_a_place_that_cannot_be_used_is_no_reason_to_stay_on_the_first_page(
    wizard: Wizard, folders: tuple[Path, Path], settings: Settings, qtbot: QtBot
) -> None:
    settings.runs_folder.write_text("a file where a folder should be")
    drop(wizard.well("A"), *folders)
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.text("error_run") != "")
    assert not wizard.button("wizard_next").isEnabled()


def test_the_proposed_place_is_always_new(tmp_path: Path) -> None:
    first = free_run_folder(tmp_path, "Apples", "Oranges")
    assert first.name.startswith("Apples and Oranges 20")
    first.mkdir()
    second = free_run_folder(tmp_path, "Apples", "Oranges")
    assert second != first
    assert not second.exists()
    assert free_run_folder(tmp_path, "a/b", 'c:"<>|?*').parent == tmp_path


def test_without_a_gpu_the_quick_preset_is_chosen(make_wizard: Callable[..., Wizard], qtbot: QtBot) -> None:
    wizard = make_wizard([("cpu", "Processor (CPU)")])
    device = wizard.dialog.findChild(QComboBox, "device")
    qtbot.waitUntil(lambda: "Processor" in device.itemText(0))
    assert wizard.preset("quick").isChecked()


def test_with_a_gpu_the_standard_preset_is_chosen(make_wizard: Callable[..., Wizard], qtbot: QtBot) -> None:
    wizard = make_wizard([("cuda:0", "NVIDIA H200"), ("cpu", "Processor (CPU)")])
    device = wizard.dialog.findChild(QComboBox, "device")
    qtbot.waitUntil(lambda: device.count() == 3)
    assert device.itemText(0) == "Automatic (NVIDIA H200)"
    assert device.currentData() == "auto"
    assert wizard.preset("standard").isChecked()
    assert wizard.spin("size").value() == 256


def test_a_preset_of_ones_own_stays_when_a_gpu_is_found(make_wizard: Callable[..., Wizard], qtbot: QtBot) -> None:
    wizard = make_wizard([("cuda:0", "NVIDIA H200"), ("cpu", "Processor (CPU)")])
    wizard.preset("paper").click()
    device = wizard.dialog.findChild(QComboBox, "device")
    qtbot.waitUntil(lambda: device.count() == 3)
    assert wizard.preset("paper").isChecked()


def test_it_is_used_from_the_keyboard(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    wizard.dialog.activateWindow()
    qtbot.waitActive(wizard.dialog)
    qtbot.waitUntil(wizard.well("A").hasFocus)
    qtbot.keyClick(wizard.well("A"), Qt.Key.Key_Space)
    picker = wizard.dialog.findChild(QFileDialog)
    assert picker.isVisible()
    picker.fileSelected.emit(str(folders[0]))
    picker.reject()
    drop(wizard.well("B"), folders[1])
    qtbot.waitUntil(wizard.button("wizard_next").isEnabled)
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    assert wizard.doctor.isVisible()
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    assert wizard.preset("quick").isVisible()
    wizard.dialog.activateWindow()
    wizard.preset("quick").setFocus()
    qtbot.waitUntil(wizard.preset("quick").hasFocus)
    qtbot.keyClick(wizard.preset("quick"), Qt.Key.Key_Right)
    assert wizard.preset("standard").isChecked()
    qtbot.waitUntil(wizard.button("wizard_next").isEnabled)
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    qtbot.keyClick(wizard.dialog, Qt.Key.Key_Return)
    assert wizard.started[0].preset == "standard"


def test_every_control_has_a_name_for_those_who_do_not_see(wizard: Wizard) -> None:
    for kind in (QAbstractButton, QLineEdit, QAbstractSpinBox, QComboBox):
        for control in wizard.dialog.findChildren(kind):
            inner = control.objectName().startswith("qt_") or isinstance(control.parent(), QAbstractSpinBox | QComboBox)
            text = control.text() if isinstance(control, QAbstractButton) else ""
            assert inner or control.accessibleName() or text, control.objectName()


def test_long_names_become_a_folder_that_every_disk_takes(
    wizard: Wizard, folders: tuple[Path, Path], settings: Settings
) -> None:
    drop(wizard.well("A"), *folders)
    wizard.edit("name_A").setText("苹" * 50)
    wizard.edit("name_B").setText("橙" * 50)
    run = Path(wizard.edit("run").text())
    run.mkdir(parents=True)
    assert run.name.startswith("苹" * 50 + " and 橙")
    assert free_run_folder(settings.runs_folder, "苹" * 50, "橙" * 50).name.endswith(" (2)")


def test_advanced_options_start_and_are_summed_up(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    open_advanced(wizard, folders)
    wizard.dialog.findChild(QComboBox, "gan_loss").setCurrentIndex(2)
    wizard.number("channels").setValue(48)
    wizard.dialog.findChild(QCheckBox, "grey_A").click()
    wizard.go_on()
    changes = wizard.text("summary_changes")
    for part in ("Adversarial loss: Hinge", "Channels: 48", "First domain is grey (Apples): on"):
        assert part in changes
    wizard.go_on()
    (config,) = wizard.started
    assert (config.gan_loss, config.channels, config.grey_A, config.grey_B) == ("hinge", 48, True, False)
    assert (config.preset, config.pool_size) == ("standard", 50)


def test_without_changes_the_summary_names_none(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    to_settings(wizard, folders)
    wizard.go_on()
    assert wizard.text("summary_sentence")
    assert wizard.text("summary_changes") == ""


def test_an_advanced_option_that_makes_no_sense_is_an_error_beside_it(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    open_advanced(wizard, folders)
    wizard.number("discriminator_layers").setValue(6)
    wizard.button("advanced").click()
    # What fits 256 px is too deep for these, and nobody sees it.
    wizard.spin("size").setValue(128)
    wizard.wait_for_error("discriminator_layers", "at least 192 px")
    label = wizard.dialog.findChild(QLabel, "error_discriminator_layers")
    qtbot.waitUntil(lambda: not label.visibleRegion().isEmpty())
    assert "red" in wizard.text("wizard_hint")
    wizard.number("discriminator_layers").setValue(5)
    assert wizard.text("error_discriminator_layers") == ""
    wizard.go_on()


@pytest.mark.parametrize(("width", "words"), [(None, "at 64 px for"), (64, "at 64 px for"), (96, "at 96 x 64 px for")])
def test_crops_that_are_not_square_are_summed_up_by_width_and_height(
    wizard: Wizard, folders: tuple[Path, Path], width: int | None, words: str
) -> None:
    open_advanced(wizard, folders)
    wizard.spin("size").setValue(64)
    wizard.number("width").setValue(width or 0)
    wizard.go_on()
    assert words in wizard.text("summary_sentence")


def test_mending_an_error_leaves_the_keyboard_where_it_is(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    wizard.dialog.activateWindow()
    qtbot.waitActive(wizard.dialog)
    open_advanced(wizard, folders)
    wizard.number("discriminator_layers").setValue(6)
    wizard.edit("find_option").setText("hinge")
    wizard.spin("size").setValue(128)
    wizard.wait_for_error("discriminator_layers", "at least 192 px")
    layers = wizard.number("discriminator_layers")
    layers.setFocus()
    layers.selectAll()
    qtbot.keyClicks(layers, "5")
    assert wizard.text("error_discriminator_layers") == ""
    assert layers.hasFocus()
    layers.setValue(6)
    wizard.wait_for_error("discriminator_layers", "at least 192 px")
    wizard.button("reset_options").setFocus()
    wizard.button("reset_options").click()
    assert wizard.edit("find_option").hasFocus()


def test_a_training_to_be_corrected_shows_its_advanced_options(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, qtbot: QtBot
) -> None:
    config = preset_config(
        "paper",
        folder_A=folders[0],
        folder_B=folders[1],
        run=tmp_path / "own",
        name_A="Apples",
        name_B="Oranges",
        size=512,
        schedule="cosine",
        grow_from=128,
        clip_gradient=1.5,
        max_minutes=90.0,
        load_size=600,
    )
    wizard.dialog.set_config(config)
    wizard.go_on()
    assert "5 options changed" in wizard.text("options_changed")
    wizard.go_on()
    wizard.go_on()
    assert wizard.started == [config]


@pytest.mark.parametrize(("count", "is_offered"), [(499, True), (500, False)])
def test_few_pictures_are_offered_augmentation(
    wizard: Wizard, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, count: int, is_offered: bool
) -> None:
    def walk(folder: Path) -> Iterator[FolderContent]:
        few = folder == folders[0]
        yield FolderContent(folder, tuple(folder / f"{n}.jpg" for n in range(count if few else 900)), 0)

    monkeypatch.setattr(folder_look, "walk_folder", walk)
    to_settings(wizard, folders)
    offer = wizard.dialog.findChild(QWidget, "few_pictures")
    assert not offer.isVisible()
    wizard.preset("standard").click()
    assert offer.isVisible() == is_offered
    for preset in ("paper", "reference", "quick"):
        wizard.preset(preset).click()
        assert not offer.isVisible()
    if not is_offered:
        return
    wizard.preset("standard").click()
    wizard.button("turn_on_augmentation").click()
    assert not offer.isVisible()
    assert wizard.text("options_changed") == "1 option changed"
    wizard.go_on()
    wizard.go_on()
    assert wizard.started[0].diff_augment


def test_the_window_grows_for_advanced_options_and_shrinks_after_them(
    wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot
) -> None:
    to_settings(wizard, folders)
    before = wizard.dialog.size()
    wizard.button("advanced").click()
    qtbot.waitUntil(lambda: wizard.dialog.height() > before.height())
    room, window = wizard.dialog.screen().availableGeometry(), wizard.dialog.frameGeometry()
    assert room.top() <= window.top()
    assert window.bottom() <= room.bottom()
    wizard.button("advanced").click()
    qtbot.waitUntil(lambda: wizard.dialog.size() == before)


def test_every_letter_for_the_keyboard_is_there_once(wizard: Wizard, folders: tuple[Path, Path]) -> None:
    open_advanced(wizard, folders)
    wizard.number("channels").setValue(48)
    texts = [
        *(label.text() for label in wizard.dialog.findChildren(QLabel) if label.isVisible() and label.buddy()),
        *(made.text() for made in wizard.dialog.findChildren(QPushButton) if made.isVisible()),
    ]
    letters = [text.replace("&&", "").partition("&")[2][:1].casefold() for text in texts if "&" in text]
    assert len(letters) == len(set(letters)) > 5


def test_everything_fits_a_small_window(wizard: Wizard, folders: tuple[Path, Path], qtbot: QtBot) -> None:
    drop(wizard.well("A"), *folders)
    qtbot.waitUntil(lambda: wizard.thumbnails("A") > 0)
    hint = wizard.dialog.minimumSizeHint()
    assert hint.width() <= 960
    assert hint.height() <= 600
    wizard.go_on()
    wizard.preset("standard").click()
    wizard.number("channels").setValue(48)
    wizard.button("advanced").click()
    qtbot.waitUntil(lambda: wizard.dialog.findChild(QWidget, "options").isVisible())
    hint = wizard.dialog.minimumSizeHint()
    assert hint.width() <= 960
    assert hint.height() <= 600
