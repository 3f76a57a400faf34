"""The wizard for a training that starts from a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import (
    QLineEdit,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine.config import preset_config
from tests.desktop.training.wizards import (
    HORSES,
    Wizard,
    drop,
    open_advanced,
    to_settings,
)


def test_a_model_that_is_none_blocks_the_way(wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path) -> None:
    wizard.dialog.set_start_from(tmp_path / "missing.safetensors")
    to_settings(wizard, folders)
    wizard.wait_for_error("start_from", "missing.safetensors")
    wizard.button("reset_options").click()
    wizard.go_on()


def test_a_training_starts_from_a_model(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model(tmp_path / "model.safetensors", size="128")
    wizard.dialog.set_start_from(model)
    to_settings(wizard, folders)
    wizard.preset("standard").click()
    wizard.go_on()
    wizard.go_on()
    (config,) = wizard.started
    assert config.start_from == model
    assert (config.size, config.blocks, config.channels, config.long_skip) == (128, 3, 32, True)


def _title(wizard: Wizard) -> str:
    return wizard.text("wizard_title")


def test_fine_tuning_says_what_it_begins_with(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    assert wizard.dialog.windowTitle() == "New training"
    assert wizard.text("begins_with") == ""
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    assert wizard.dialog.windowTitle() == "Fine-tune Horses and Zebras"
    assert _title(wizard) == "Fine-tune Horses and Zebras"
    assert wizard.text("begins_with") == (
        "Begins with the networks of Horses and Zebras (horses.safetensors): the first folder takes the place of "
        "Horses."
    )
    to_settings(wizard, folders)
    assert _title(wizard) == "How to fine-tune Horses and Zebras"


def test_fine_tuning_keeps_the_names_of_the_model_whatever_the_folders_are_called(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path], qtbot: QtBot
) -> None:
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Horses", "Zebras"]
    drop(wizard.well("A"), *folders)
    qtbot.keyClicks(wizard.edit("name_B"), " at night")
    to_settings(wizard, folders)
    wizard.go_on()
    wizard.go_on()
    (config,) = wizard.started
    assert (config.name_A, config.name_B) == ("Horses", "Zebras at night")
    assert config.run.name.startswith("Horses and Zebras at night")


def test_fine_tuning_after_folders_were_chosen_takes_the_names_of_the_model(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    drop(wizard.well("A"), *folders)
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Horses", "Zebras"]


def test_resetting_the_model_ends_fine_tuning(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    wizard.dialog.set_start_from(make_model(tmp_path / "horses.safetensors", **HORSES))
    open_advanced(wizard, folders)
    wizard.dialog.findChild(QToolButton, "reset_start_from").click()
    assert wizard.dialog.windowTitle() == "New training"
    assert _title(wizard) == "How to train"
    wizard.go_back()
    assert _title(wizard) == "Choose two folders of pictures"
    assert wizard.text("begins_with") == ""
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Apples", "Oranges"]


def test_resetting_all_options_goes_on_fine_tuning(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model(tmp_path / "horses.safetensors", **HORSES)
    wizard.dialog.set_start_from(model)
    open_advanced(wizard, folders)
    # There is nothing that the button could put back.
    assert not wizard.button("reset_options").isVisible()
    wizard.number("pool_size").setValue(7)
    wizard.number("blocks").setValue(4)
    wizard.button("reset_options").click()
    assert not wizard.button("reset_options").isVisible()
    assert wizard.dialog.windowTitle() == "Fine-tune Horses and Zebras"
    wizard.go_on()
    wizard.go_on()
    (config,) = wizard.started
    assert config.start_from == model
    assert (config.blocks, config.channels, config.pool_size, config.size) == (3, 32, 50, 64)


def test_a_model_chosen_among_the_options_is_named_and_leaves_the_names_of_the_folders(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    open_advanced(wizard, folders)
    model = make_model(tmp_path / "horses.safetensors", **HORSES)
    wizard.dialog.findChild(QWidget, "start_from").findChild(QLineEdit).setText(str(model))
    assert _title(wizard) == "How to fine-tune Horses and Zebras"
    assert wizard.edit("name_A").text() == "Apples"
    wizard.button("reset_options").click()
    assert _title(wizard) == "How to train"


def test_a_fine_tuning_to_be_corrected_says_so(
    wizard: Wizard, folders: tuple[Path, Path], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model(tmp_path / "horses.safetensors", architecture="{}", size="256", **HORSES)
    wizard.dialog.set_config(
        preset_config(
            "standard",
            folder_A=folders[0],
            folder_B=folders[1],
            run=tmp_path / "own",
            name_A="Donkeys",
            name_B="Okapis",
            start_from=model,
        )
    )
    assert wizard.dialog.windowTitle() == "Fine-tune Horses and Zebras"
    assert [wizard.edit(f"name_{side}").text() for side in "AB"] == ["Donkeys", "Okapis"]


def test_the_story_of_a_model_widens_no_window(wizard: Wizard, tmp_path: Path, make_model: Callable[..., Path]) -> None:
    before = wizard.dialog.minimumSizeHint().width()
    model = make_model(tmp_path / f"{'m' * 200}.safetensors", name_A="<b>Horses</b>" * 40, name_B="Z" * 300)
    wizard.dialog.set_start_from(model)
    assert "<b>Horses</b>" in _title(wizard)
    assert wizard.dialog.minimumSizeHint().width() <= max(before, 880)
