"""The wizard's second page: how to train, on what, and where the training lives."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.style import ACCENT, RADIUS, XS, L, M, S, colours
from cyclegan_desktop.widgets import NoWheelComboBox, NoWheelSpinBox, button, plain_label, set_look
from engine.config import PRESET_SUMMARIES, PresetName, TrainConfig, preset_config


class SettingsPage(QWidget):
    """Presets as cards, and the few settings that people change.

    Signals:
        changed: A setting was changed.
        run_edited: The user has said where the training is to live.
    """

    changed = Signal()
    run_edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._errors: dict[str, QLabel] = {}
        self._fields: dict[str, QWidget] = {}
        self._is_preset_own = False

        self._size = _spin_box("size", 8, 8192, self.tr(" px"), 4)
        self._epochs = _spin_box("epochs", 0, 1_000_000, "", 1)
        self._decay = _spin_box("decay_epochs", 0, 1_000_000, "", 1)
        self._device = NoWheelComboBox()
        self._device.setObjectName("device")
        self._run = QLineEdit()
        self._run.setObjectName("run")
        self._run.setAcceptDrops(False)
        self._run.textEdited.connect(self.run_edited)
        choose = button(self.tr("C&hoose..."), "folder")
        choose.setObjectName("choose_run")
        choose.clicked.connect(self._ask_for_place)
        self._cards = QButtonGroup(self)
        cards = QHBoxLayout()
        cards.setSpacing(M)
        for index, (preset, title) in enumerate(self._titles().items()):
            made = _PresetCard(title, PRESET_SUMMARIES[preset])
            made.setObjectName(f"preset_{preset}")
            self._cards.addButton(made, index)
            cards.addWidget(made)
        self._cards.button(0).setChecked(True)
        self._cards.idClicked.connect(self._own_preset)
        self._cards.idToggled.connect(self._take_preset)

        grid = QGridLayout()
        grid.setHorizontalSpacing(L)
        grid.setVerticalSpacing(M)
        fields = (
            (self.tr("Picture si&ze"), self._size, "size", self.tr("Side of the squares that are trained on")),
            (self.tr("&Epochs"), self._epochs, "epochs", self.tr("Passes over the pictures at the full rate")),
            (self.tr("&Decay epochs"), self._decay, "decay_epochs", self.tr("Passes after these, at a falling rate")),
            (self.tr("De&vice"), self._device, "device", self.tr("Automatic takes the fastest there is")),
        )
        for column, (text, field, name, hint) in enumerate(fields):
            grid.addLayout(self._field(text, field, name, hint), 0, column)
        for column, share in enumerate((3, 3, 3, 5)):
            grid.setColumnStretch(column, share)
        place = QHBoxLayout()
        place.setSpacing(S)
        place.addWidget(self._run, 1)
        place.addWidget(choose)
        run = self._field(self.tr("&Saved in"), self._run, "run", self.tr("A new folder for this training"), place)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(L)
        layout.addWidget(plain_label(self.tr("Preset"), role="heading"))
        layout.addLayout(cards)
        layout.addLayout(grid)
        layout.addLayout(run)
        self._other_error = plain_label(role="error", wrap=True)
        self._other_error.setObjectName("error_other")
        layout.addWidget(self._other_error)
        layout.addStretch(1)
        self.set_devices([])
        self._fill_from_preset()
        for box in (self._size, self._epochs, self._decay):
            box.valueChanged.connect(self.changed)
        self._device.currentIndexChanged.connect(self.changed)
        self._run.textChanged.connect(self.changed)

    @property
    def preset(self) -> PresetName:
        """The preset chosen."""
        return list(self._titles())[self._cards.checkedId()]

    @property
    def preset_title(self) -> str:
        """What the preset is called on screen."""
        return self._titles()[self.preset]

    @property
    def run(self) -> Path:
        """Where the training is to live; empty text gives the current folder, which is never empty."""
        return Path(self._run.text().strip()).expanduser().absolute()

    @property
    def device_words(self) -> str:
        """The device chosen, in words; for "auto" the best one found."""
        if self._device.currentData() == "auto" and self._best_device:
            return self._best_device
        return self._device.currentText() if self._device.currentData() != "auto" else ""

    def values(self) -> dict[str, object]:
        """The settings as fields of `TrainConfig`."""
        return {
            "size": self._size.value(),
            "epochs": self._epochs.value(),
            "decay_epochs": self._decay.value(),
            "device": self._device.currentData(),
            "run": self.run,
        }

    def set_devices(self, devices: list[tuple[str, str]]) -> None:
        """Offer these devices, the best first, as value and words; [] as long as they are not known."""
        chosen = self._device.currentData()
        self._best_device = devices[0][1] if devices else ""
        best = self.tr("Automatic ({device})").format(device=self._best_device) if devices else self.tr("Automatic")
        # Nobody should hear of a box that is empty for a moment.
        with QSignalBlocker(self._device):
            self._device.clear()
            self._device.addItem(best, "auto")
            for value, words in devices or [("cpu", self.tr("Processor (CPU)"))]:
                self._device.addItem(words, value)
            self._device.setCurrentIndex(max(0, self._device.findData(chosen)))
        self.changed.emit()

    def propose_preset(self, preset: PresetName) -> None:
        """Choose this preset unless the user has chosen one."""
        if not self._is_preset_own:
            self._cards.button(list(self._titles()).index(preset)).setChecked(True)

    def set_run(self, run: Path) -> None:
        """Propose a place for the training."""
        self._run.setText(str(run))

    def set_config(self, config: TrainConfig) -> None:
        """Show these settings as the user's."""
        self._is_preset_own = True
        self._cards.button(list(self._titles()).index(config.preset)).setChecked(True)
        self._size.setValue(config.size)
        self._epochs.setValue(config.epochs)
        self._decay.setValue(config.decay_epochs)
        if self._device.findData(config.device) < 0:
            self._device.addItem(config.device, config.device)
        self._device.setCurrentIndex(self._device.findData(config.device))
        self._run.setText(str(config.run))

    def show_errors(self, errors: dict[str, str]) -> None:
        """Show each sentence beside its field, and those of fields that are not here below them all."""
        for field, label in self._errors.items():
            label.setText(errors.get(field, ""))
            label.setVisible(field in errors)
            set_look(self._fields[field], "invalid", field in errors)
        others = [text for field, text in errors.items() if field not in self._errors]
        self._other_error.setText("\n".join(others))
        self._other_error.setVisible(bool(others))

    @property
    def has_run_text(self) -> bool:
        """Whether a place for the training is given at all."""
        return bool(self._run.text().strip())

    def _titles(self) -> dict[PresetName, str]:
        return {
            "quick": self.tr("Quick"),
            "standard": self.tr("Standard"),
            "paper": self.tr("Paper"),
            "reference": self.tr("Reference"),
        }

    def _field(self, text: str, field: QWidget, name: str, hint: str, row: QHBoxLayout | None = None) -> QVBoxLayout:
        """A field under its label, with what it means and its error below."""
        label = plain_label(text)
        label.setBuddy(field)
        field.setAccessibleName(text.replace("&", ""))
        field.setAccessibleDescription(hint)
        error = plain_label(role="error", wrap=True)
        error.setObjectName(f"error_{name}")
        error.hide()
        self._errors[name], self._fields[name] = error, field
        column = QVBoxLayout()
        column.setSpacing(XS)
        column.addWidget(label)
        if row is None:
            column.addWidget(field)
        else:
            column.addLayout(row)
        column.addWidget(plain_label(hint, role="muted", wrap=True))
        column.addWidget(error)
        column.addStretch(1)
        return column

    def _own_preset(self) -> None:
        self._is_preset_own = True

    def _take_preset(self, index: int, is_on: bool) -> None:
        if is_on:
            self._fill_from_preset()
            self.changed.emit()

    def _fill_from_preset(self) -> None:
        somewhere = Path()
        config = preset_config(self.preset, folder_A=somewhere, folder_B=somewhere, run=somewhere)
        self._size.setValue(config.size)
        self._epochs.setValue(config.epochs)
        self._decay.setValue(config.decay_epochs)

    def _ask_for_place(self) -> None:
        dialog = QFileDialog(self, self.tr("Choose where the training is saved"), str(self.run.parent))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._take_place)
        dialog.open()

    def _take_place(self, folder: str) -> None:
        self._run.setText(str(Path(folder) / self.run.name))
        self.run_edited.emit()


class _PresetCard(QAbstractButton):
    """A preset with its summary, one of which is checked."""

    def __init__(self, title: str, summary: str) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setAccessibleName(title)
        self.setAccessibleDescription(summary)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        words = plain_label(summary, role="muted", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(XS)
        layout.addWidget(plain_label(title, role="heading"))
        layout.addWidget(words, 1)
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def sizeHint(self) -> QSize:
        """Narrow, and as high as the words then are."""
        width = 180
        return QSize(width, max(120, self.heightForWidth(width)))

    def heightForWidth(self, width: int) -> int:
        """Height of the words in that width."""
        layout = self.layout()
        return layout.heightForWidth(width) if layout is not None else 0

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card, tinted when it is the one chosen."""
        scheme = colours()
        is_on = self.isChecked()
        fill = scheme.accent_soft if is_on else scheme.accent_hover if self.underMouse() else scheme.surface
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(
            QPen(QColor(ACCENT if is_on or self.hasFocus() else scheme.outline), 2 if self.hasFocus() else 1)
        )
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), RADIUS, RADIUS)


def _spin_box(name: str, low: int, high: int, suffix: str, step: int) -> NoWheelSpinBox:
    made = NoWheelSpinBox()
    made.setObjectName(name)
    made.setRange(low, high)
    made.setSuffix(suffix)
    made.setSingleStep(step)
    made.setGroupSeparatorShown(True)
    return made
