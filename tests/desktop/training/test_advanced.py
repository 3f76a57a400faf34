from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.advanced import AdvancedOptions, typed_path
from engine.config import TrainConfig, preset_config
from engine.options import OPTIONS, Option

MakeModel = Callable[..., Path]
PLACES = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
# Where one more than the default would make no training.
OTHER_VALUES = {"preprocess": "crop", "width": 512, "grow_from": 128, "ema_decay": 0.9999}


@pytest.mark.parametrize("is_frozen", [False, True])
def test_where_tensorboard_can_neither_be_had_nor_installed_it_is_not_offered(qtbot, monkeypatch, is_frozen):
    monkeypatch.setattr("cyclegan_desktop.training.advanced.find_spec", lambda _name: None)
    if is_frozen:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    options = AdvancedOptions()
    qtbot.addWidget(options)
    options.set_defaults(preset_config("quick", **PLACES))
    options.make_rows()
    assert (options.findChild(QCheckBox, "tensorboard") is None) == is_frozen


class Options:
    """The options and what a person finds in them."""

    def __init__(self, widget: AdvancedOptions) -> None:
        self.widget = widget
        self.changes = 0
        widget.changed.connect(self._count)

    def _count(self) -> None:
        self.changes += 1

    def use(self, preset: str, **values: object) -> None:
        self.widget.set_defaults(preset_config(preset, **PLACES, **values))

    def switch(self, field: str) -> QCheckBox:
        return self.widget.findChild(QCheckBox, field)

    def choice(self, field: str) -> QComboBox:
        return self.widget.findChild(QComboBox, field)

    def number(self, field: str) -> QDoubleSpinBox:
        return self.widget.findChild(QDoubleSpinBox, field)

    def path(self, field: str) -> QLineEdit:
        return self.widget.findChild(QWidget, field).findChild(QLineEdit)

    def button(self, name: str) -> QPushButton:
        return self.widget.findChild(QPushButton, name)

    def reset(self, field: str) -> QToolButton:
        return self.widget.findChild(QToolButton, f"reset_{field}")

    def explanation(self, field: str) -> str:
        return self.widget.findChild(QLabel, f"explanation_{field}").text()

    def count(self) -> str:
        label = self.widget.findChild(QLabel, "options_changed")
        return "" if label.isHidden() else label.text()

    def shown(self) -> list[str]:
        rows = {option.field: self.widget.findChild(QWidget, f"option_{option.field}") for option in OPTIONS}
        return [field for field, row in rows.items() if row.isVisible()]

    def open(self) -> None:
        self.button("advanced").setChecked(True)

    def find(self, text: str) -> None:
        self.widget.findChild(QLineEdit, "find_option").setText(text)


@pytest.fixture
def options(qtbot: QtBot) -> Options:
    widget = AdvancedOptions()
    qtbot.addWidget(widget)
    widget.resize(900, 500)
    widget.show()
    widget.make_rows()
    made = Options(widget)
    made.use("standard")
    return made


def test_rows_are_made_when_the_options_are_first_opened_and_show_what_was_chosen_before(qtbot: QtBot) -> None:
    widget = AdvancedOptions()
    qtbot.addWidget(widget)
    widget.show()
    options = Options(widget)
    options.use("standard")
    widget.set_value("channels", 48)
    assert options.number("channels") is None
    assert widget.values() == {"channels": 48}
    options.open()
    options.find("chan")
    qtbot.waitUntil(lambda: options.switch("tensorboard") is not None)
    assert options.number("channels").value() == 48
    assert options.reset("channels").isVisible()
    assert "channels" in options.shown()
    assert "gan_loss" not in options.shown()
    options.find("")
    assert set(options.shown()) == {option.field for option in OPTIONS}


def test_an_error_of_an_option_that_has_no_row_yet_is_shown_with_its_row(qtbot: QtBot) -> None:
    widget = AdvancedOptions()
    qtbot.addWidget(widget)
    widget.show()
    Options(widget).use("standard")
    assert widget.show_errors({"channels": "Too many."}) == {"channels"}
    qtbot.waitUntil(lambda: widget.findChild(QLabel, "error_channels") is not None)
    qtbot.waitUntil(lambda: widget.findChild(QLabel, "error_channels").isVisible())
    assert widget.findChild(QLabel, "error_channels").text() == "Too many."


def choose_another(options: Options, option: Option, default: object, model: Path) -> object:
    """Choose something else than the default in the option's editor.

    Returns:
        What was chosen.
    """
    match option.kind:
        case "bool":
            options.switch(option.field).click()
            return not default
        case "choice":
            values = [value for value, _ in option.choices if value != default]
            value = OTHER_VALUES.get(option.field, values[0])
            options.choice(option.field).setCurrentIndex([value for value, _ in option.choices].index(str(value)))
            return value
        case "int" | "float":
            assert default is None or isinstance(default, int | float)
            number = OTHER_VALUES.get(option.field, (default or 0) + (1 if option.kind == "int" else 0.25))
            options.number(option.field).setValue(float(number))
            return number
        case "model":
            options.path(option.field).setText(str(model))
            return model


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_every_option_reaches_the_training_and_is_marked_until_it_is_reset(
    options: Options, option: Option, make_model: MakeModel, tmp_path: Path
) -> None:
    preset = preset_config("standard", **PLACES)
    default = getattr(preset, option.field)
    # The standard networks, so that nothing changes but where they come from.
    model = make_model(tmp_path / "model.safetensors", architecture="{}", size="256")
    assert options.widget.values() == {}
    assert not options.reset(option.field).isVisible()

    value = choose_another(options, option, default, model)
    config = preset_config("standard", **PLACES, **options.widget.values())
    assert config == dataclasses.replace(preset, **{option.field: value})
    assert type(getattr(config, option.field)) is type(value)
    assert options.count() == "1 option changed"
    assert len(options.widget.changes()) == 1
    assert options.changes == 1

    options.open()
    assert options.reset(option.field).isVisible()
    options.reset(option.field).click()
    assert options.widget.values() == {}
    assert options.widget.value(option.field) == default
    assert not options.reset(option.field).isVisible()
    assert options.count() == ""


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_what_is_shown_of_a_training_is_that_training(
    options: Options, option: Option, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model.safetensors", architecture="{}", size="256")
    value = choose_another(options, option, getattr(preset_config("standard", **PLACES), option.field), model)
    config = preset_config("standard", **PLACES, **options.widget.values())
    options.button("reset_options").click()
    assert options.widget.values() == {}
    options.widget.set_values(config)
    assert options.widget.values() == {option.field: value}


def test_numbers_beyond_what_is_offered_are_shown_as_they_are(options: Options) -> None:
    values = {"max_steps": 10**12, "learning_rate": 3e-9, "lambda_A": 123456.5, "init_gain": 0.012345678}
    options.widget.set_values(TrainConfig(**PLACES, **values))
    chosen = options.widget.values()
    assert {field: chosen[field] for field in values} == values


def test_a_preset_refills_what_the_user_has_left_alone(options: Options) -> None:
    options.number("channels").setValue(48)
    options.use("quick")
    assert options.number("channels").value() == 48
    assert options.number("batch_size").value() == 4
    assert options.switch("long_skip").isChecked()
    assert options.widget.values() == {"channels": 48}
    assert "Default: 32." in options.explanation("channels")
    options.use("paper")
    assert options.number("batch_size").value() == 1
    assert options.widget.values() == {"channels": 48}


def test_what_the_user_has_chosen_stays_his_while_it_happens_to_be_the_presets(options: Options) -> None:
    options.number("channels").setValue(32)
    options.use("quick")
    assert options.count() == ""
    options.use("standard")
    assert options.widget.values() == {"channels": 32}


def test_what_is_put_back_follows_the_presets_again(options: Options) -> None:
    options.number("channels").setValue(48)
    options.number("channels").setValue(64)
    options.use("quick")
    assert options.number("channels").value() == 32


def test_what_follows_from_the_size_is_no_change(options: Options) -> None:
    options.use("standard", size=128)
    assert options.number("load_size").value() == 143
    assert options.widget.values() == {}


def test_the_count_names_what_has_changed(options: Options) -> None:
    options.choice("gan_loss").setCurrentIndex(2)
    options.number("pool_size").setValue(0)
    options.switch("flip").click()
    assert options.count() == "3 options changed"
    assert options.widget.changes() == ["Mirror pictures: off", "Adversarial loss: Hinge", "Image pool: 0"]
    options.button("reset_options").click()
    assert options.widget.values() == {}
    assert options.count() == ""


def test_numbers_read_as_people_write_them(options: Options) -> None:
    assert options.number("learning_rate").text() == "0.0002"
    assert options.number("lambda_A").text() == "10"
    assert options.number("load_size").text() == "286 px"
    assert options.number("max_steps").text() == "no cap"
    assert "Default: no cap." in options.explanation("max_steps")


def test_a_number_is_typed(options: Options, qtbot: QtBot) -> None:
    options.open()
    for field, text, value in (("learning_rate", "0.0005", 0.0005), ("max_minutes", "90", 90.0), ("width", "320", 320)):
        box = options.number(field)
        box.setFocus()
        box.selectAll()
        qtbot.keyClicks(box, text)
        assert options.widget.value(field) == value


def test_arrows_keep_to_what_makes_sense(options: Options) -> None:
    layers = options.number("discriminator_layers")
    for _ in range(9):
        layers.stepDown()
    assert layers.value() == 1
    steps = options.number("max_steps")
    steps.stepUp()
    assert options.widget.value("max_steps") == 1000
    steps.setValue(1)
    steps.stepDown()
    assert options.widget.value("max_steps") is None
    identity = options.number("lambda_identity")
    identity.setValue(0)
    identity.stepUp()
    assert identity.value() == 0.1


def test_the_options_are_put_away_at_first(options: Options) -> None:
    assert options.shown() == []
    options.button("advanced").click()
    assert options.shown() == [option.field for option in OPTIONS]
    options.button("advanced").click()
    assert options.shown() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hinge", ["gan_loss"]),
        ("LAMBDA_identity", ["lambda_identity"]),
        ("domain grey", ["grey_A", "grey_B"]),
        ("chequered", ["resize_conv"]),
        ("no such thing", []),
    ],
)
def test_an_option_is_found(options: Options, text: str, found: list[str]) -> None:
    options.open()
    options.find(text)
    assert options.shown() == found
    options.find("")
    assert len(options.shown()) == len(OPTIONS)


def test_opening_the_options_begins_with_the_search(options: Options, qtbot: QtBot) -> None:
    options.widget.activateWindow()
    qtbot.waitActive(options.widget)
    toggle, search = options.button("advanced"), options.widget.findChild(QLineEdit, "find_option")
    toggle.setFocus()
    qtbot.keyClick(toggle, Qt.Key.Key_Space)
    assert search.hasFocus()
    toggle.click()
    assert toggle.hasFocus()
    # Opened by an error, they take the keyboard from nobody.
    options.widget.show_errors({"seed": "The seed is odd."})
    assert search.isVisible()
    assert not search.hasFocus()


def test_return_goes_to_what_was_found(options: Options, qtbot: QtBot) -> None:
    options.open()
    options.widget.activateWindow()
    qtbot.waitActive(options.widget)
    options.find("pool")
    search = options.widget.findChild(QLineEdit, "find_option")
    qtbot.keyClick(search, Qt.Key.Key_Return)
    assert options.number("pool_size").hasFocus()


def test_an_error_opens_the_options_beside_it_and_is_never_filtered_away(options: Options, qtbot: QtBot) -> None:
    assert options.widget.show_errors({"seed": "The seed is odd.", "size": "Elsewhere."}) == {"seed"}
    label = options.widget.findChild(QLabel, "error_seed")
    qtbot.waitUntil(lambda: not label.visibleRegion().isEmpty())
    assert label.text() == "The seed is odd."
    assert not options.button("advanced").isEnabled()
    options.find("hinge")
    assert options.shown() == ["gan_loss", "seed"]
    options.widget.show_errors({})
    assert not label.isVisible()
    assert options.button("advanced").isEnabled()
    # It stays under the hands of whoever has mended it, until something else is looked for.
    assert options.shown() == ["gan_loss", "seed"]
    options.find("hinge loss")
    assert options.shown() == ["gan_loss"]


def test_a_model_brings_its_networks(options: Options, make_model: MakeModel, tmp_path: Path) -> None:
    seen: list[object] = []
    options.widget.model_chosen.connect(seen.append)
    model = make_model(tmp_path / "model.safetensors")
    options.path("start_from").setText(str(model))
    assert options.widget.values() == {"start_from": model, "blocks": 3, "channels": 32, "long_skip": True}
    assert "the first folder takes the place of Summer" in options.explanation("start_from")
    # Also where the preset happens to have the same ones.
    options.use("quick")
    options.use("reference")
    assert options.widget.value("blocks") == 3
    options.path("start_from").clear()
    assert options.widget.values() == {}
    assert [getattr(model, "size", None) for model in seen] == [64, None]


def test_discriminators_that_come_with_a_model_are_taken_too(
    options: Options, make_model: MakeModel, tmp_path: Path
) -> None:
    story = {"architecture": "{}", "discriminators": '{"kind": "pixel", "layers": 2, "spectral_norm": true}'}
    options.widget.set_start_from(make_model(tmp_path / "model.safetensors", **story))
    values = options.widget.values()
    del values["start_from"]
    assert values == {"discriminator": "pixel", "discriminator_layers": 2, "spectral_norm": True}


def test_a_model_of_one_direction_is_no_beginning(options: Options, make_model: MakeModel, tmp_path: Path) -> None:
    options.widget.set_start_from(make_model(tmp_path / "model.safetensors", directions='["b2a"]'))
    assert "Winter to Summer only" in options.widget.problems()["start_from"]


def test_what_is_no_model_is_a_problem(options: Options, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"not a model")
    options.path("start_from").setText(str(picture))
    assert str(picture) in options.widget.problems()["start_from"]
    options.path("start_from").clear()
    assert options.widget.problems() == {}


def test_a_path_that_is_too_long_is_a_problem(options: Options) -> None:
    options.path("start_from").setText("/" + "models " * 100)
    assert "too long" in options.widget.problems()["start_from"]


def test_a_model_or_a_training_is_picked(options: Options, make_model: MakeModel, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    model = make_model(tmp_path / "run" / "model.safetensors")
    options.open()
    for action, picked in zip(options.button("choose_start_from").menu().actions(), (model, model.parent), strict=True):
        action.trigger()
        dialog = options.widget.findChildren(QFileDialog)[-1]
        dialog.fileSelected.emit(str(picked))
        dialog.close()
        assert options.widget.value("start_from") == picked
        assert options.widget.value("blocks") == 3


def test_the_domains_are_named_where_an_option_is_about_one(options: Options) -> None:
    options.widget.set_names("Cats & Dogs", "<b>Birds</b>")
    options.switch("grey_A").click()
    options.switch("grey_B").click()
    assert options.widget.changes() == [
        "First domain is grey (Cats & Dogs): on",
        "Second domain is grey (<b>Birds</b>): on",
    ]
    titles = [label for label in options.widget.findChildren(QLabel) if label.buddy() is options.switch("grey_A")]
    assert [label.text() for label in titles] == ["First domain is grey (Cats && Dogs)"]


def test_scrolling_the_options_changes_none(options: Options) -> None:
    options.open()
    for editor in (options.number("load_size"), options.choice("preprocess")):
        turn = QWheelEvent(
            QPointF(5, 5),
            QPointF(editor.mapToGlobal(QPoint(5, 5))),
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(editor, turn)
        assert not turn.isAccepted()
    assert options.widget.values() == {}


@pytest.mark.parametrize("key", [Qt.Key.Key_Tab, Qt.Key.Key_Backtab])
def test_every_option_is_reached_with_the_tab_key_and_then_seen(options: Options, qtbot: QtBot, key: Qt.Key) -> None:
    options.open()
    options.widget.activateWindow()
    qtbot.waitActive(options.widget)
    options.button("advanced").setFocus()
    reached: list[str] = []
    area = options.widget.findChild(QScrollArea, "options")
    for _ in range(3 * len(OPTIONS)):
        qtbot.keyClick(QApplication.focusWidget(), key)
        at = QApplication.focusWidget()
        if at is options.button("advanced"):
            break  # Once round.
        if area.isAncestorOf(at):
            assert key == Qt.Key.Key_Backtab or not at.visibleRegion().isEmpty()
            row = next(part for part in _ancestors(at) if part.objectName().startswith("option_"))
            reached.append(row.objectName().removeprefix("option_"))
    else:
        pytest.fail(f"The Tab key never comes back from {reached[-1]}.")
    in_order = [option.field for option in OPTIONS]
    assert list(dict.fromkeys(reached)) == (in_order if key == Qt.Key.Key_Tab else in_order[::-1])


def test_options_that_are_made_late_are_reached_before_what_stands_below_them(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    widget, below = AdvancedOptions(window), QPushButton(window)
    widget.make_rows()
    reached: list[str] = []
    at: QWidget = widget
    while (at := at.nextInFocusChain()) not in (below, widget):
        rows = [part.objectName() for part in _ancestors(at) if part.objectName().startswith("option_")]
        reached += [name.removeprefix("option_") for name in rows]
    assert list(dict.fromkeys(reached)) == [option.field for option in OPTIONS]


def _ancestors(widget: QWidget) -> list[QWidget]:
    parent = widget.parentWidget()
    return [] if parent is None else [parent, *_ancestors(parent)]


def test_a_path_is_taken_at_every_letter_that_is_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert typed_path(" ~/models ") == tmp_path / "models"
    # There is no such user.
    assert typed_path("~nobody-is-called-that").name == "~nobody-is-called-that"
