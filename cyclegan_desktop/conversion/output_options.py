"""The options of a conversion that most people never need, in a window of their own beside the page."""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

from PySide6.QtCore import QLocale, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QDialog,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.conversion.job_choices import JobChoices, problem_with
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import XL, XS, L, M, S
from cyclegan_desktop.widgets import NoWheelComboBox, button, disable_last, plain_label, plain_tooltip, set_look
from engine.config import Direction, OutputFormat
from engine.conversion.model_file import ModelInfo, model_name
from engine.conversion.naming import result_name

HAVE_QUALITY: Final = frozenset({"keep", "jpg", "webp", "avif", "jp2", "heic"})
HAVE_LOSSLESS: Final = frozenset({"keep", "webp", "avif", "jp2", "heic"})
HAVE_CHROMA: Final = frozenset({"keep", "jpg", "avif", "heic"})

_EDITOR_WIDTH: Final = 208
_TEXT_LINES: Final = 4
_SUFFIXES: Final[dict[OutputFormat, str]] = {"keep": ".jpg", "tiff": ".tif"}


class OutputOptions(QDialog):
    """Quality, names, limits and the rest, each with a sentence as its tooltip and a way back to its default.

    Every change counts at once; there is nothing to confirm.

    Signals:
        changed: The user has changed something.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("output_options")
        self.setWindowTitle(self.tr("More options"))
        self.setModal(False)
        self._format: OutputFormat = "keep"
        self._direction_words = self.tr("A to B")
        self._model_name = self.tr("Model")
        self._rows: dict[str, _Row] = {}

        columns = QHBoxLayout()
        columns.setSpacing(XL)
        columns.addLayout(self._make_result())
        columns.addLayout(self._make_work())
        self._all_defaults = button(self.tr("&Back to the defaults"))
        self._all_defaults.setObjectName("more_defaults")
        self._all_defaults.clicked.connect(self._reset_all)
        close = button(self.tr("&Close"))
        close.setObjectName("more_close")
        close.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.setSpacing(S)
        buttons.addWidget(self._all_defaults)
        buttons.addStretch()
        buttons.addWidget(close)
        self._contents = QWidget()
        self._contents.setLayout(columns)
        columns.setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(L)
        layout.addWidget(self._contents)
        layout.addStretch()
        layout.addLayout(buttons)
        self.set_values(JobChoices())

    @property
    def values(self) -> dict[str, Any]:
        """What is chosen here, as fields of `JobChoices`."""
        return {field: row.value for field, row in self._rows.items()}

    @property
    def problem(self) -> str:
        """What is wrong with what is chosen, as a sentence; "" for nothing."""
        return problem_with("name", self.values["name"])

    def set_values(self, choices: JobChoices) -> None:
        """Show other choices."""
        for field, row in self._rows.items():
            row.set_value(getattr(choices, field))
        self._refresh()

    def set_format(self, output_format: OutputFormat) -> None:
        """Offer what this format of the results has."""
        self._format = output_format
        self._refresh()

    def set_model(self, model: ModelInfo | None, direction: Direction) -> None:
        """Show names as this model would give them."""
        if model is not None:
            self._model_name = model_name(model.path)
            self._direction_words = model.direction_name(direction)
        self._refresh()

    def set_changeable(self, changeable: bool) -> None:
        """Whether anything can be chosen now."""
        self._contents.setEnabled(changeable)
        self._refresh()

    def summary(self) -> list[str]:
        """What differs from the defaults and has an effect, a few words each."""
        values, defaults = self.values, JobChoices()
        words: dict[str, str] = {
            "quality": self.tr("quality {0}").format(values["quality"]),
            "lossless": self.tr("lossless"),
            "chroma": self.tr("colour {0}").format(values["chroma"]),
            "frames": self.tr("first frame only"),
            "name": self.tr("names like {0}").format(values["name"]),
            "watch": self.tr("watching the folders"),
            "again": self.tr("converting again what was converted"),
            "max_megapixels": self.tr("up to {0} MP").format(f"{values['max_megapixels']:,}"),
            "time_limit": self.tr("at most {0} s a picture").format(_number_words(values["time_limit"])),
            "memory_gb": self.tr("{0} GB of memory").format(_number_words(values["memory_gb"] or 0)),
            "device": self.tr("on {0}").format(self._rows["device"].words),
            "engine": self.tr("by {0}").format(self._rows["engine"].words),
        }
        return [
            text
            for field, text in words.items()
            if values[field] != getattr(defaults, field) and self._rows[field].editor.isEnabledTo(self._contents)
        ]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Press the button that has the focus, which none is by default."""
        focused = self.focusWidget()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and isinstance(focused, QAbstractButton):
            focused.click()
        else:
            super().keyPressEvent(event)

    # How it is made

    def _make_result(self) -> QVBoxLayout:
        column = _Column()
        column.add_heading(self.tr("Results"))
        self._add(
            column,
            "quality",
            self.tr("&Quality"),
            _Number(1, 100, whole=True),
            self.tr("How much of each picture the files keep: 90 is hard to tell from the source, less is smaller."),
        )
        self._add(
            column,
            "lossless",
            self.tr("&Lossless"),
            _Switch(self.tr("Keep every pixel")),
            self.tr("WebP, AVIF, JPEG 2000 and HEIC files that lose nothing and are several times larger."),
        )
        chroma = _Choice(("4:4:4", "4:4:4"), ("4:2:2", "4:2:2"), ("4:2:0", "4:2:0"))
        chroma.setItemText(0, self.tr("4:4:4 (all of it)"))
        chroma.setItemText(2, self.tr("4:2:0 (smallest)"))
        self._add(
            column,
            "chroma",
            self.tr("Colo&ur detail"),
            chroma,
            self.tr("How much of the colour's detail JPEG, AVIF and HEIC files keep; brightness keeps all of it."),
        )
        self._add(
            column,
            "frames",
            self.tr("&Frames"),
            _Choice((self.tr("All frames"), "all"), (self.tr("First only"), "first")),
            self.tr("Whether every page of a TIFF and every frame of an animation is converted, or the first alone."),
        )
        column.add_heading(self.tr("Names"))
        self._add(
            column,
            "name",
            self.tr("&Name"),
            _Template(),
            self.tr(
                "How results are called: {name} is the picture's name, {direction} and {model} say how it was made, "
                "{date} is today, {index} counts."
            ),
        )
        self._example = plain_label(role="muted", wrap=True)
        self._example.setObjectName("more_name_example")
        self._name_problem = plain_label(role="error", wrap=True)
        self._name_problem.setObjectName("more_name_problem")
        column.add_text(self._example)
        column.add_text(self._name_problem)
        column.addStretch()
        return column

    def _make_work(self) -> QVBoxLayout:
        column = _Column()
        column.add_heading(self.tr("Which pictures"))
        self._add(
            column,
            "watch",
            self.tr("&Watch"),
            _Switch(self.tr("Convert new ones as they come")),
            self.tr("After the last picture it waits for new ones in the folders, until you stop it."),
        )
        self._add(
            column,
            "again",
            self.tr("&Again"),
            _Switch(self.tr("Also what is converted already")),
            self.tr("Otherwise pictures whose results are there, of the same model and settings, are skipped."),
        )
        self._add(
            column,
            "max_megapixels",
            self.tr("Lar&gest picture"),
            _Number(1, 100_000, whole=True, unit=self.tr("MP"), step=50),
            self.tr("Pictures with more million pixels are refused unread, since a small file can hold a huge one."),
        )
        column.add_heading(self.tr("Work"))
        gpu = (self.tr("Apple GPU"), "mps") if sys.platform == "darwin" else (self.tr("NVIDIA GPU"), "cuda")
        device = _Choice((self.tr("Automatic"), "auto"), (self.tr("CPU"), "cpu"), gpu)
        self._add(
            column,
            "device",
            self.tr("&Device"),
            device,
            self.tr("What computes the results; Automatic takes a GPU where there is one."),
        )
        device.setObjectName("convert_device")
        engine = _Choice((self.tr("Automatic"), "auto"), ("PyTorch", "pytorch"), ("OpenVINO", "openvino"))
        if find_spec("openvino") is None:
            disable_last(
                engine,
                self.tr(
                    'OpenVINO needs the extra "openvino": pip install "cyclegan-desktop[openvino]", then start anew.'
                ),
            )
        self._add(
            column,
            "engine",
            self.tr("&Engine"),
            engine,
            self.tr(
                "The program that computes the networks; Automatic takes OpenVINO where it is installed and faster. "
                "Their results differ a little."
            ),
        )
        self._add(
            column,
            "memory_gb",
            self.tr("&Memory"),
            _Number(0, 10_000, unit=self.tr("GB"), none=self.tr("Automatic"), step=0.5),
            self.tr("What one picture may take; larger ones are worked on in strips, with the same result."),
        )
        self._add(
            column,
            "time_limit",
            self.tr("&Time limit"),
            _Number(1, 1_000_000, unit=self.tr("s"), step=10),
            self.tr("Seconds for reading a picture, and for writing its result; it then counts as failed."),
        )
        column.addStretch()
        return column

    def _add(self, column: _Column, field: str, title: str, editor: _Editor, help_text: str) -> None:
        row = _Row(field, title, editor, help_text, self)
        row.changed.connect(self._take_change)
        self._rows[field] = row
        column.add_row(row)

    # What happens

    def _take_change(self) -> None:
        self._refresh()
        self.changed.emit()

    def _reset_all(self) -> None:
        self.set_values(JobChoices())
        self.changed.emit()

    def _refresh(self) -> None:
        """Let everything follow from the values, the format and the model."""
        values, rows = self.values, self._rows
        lossless = values["lossless"] and self._format in HAVE_LOSSLESS
        # Of a kept format it is not known whether it can be lossless: a JPEG cannot.
        has_loss = self._format == "keep" or not lossless
        rows["quality"].set_usable(self._format in HAVE_QUALITY and has_loss)
        rows["lossless"].set_usable(self._format in HAVE_LOSSLESS)
        rows["chroma"].set_usable(self._format in HAVE_CHROMA and has_loss)
        for row in rows.values():
            row.refresh()
        self._all_defaults.setEnabled(self._contents.isEnabled() and any(row.is_changed for row in rows.values()))

        problem = self.problem
        rows["name"].set_invalid(bool(problem))
        self._name_problem.setText(shown_paragraph(problem))
        self._name_problem.setVisible(bool(problem))
        self._example.setVisible(not problem)
        if not problem:
            self._example.setText(shown_paragraph(self._example_words(values["name"])))

    def _example_words(self, template: str) -> str:
        source = Path(self.tr("photo.jpg"))
        name = result_name(
            template,
            source=source,
            suffix=_SUFFIXES.get(self._format, f".{self._format}"),
            direction=self._direction_words,
            model=self._model_name,
            date=datetime.date.today(),
            index=1,
        )
        return self.tr("{0} becomes {1}").format(source.name, name)


class _Column(QVBoxLayout):
    """Headings, and rows below them that are aligned with one another."""

    def __init__(self) -> None:
        super().__init__()
        self.setSpacing(S)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(M)
        self._grid.setVerticalSpacing(S)
        self._grid.setColumnMinimumWidth(1, _EDITOR_WIDTH)
        self._grid.setColumnStretch(1, 1)
        self.addLayout(self._grid)

    def add_heading(self, text: str) -> None:
        if self._grid.count():
            self._grid.setRowMinimumHeight(self._grid.rowCount(), XS)
        self._grid.addWidget(plain_label(text, role="heading"), self._grid.rowCount(), 0, 1, 3)

    def add_row(self, row: _Row) -> None:
        line = self._grid.rowCount()
        for column, part in enumerate((row.label, row.editor, row.reset)):
            self._grid.addWidget(part, line, column)

    def add_text(self, label: QLabel) -> None:
        # Room for the longest sentence: the window would not grow with it.
        label.setMinimumHeight(_TEXT_LINES * label.fontMetrics().lineSpacing())
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(label, self._grid.rowCount(), 1, 1, 2)


class _Row(QWidget):
    """An option: its title, its editor, and the way back to its default. Its parts lie in the grid of a column."""

    changed = Signal()

    def __init__(self, field: str, title: str, editor: _Editor, help_text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.hide()  # Only its parts are seen.
        self._default = getattr(JobChoices(), field)
        self.editor = editor
        editor.setObjectName(f"more_{field}")
        editor.setAccessibleName(title.replace("&", ""))
        editor.setAccessibleDescription(help_text)
        editor.edited.connect(self.changed)
        self.label = plain_label(title)
        self.label.setBuddy(editor)
        for part in (self.label, editor):
            part.setToolTip(plain_tooltip(help_text))
        self.reset = QToolButton()
        self.reset.setText(self.tr("Reset"))
        self.reset.setObjectName(f"more_reset_{field}")
        self.reset.setToolTip(self.tr("Back to the default"))
        self.reset.setAccessibleName(self.tr("Back to the default of {0}").format(title.replace("&", "")))
        self.reset.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        self.reset.clicked.connect(self._take_default)

    @property
    def value(self) -> Any:
        """What is chosen."""
        return self.editor.chosen()

    @property
    def words(self) -> str:
        """What is chosen, as it stands in its editor."""
        return self.editor.currentText() if isinstance(self.editor, _Choice) else str(self.value)

    @property
    def is_changed(self) -> bool:
        """Whether it differs from its default."""
        return bool(self.value != self._default)

    def set_value(self, value: object) -> None:
        """Choose this in silence."""
        with QSignalBlocker(self.editor):
            self.editor.choose(value)

    def set_usable(self, usable: bool) -> None:
        """Whether it has an effect now."""
        for part in (self.label, self.editor, self.reset):
            part.setEnabled(usable)

    def set_invalid(self, invalid: bool) -> None:
        """Show that what is chosen cannot be used."""
        set_look(self.editor, "invalid", invalid)

    def refresh(self) -> None:
        """Show whether it differs from its default."""
        set_look(self.label, "changed", self.is_changed)
        self.reset.setVisible(self.is_changed)

    def _take_default(self) -> None:
        # The button goes, and the focus must not go with it.
        self.editor.setFocus()
        self.set_value(self._default)
        self.changed.emit()


# The editors: `chosen` is the value now, `choose` takes another one, and `edited` tells of a change.


class _Switch(QCheckBox):
    edited = Signal()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.toggled.connect(self.edited)

    def chosen(self) -> bool:
        return self.isChecked()

    def choose(self, value: object) -> None:
        self.setChecked(bool(value))


class _Choice(NoWheelComboBox):
    edited = Signal()

    def __init__(self, *choices: tuple[str, str]) -> None:
        super().__init__()
        for text, value in choices:
            self.addItem(text, value)
        self.currentIndexChanged.connect(self.edited)

    def chosen(self) -> str:
        return str(self.currentData())

    def choose(self, value: object) -> None:
        if self.findData(value) < 0:  # Such as the second GPU of a machine.
            self.addItem(str(value), value)
        self.setCurrentIndex(self.findData(value))


class _Template(QLineEdit):
    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(False)
        self.textChanged.connect(self.edited)

    def chosen(self) -> str:
        return self.text()

    def choose(self, value: object) -> None:
        self.setText(str(value))
        self.setCursorPosition(0)


class _Number(QDoubleSpinBox):
    """A number with its unit, shown without zeros at its end; where there may be none, its lowest stands for that."""

    edited = Signal()

    def __init__(
        self, low: int, high: int, *, whole: bool = False, unit: str = "", none: str = "", step: float = 1
    ) -> None:
        super().__init__()
        self._is_whole = whole
        self._has_none = bool(none)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # A style sheet cannot give the text inside a spin box room on its left.
        self.lineEdit().setTextMargins(S, 0, 0, 0)
        self.setDecimals(0 if whole else 2)
        self.setRange(low, high)
        self.setSingleStep(step)
        self.setGroupSeparatorShown(True)
        self.setSpecialValueText(none)
        if unit:
            self.setSuffix(f" {unit}")
        self.valueChanged.connect(self.edited)

    def chosen(self) -> float | int | None:
        if self._has_none and self.value() == self.minimum():
            return None
        return round(self.value()) if self._is_whole else self.value()

    def choose(self, value: object) -> None:
        self.setValue(value if isinstance(value, int | float) else self.minimum())

    def textFromValue(self, value: float) -> str:
        """Without zeros at its end."""
        return _number_words(value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the window unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


_Editor: TypeAlias = _Switch | _Choice | _Template | _Number


def _number_words(value: float) -> str:
    places = len(f"{Decimal(repr(round(float(value), 2))):f}".partition(".")[2].rstrip("0"))
    return QLocale().toString(float(value), "f", places)
