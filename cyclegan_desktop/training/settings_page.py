"""The wizard's third page: how to train, on what, and where the training lives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.style import XS, L, M, S
from cyclegan_desktop.training.advanced import AdvancedOptions, mark_changed, reset_button, typed_path
from cyclegan_desktop.training.preset_picker import PresetPicker, SavePresetDialog
from cyclegan_desktop.widgets import NoWheelComboBox, NoWheelSpinBox, button, plain_label, plain_tooltip, set_look
from engine.config import (
    SMALL_SET,
    Preset,
    TrainConfig,
    preset_config,
    suggests_diff_augment,
)
from engine.conversion.model_file import ModelInfo
from engine.errors import ConfigError, EngineError
from engine.presets import OwnPreset, OwnPresets, delete_preset, read_presets, save_preset


class SettingsPage(QWidget):
    """Presets as cards, the few settings that people change, and all others behind "Advanced options".

    What the user has set stays when another preset is chosen, and is marked wherever it differs from the preset.

    Signals:
        changed: A setting was changed.
        run_edited: The user has said where the training is to live.
        advanced_opened: The advanced options were shown (True) or put away.
    """

    changed = Signal()
    run_edited = Signal()
    advanced_opened = Signal(bool)

    def __init__(self, presets_folder: Path, parent: QWidget | None = None) -> None:
        """Show everything as the first preset has it.

        Args:
            presets_folder: Where the user's own presets are kept.
            parent: Owns the page.
        """
        super().__init__(parent)
        self._presets_folder = presets_folder
        self._errors: dict[str, QLabel] = {}
        self._fields: dict[str, QWidget] = {}
        self._is_preset_own = False
        self._own_numbers: set[str] = set()
        self._size_of_model = 0
        self._counts: tuple[int, int] | None = None

        self._size = _spin_box("size", 8, 8192, self.tr(" px"), 4)
        self._epochs = _spin_box("epochs", 0, 1_000_000, "", 1)
        self._decay = _spin_box("decay_epochs", 0, 1_000_000, "", 1)
        self._numbers = {box.objectName(): box for box in (self._size, self._epochs, self._decay)}
        self._device = NoWheelComboBox()
        self._device.setObjectName("device")
        self._run = QLineEdit()
        self._run.setObjectName("run")
        self._run.setAcceptDrops(False)
        self._run.textEdited.connect(self.run_edited)
        choose = button(self.tr("C&hoose..."), "folder")
        choose.setObjectName("choose_run")
        choose.clicked.connect(self._ask_for_place)
        self._picker = PresetPicker()
        self._deleted: OwnPreset | None = None
        self._compact_parts: list[QWidget] = []
        self._labels: dict[str, QLabel] = {}
        self._resets: dict[str, QToolButton] = {}
        self._picker.picked.connect(self._own_preset)
        self._picker.changed.connect(self._take_preset)
        self._picker.save_asked.connect(self._ask_for_name)
        self._picker.delete_asked.connect(self._delete_preset)
        self._picker.undo_asked.connect(self._undo_delete)

        grid = QGridLayout()
        grid.setHorizontalSpacing(L)
        grid.setVerticalSpacing(XS)
        fields = (
            (self.tr("Picture si&ze"), self._size, "size", self.tr("Side of the squares that are trained on")),
            (self.tr("&Epochs"), self._epochs, "epochs", self.tr("Passes over the pictures at the full rate")),
            (self.tr("&Decay epochs"), self._decay, "decay_epochs", self.tr("Passes after these, at a falling rate")),
            (self.tr("De&vice"), self._device, "device", self.tr("Automatic takes the fastest there is")),
        )
        for column, (text, field, name, hint) in enumerate(fields):
            for line, part in enumerate(self._field(text, field, name, hint)):
                grid.addLayout(part, line, column)
        for column, share in enumerate((3, 3, 3, 5)):
            grid.setColumnStretch(column, share)
        place = QHBoxLayout()
        place.setSpacing(S)
        place.addWidget(self._run, 1)
        place.addWidget(choose)
        run = QVBoxLayout()
        run.setSpacing(XS)
        for part in self._field(
            self.tr("&Saved in"), self._run, "run", self.tr("A new folder for this training"), place
        ):
            run.addLayout(part)

        self._few_pictures = self._offer_of_augmentation()
        self._advanced = AdvancedOptions(self)
        self._other_error = plain_label(role="error", wrap=True)
        self._other_error.setObjectName("error_other")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(M)
        layout.addWidget(self._picker)
        layout.addLayout(grid)
        layout.addLayout(run)
        layout.addWidget(self._other_error)
        layout.addWidget(self._few_pictures)
        layout.addWidget(self._advanced, 1)
        self.set_devices([])
        self.read_presets()
        self._fill_from_preset()
        for name, box in self._numbers.items():
            box.valueChanged.connect(partial(self._take_number, name))
        self._advanced.changed.connect(self._take_option)
        self._advanced.opened.connect(self._make_room)
        self._advanced.model_chosen.connect(self._take_model)
        self._device.currentIndexChanged.connect(self.changed)
        self._run.textChanged.connect(self.changed)

    @property
    def preset(self) -> Preset:
        """The preset chosen."""
        return self._picker.preset

    @property
    def is_advanced_open(self) -> bool:
        """Whether the advanced options are shown."""
        return self._advanced.is_open

    @property
    def run(self) -> Path:
        """Where the training is to live; empty text gives the current folder, which is never empty."""
        return typed_path(self._run.text())

    @property
    def device_words(self) -> str:
        """The device chosen, in words; for "auto" the best one found."""
        if self._device.currentData() == "auto" and self._best_device:
            return self._best_device
        return self._device.currentText() if self._device.currentData() != "auto" else ""

    @property
    def model(self) -> ModelInfo | None:
        """The model that the training starts from; None without one, and as long as it is none to start from."""
        return self._advanced.model

    @property
    def is_model_given(self) -> bool:
        """Whether the model came by `set_start_from` instead of being picked among the options."""
        return self._advanced.is_model_given

    def values(self) -> dict[str, object]:
        """The settings as fields of `TrainConfig`."""
        return {
            "size": self._size.value(),
            "epochs": self._epochs.value(),
            "decay_epochs": self._decay.value(),
            "device": self._device.currentData(),
            "run": self.run,
            **self._advanced.values(),
        }

    def changes(self) -> list[str]:
        """The advanced options that differ from the preset in words, such as "Adversarial loss: Hinge"."""
        return self._advanced.changes()

    def problems(self) -> dict[str, str]:
        """What is wrong with the settings whatever the rest of the training is, by field."""
        return self._advanced.problems()

    def set_devices(self, devices: list[tuple[str, str]]) -> None:
        """Offer these devices, the best first, as value and words; [] as long as they are not known."""
        chosen = self._device.currentData()
        # Automatic takes one device; all GPUs together are somebody's choice.
        self._best_device = next((words for value, words in devices if value != "all"), "")
        best = self.tr("Automatic ({device})").format(device=self._best_device) if devices else self.tr("Automatic")
        # Nobody should hear of a box that is empty for a moment.
        with QSignalBlocker(self._device):
            self._device.clear()
            self._device.addItem(best, "auto")
            for value, words in devices or [("cpu", self.tr("Processor (CPU)"))]:
                self._device.addItem(words, value)
            self._device.setCurrentIndex(max(0, self._device.findData(chosen)))
        self.changed.emit()

    def propose_preset(self, preset: str) -> None:
        """Choose this preset unless the user has chosen one."""
        if not self._is_preset_own:
            self._picker.choose(preset)

    def choose_preset(self, preset: str) -> None:
        """Choose this preset for the user, with all of its settings but the device and the model to start from."""
        self._is_preset_own = True
        self._picker.choose(preset)
        # A model that was given is trained on at the size it knows.
        self._own_numbers &= {"size"} if self.is_model_given else set()
        self._fill_from_preset()
        self._advanced.reset()

    def set_run(self, run: Path) -> None:
        """Propose a place for the training."""
        self._run.setText(str(run))

    def set_start_from(self, model: Path) -> None:
        """Begin with the networks of this model file or run, as the user's choice."""
        self._advanced.set_start_from(model)

    def set_names(self, name_A: str, name_B: str) -> None:
        """Call the domains by these names."""
        self._advanced.set_names(name_A, name_B)

    def set_counts(self, count_A: int, count_B: int) -> None:
        """Advise for so many pictures of each side."""
        self._counts = count_A, count_B
        self._show_offer()

    def set_config(self, config: TrainConfig) -> None:
        """Show these settings as the user's."""
        self._is_preset_own = True
        if not self._picker.choose(config.preset):  # One of the user's own that is gone since.
            self._picker.choose("standard")
        for name, box in self._numbers.items():
            box.setValue(getattr(config, name))
        self._advanced.set_values(config)
        if self._device.findData(config.device) < 0:
            self._device.addItem(config.device, config.device)
        self._device.setCurrentIndex(self._device.findData(config.device))
        self._run.setText(str(config.run))

    def take_changes(self, changes: Mapping[str, object]) -> None:
        """Choose these values of some settings for the user."""
        for field, value in changes.items():
            if field in self._numbers:
                assert isinstance(value, int)
                self._numbers[field].setValue(value)
            elif field == "device":
                self._device.setCurrentIndex(max(0, self._device.findData(value)))
            else:
                self._advanced.set_value(field, value)

    def show_errors(self, errors: dict[str, str]) -> None:
        """Show each sentence beside its field, and those of fields that are not here below them all."""
        for field, label in self._errors.items():
            label.setText(errors.get(field, ""))
            label.setVisible(field in errors)
            set_look(self._fields[field], "invalid", field in errors)
        advanced = self._advanced.show_errors(errors)
        others = [text for field, text in errors.items() if field not in self._errors and field not in advanced]
        self._other_error.setText("\n".join(others))
        self._other_error.setVisible(bool(others))

    @property
    def has_run_text(self) -> bool:
        """Whether a place for the training is given at all."""
        return bool(self._run.text().strip())

    def _field(
        self, text: str, field: QWidget, name: str, hint: str, row: QHBoxLayout | None = None
    ) -> tuple[QHBoxLayout, QVBoxLayout]:
        """The label of a field, and under it the field with what it means and its error below."""
        label = plain_label(text)
        label.setBuddy(field)
        title = text.replace("&", "")
        field.setAccessibleName(title)
        field.setAccessibleDescription(hint)
        error = plain_label(role="error", wrap=True)
        error.setObjectName(f"error_{name}")
        error.hide()
        self._errors[name], self._fields[name] = error, field
        above = QHBoxLayout()
        above.setSpacing(S)
        above.addWidget(label, 1)
        column = QVBoxLayout()
        column.setSpacing(XS)
        if row is None:
            column.addWidget(field)
        else:
            column.addLayout(row)
        if name in self._numbers:
            self._labels[name], self._resets[name] = label, reset_button(title)
            self._resets[name].setObjectName(f"reset_{name}")
            # No higher than the label.
            self._resets[name].setStyleSheet(f"padding: 0 {XS}px;")
            self._resets[name].clicked.connect(partial(self._reset_number, name))
            above.addWidget(self._resets[name])
        if row is None:
            meaning = plain_label(hint, role="muted", wrap=True)
            self._compact_parts.append(meaning)
            column.addWidget(meaning)
        column.addWidget(error)
        column.addStretch(1)
        return above, column

    # Presets of the user's own

    def read_presets(self) -> OwnPresets:
        """Show the user's own presets as they are on disk now."""
        own = read_presets(self._presets_folder)
        self._picker.set_own(other.preset for other in own.presets)
        self._picker.say(" ".join(own.problems))
        return own

    def _ask_for_name(self) -> None:
        names = [own.preset.name for own in read_presets(self._presets_folder).presets]
        dialog = SavePresetDialog(names, self)
        dialog.save_requested.connect(partial(self._save_preset, dialog))
        dialog.open()

    def _save_preset(self, dialog: SavePresetDialog, name: str, replace: bool) -> None:
        base = self.preset.begins_from or self.preset.name
        values = {field: value for field, value in self.values().items() if field not in ("run", "device")}
        somewhere = Path()
        try:
            config = preset_config(self.preset, folder_A=somewhere, folder_B=somewhere, run=somewhere, **values)
            save_preset(self._presets_folder, name, config, base=base, replace=replace)
        except EngineError as error:
            dialog.show_error(str(error))
            return
        dialog.accept()
        self.read_presets()
        self._is_preset_own = True
        self._picker.choose(name)
        # All of it is the preset's now, and nothing the user's on top.
        self._own_numbers.clear()
        self._fill_from_preset()
        self._advanced.set_values(config)
        self._picker.say(self.tr("Saved as {name}.").format(name=shown_text(name)))

    def _delete_preset(self) -> None:
        own = read_presets(self._presets_folder).find(self.preset.name)
        try:
            if own is not None:
                delete_preset(own)
        except EngineError as error:
            self._picker.say(str(error))
            return
        self._deleted = own
        self.read_presets()
        name = "" if own is None else shown_text(own.preset.name)
        self._picker.say(self.tr("{name} is deleted.").format(name=name), can_undo=own is not None)

    def _undo_delete(self) -> None:
        own, self._deleted = self._deleted, None
        if own is None:
            return
        config = preset_config(own.preset, folder_A=Path(), folder_B=Path(), run=Path())
        try:
            save_preset(self._presets_folder, own.preset.name, config, base=own.preset.begins_from)
        except EngineError as error:
            self._picker.say(str(error))
            return
        self.read_presets()
        self._picker.choose(own.preset.name)

    def _own_preset(self) -> None:
        self._is_preset_own = True

    def _take_preset(self) -> None:
        self._picker.say("")
        self._fill_from_preset()
        self.changed.emit()

    def _preset_config(self, **values: object) -> TrainConfig:
        somewhere = Path()
        return preset_config(self.preset, folder_A=somewhere, folder_B=somewhere, run=somewhere, **values)

    def _fill_from_preset(self) -> None:
        """Give everything that is not the user's own the preset's value."""
        config = self._preset_config()
        for name, box in self._numbers.items():
            if name not in self._own_numbers:
                with QSignalBlocker(box):
                    box.setValue(getattr(config, name))
        self._show_numbers()
        self._follow_size()

    def _take_number(self, name: str, _value: int) -> None:
        if self._numbers[name].value() == getattr(self._preset_config(), name):
            self._own_numbers.discard(name)
        else:
            self._own_numbers.add(name)
        self._show_numbers()
        if name == "size":
            self._follow_size()
        self.changed.emit()

    def _follow_size(self) -> None:
        """Some of a preset's values go with the size, such as that from which crops are taken."""
        try:
            config = self._preset_config(size=self._size.value())
        except ConfigError:  # Nonsense has an error beside it, and no proportions.
            config = self._preset_config()
        self._advanced.set_defaults(config)
        self._show_offer()

    def _reset_number(self, name: str) -> None:
        self._numbers[name].setFocus()
        self._numbers[name].setValue(getattr(self._preset_config(), name))

    def _take_option(self) -> None:
        self._show_offer()
        self.changed.emit()

    def _take_model(self, model: ModelInfo | None) -> None:
        """A model is best trained on at the size it knows."""
        if model is not None:
            self._size_of_model = model.size
            self._size.setValue(model.size)
            self._own_numbers.add("size")
        elif self._size.value() == self._size_of_model:
            self._own_numbers.discard("size")
            self._fill_from_preset()

    def _turn_on_augmentation(self) -> None:
        self._advanced.set_value("diff_augment", True)
        # The offer goes, and with it the focus.
        self._advanced.take_focus()

    # What is shown

    def _make_room(self, is_open: bool) -> None:
        """Put explanations away while the advanced options are shown."""
        for part in self._compact_parts:
            part.setVisible(not is_open)
        self._picker.set_compact(is_open)
        self._show_offer()
        self.advanced_opened.emit(is_open)

    def _show_numbers(self) -> None:
        """Mark what differs from the preset."""
        config = self._preset_config()
        for name, box in self._numbers.items():
            preset_value = getattr(config, name)
            is_changed = box.value() != preset_value
            mark_changed(self._labels[name], is_changed)
            self._resets[name].setVisible(is_changed)
            self._resets[name].setToolTip(
                plain_tooltip(self.tr("Back to the preset's {value:,}").format(value=preset_value))
            )

    def _show_offer(self) -> None:
        is_on = bool(self._advanced.value("diff_augment"))
        self._few_pictures.setVisible(
            not self._advanced.is_open
            and self._counts is not None
            and suggests_diff_augment(self.preset.name, is_on=is_on, count_A=self._counts[0], count_B=self._counts[1])
        )

    def _offer_of_augmentation(self) -> QWidget:
        offer = QWidget()
        offer.setObjectName("few_pictures")
        turn_on = button(self.tr("&Turn on"))
        turn_on.setObjectName("turn_on_augmentation")
        turn_on.setAccessibleDescription(self.tr("Turns on DiffAugment"))
        turn_on.clicked.connect(self._turn_on_augmentation)
        row = QHBoxLayout(offer)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(M)
        words = plain_label(
            self.tr(
                "With fewer than {count} pictures on a side, DiffAugment keeps the discriminators from learning them "
                "by heart."
            ).format(count=SMALL_SET),
            role="muted",
            wrap=True,
        )
        row.addWidget(words, 1)
        row.addWidget(turn_on)
        offer.hide()
        return offer

    def _ask_for_place(self) -> None:
        dialog = QFileDialog(self, self.tr("Choose where the training is saved"), str(self.run.parent))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._take_place)
        dialog.open()

    def _take_place(self, folder: str) -> None:
        self._run.setText(str(Path(folder) / self.run.name))
        self.run_edited.emit()


def _spin_box(name: str, low: int, high: int, suffix: str, step: int) -> NoWheelSpinBox:
    made = NoWheelSpinBox()
    made.setObjectName(name)
    made.setRange(low, high)
    made.setSuffix(suffix)
    made.setSingleStep(step)
    made.setGroupSeparatorShown(True)
    return made
