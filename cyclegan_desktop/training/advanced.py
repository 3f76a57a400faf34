"""Every option of a training that most people leave to the preset, to be found, understood, changed and put back."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from PySide6.QtCore import QCoreApplication, QLocale, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import XS, M, S
from cyclegan_desktop.widgets import NoWheelComboBox, button, card, plain_label, plain_tooltip, set_look
from engine.config import TrainConfig
from engine.conversion.model_file import ModelInfo, read_model_info
from engine.errors import ModelFileError
from engine.options import OPTIONS, Option

_EDITOR_WIDTH = 300
_PIECE_SECONDS = 0.012
_BREATH_MILLISECONDS = 2
_DECIMALS = 6
# Where the arrow begins that leads from nothing to a number.
_FIRST_NUMBERS = {
    "width": 256,
    "discriminator_channels": 64,
    "grow_from": 64,
    "max_steps": 1000,
    "max_minutes": 60,
    "clip_gradient": 1,
}


def reset_button(option: str) -> QToolButton:
    """A button back to the preset's value of this option; the room for it stays when it is hidden."""
    made = QToolButton()
    made.setText(_tr("Reset"))
    made.setToolTip(plain_tooltip(_tr("Back to the preset's value")))
    made.setAccessibleName(_tr("Back to the preset's value of {option}").format(option=option))
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    policy = made.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    made.setSizePolicy(policy)
    return made


def mark_changed(label: QLabel, is_changed: bool) -> None:
    """Show the title of an option in bold as long as it differs from the preset."""
    set_look(label, "changed", is_changed)


def typed_path(text: str) -> Path:
    """The path that somebody has typed, "~" meaning his home."""
    path = Path(text.strip())
    # On the way to "~/models" everybody types "~", and nobody is called "~m".
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    return path.absolute()


class AdvancedOptions(QWidget):
    """A button that opens all options, how many of them differ from the preset, and the options themselves.

    An option that the user has changed keeps its value when the preset changes; all others follow the preset.

    The rows are made when the options are first shown, a few at a time: all of them take a third of a second, and most
    people never open them.

    Signals:
        changed: An option was changed.
        opened: The options were shown (True) or put away.
        model_chosen: The training is to start from this model: `ModelInfo`, or None for no model any more.
    """

    changed = Signal()
    opened = Signal(bool)
    model_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model: ModelInfo | None = None
        self._of_model: dict[str, object] = {}
        self._model_problem = ""
        self._is_model_given = False
        self._shown_error = ""
        # Rows that are shown whatever is looked for: those with an error, also when it has just been mended.
        self._held: set[str] = set()
        self._found: set[str] = set()

        self._toggle = button(self.tr("&Advanced options"))
        self._toggle.setObjectName("advanced")
        self._toggle.setCheckable(True)
        self._toggle.toggled.connect(self._show_options)
        self._toggle.clicked.connect(self._move_focus)
        self._search = _SearchField()
        self._search.setObjectName("find_option")
        self._search.textChanged.connect(self._find)
        self._search.found.connect(self._focus_first)
        self._count = plain_label()
        mark_changed(self._count, True)
        self._count.setObjectName("options_changed")
        self._reset = button(self.tr("&Reset all"))
        self._reset.setObjectName("reset_options")
        self._reset.clicked.connect(self._reset_all)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self).activated.connect(self._search.setFocus)

        head = QHBoxLayout()
        head.setSpacing(M)
        head.addWidget(self._toggle)
        head.addWidget(self._search, 1)
        head.addStretch(0)
        head.addWidget(self._count)
        head.addWidget(self._reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(M)
        layout.addLayout(head)
        # From the outside in: a widget that gets its parent late is dressed again with all that is in it.
        self._scroll = QScrollArea(self)
        self._scroll.setObjectName("options")
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setMinimumHeight(130)
        self._contents = QWidget()
        self._scroll.setWidget(self._contents)
        column = QVBoxLayout(self._contents)
        # On the right the scroll bar has room of its own.
        column.setContentsMargins(0, 0, S, 0)
        column.setSpacing(S)
        self._options = {option.field: _Chosen(option) for option in _offered()}
        self._rows: dict[str, _OptionRow] = {}
        self._groups: dict[str, tuple[QWidget, ...]] = {}
        self._nothing = plain_label(self.tr("No option is called that."), role="muted")
        column.addWidget(self._nothing)
        column.addStretch(1)
        self._column = column
        self._making: Iterator[None] | None = None
        self._make_soon = QTimer(self, singleShot=True, interval=_BREATH_MILLISECONDS)
        self._make_soon.timeout.connect(self._make_some)

        layout.addWidget(self._scroll, 1)
        # It takes the room only while the options are put away.
        layout.addStretch(0)
        self._filter("")
        self._show_options(False)
        self._show_count()

    @property
    def is_open(self) -> bool:
        """Whether the options are shown."""
        return self._toggle.isChecked()

    @property
    def model(self) -> ModelInfo | None:
        """The model that the training starts from; None without one, and as long as it is none to start from."""
        return None if self._model_problem else self._model

    @property
    def is_model_given(self) -> bool:
        """Whether the model came by `set_start_from`: it is what the training is about, more than an option."""
        return self._is_model_given and self.model is not None

    def values(self) -> dict[str, object]:
        """The options that differ from the preset, as fields of `TrainConfig`."""
        return {field: option.value for field, option in self._options.items() if option.is_changed}

    def value(self, field: str) -> object:
        """What is chosen for this field of `TrainConfig`."""
        return self._options[field].value

    def changes(self) -> list[str]:
        """The options that differ from the preset in words, such as "Adversarial loss: Hinge"."""
        return [
            self.tr("{option}: {value}").format(option=option.title, value=option.value_words)
            for option in self._options.values()
            if option.is_changed
        ]

    def problems(self) -> dict[str, str]:
        """What is wrong with the options whatever the rest of the training is, by field."""
        return {"start_from": self._model_problem} if self._model_problem else {}

    def set_defaults(self, config: TrainConfig) -> None:
        """Take the preset's values: they are those of every option that is not the user's own."""
        for field, option in self._options.items():
            option.set_default(getattr(config, field))
        self._show_count()

    def set_values(self, config: TrainConfig) -> None:
        """Show these options as the user's; those that are the preset's stay the preset's."""
        for field, option in self._options.items():
            option.set_value(getattr(config, field))
        self._read_model()
        self._show_count()
        self.changed.emit()

    def set_value(self, field: str, value: object) -> None:
        """Choose this for the user."""
        self._options[field].set_value(value)
        self._take_change()

    def set_start_from(self, model: Path) -> None:
        """Choose this model file or run for the user; resetting all options leaves it, resetting this one does not."""
        self._is_model_given = True
        self._options["start_from"].set_value(model.absolute())
        self._take_model()
        self._take_change()

    def set_names(self, name_A: str, name_B: str) -> None:
        """Name the domains in the titles of options that are about one of them."""
        for field, option in self._options.items():
            option.set_name({"_A": name_A, "_B": name_B}.get(field[-2:], ""))

    def take_focus(self) -> None:
        """Put the keyboard to the button that opens the options."""
        self._toggle.setFocus()

    def show_errors(self, errors: dict[str, str]) -> set[str]:
        """Show each sentence beside its option, and the options if one of them has an error.

        Returns:
            The fields whose errors are shown here.
        """
        bad = [field for field in self._options if field in errors]
        self._held.update(bad)
        for field, option in self._options.items():
            option.set_error(errors.get(field, ""))
        self._filter(self._search.text())
        # Put away, an error would block the way unseen.
        self._toggle.setEnabled(not bad)
        self._toggle.setToolTip(self.tr("Mend what is marked in red first") if bad else "")
        first = bad[0] if bad else ""
        if first and (first != self._shown_error or not self.is_open):
            self._toggle.setChecked(True)
            # The rows get their places when this is laid out.
            QTimer.singleShot(0, self, self._scroll_to_error)
        self._shown_error = first
        return set(bad)

    def make_rows(self) -> None:
        """Make all rows at once, for whoever cannot wait for them."""
        if self._making is None:
            self._making = self._make()
        for _ in self._making:
            pass

    # What happens to the options

    def _take_change(self) -> None:
        self._show_count()
        self.changed.emit()

    def reset(self) -> None:
        """Give every option the preset's value, but for a model that was given, and what fits it."""
        kept = self._kept()
        for field, option in self._options.items():
            if field in kept:
                option.set_value(kept[field], stays=True)
            else:
                option.reset()
        self._take_model()
        self._take_change()

    def _reset_all(self) -> None:
        self.reset()
        # The button goes. While an option has an error, the one that opens the options takes no focus.
        (self._search if self.is_open else self._toggle).setFocus()

    def _kept(self) -> dict[str, object]:
        """What resetting all options leaves as it is: a model that was given, and what fits it."""
        return {"start_from": self._options["start_from"].value, **self._of_model} if self.is_model_given else {}

    def _take_model(self) -> None:
        """Take what the networks of the chosen model are made of: its weights fit no others."""
        before, of_before = self._model, self._of_model
        self._read_model()
        if self._options["start_from"].value is None:
            self._is_model_given = False
        if self._model == before:
            return
        for field, value in of_before.items():
            if self._options[field].value == value:
                self._options[field].reset()
        for field, value in self._of_model.items():
            self._options[field].set_value(value, stays=True)
        self.model_chosen.emit(self._model)

    def _read_model(self) -> None:
        path = self._options["start_from"].value
        self._model, self._of_model, self._model_problem = None, {}, ""
        self._options["start_from"].set_note("")
        if not isinstance(path, Path):
            return
        try:
            self._model = read_model_info(path)
        except ModelFileError as error:
            self._model_problem = shown_paragraph(str(error))
            return
        if len(self._model.directions) < 2:
            self._model_problem = self.tr(
                "This model converts {direction} only; a training begins with both directions. Choose another model."
            ).format(direction=shown_paragraph(self._model.direction_name(self._model.directions[0])))
        self._of_model = {field: value for field, value in self._model.settings.items() if field != "size"}
        self._options["start_from"].set_note(
            self.tr("A model of {A} and {B}: the first folder takes the place of {A}.").format(
                A=shown_text(self._model.name_A), B=shown_text(self._model.name_B)
            )
        )

    # What is shown

    def _show_options(self, is_on: bool) -> None:
        self._scroll.setVisible(is_on)
        self._search.setVisible(is_on)
        if is_on:
            self._make_soon.start()
        self.opened.emit(is_on)

    def _move_focus(self, is_open: bool) -> None:
        """Begin with the search, and be back at the button after it."""
        (self._search if is_open else self._toggle).setFocus()

    def _show_count(self) -> None:
        count = len(self.values())
        words = self.tr("1 option changed") if count == 1 else self.tr("{count} options changed").format(count=count)
        self._count.setText(words)
        self._count.setVisible(count > 0)
        self._count.setToolTip(plain_tooltip(", ".join(self.changes())))
        kept = self._kept()
        is_other = (
            option.value != kept[field] if field in kept else option.is_changed
            for field, option in self._options.items()
        )
        self._reset.setVisible(any(is_other))
        self._reset.setToolTip(
            self.tr("Give every option the preset's value again, but go on with the networks of the model")
            if kept
            else self.tr("Give every option the preset's value again")
        )

    def _find(self, text: str) -> None:
        self._held = {field for field, option in self._options.items() if option.error}
        self._filter(text)
        self._scroll.verticalScrollBar().setValue(0)

    def _filter(self, text: str) -> None:
        """Show the options that hold all these words, and those that are held."""
        words = text.casefold().split()
        found = self._found = {
            field
            for field, option in self._options.items()
            if field in self._held or all(word in option.search_text for word in words)
        }
        for field, row in self._rows.items():
            row.setVisible(field in found)
        for group, parts in self._groups.items():
            for part in parts:
                part.setVisible(any(option.group == group for field, option in self._options.items() if field in found))
        self._nothing.setVisible(not found)

    def _focus_first(self) -> None:
        self.make_rows()
        first = next((row for row in self._rows.values() if not row.isHidden()), None)
        if first is not None:
            first.editor.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self._scroll.ensureWidgetVisible(first)

    def _scroll_to_error(self) -> None:
        row = self._rows.get(self._shown_error)
        if row is None:  # None, or it is not made yet.
            return
        self._scroll.ensureWidgetVisible(row)
        at_work = self.focusWidget()
        if at_work is not None and self._contents.isAncestorOf(at_work):
            # Nobody likes to lose sight of what he is typing.
            self._scroll.ensureWidgetVisible(at_work)

    # The rows

    def _make_some(self) -> None:
        """Make rows for a moment, and go on after a breath."""
        if self._making is None:
            self._making = self._make()
        until = time.monotonic() + _PIECE_SECONDS
        for _ in self._making:
            if time.monotonic() > until:
                self._make_soon.start()
                return
        self._scroll_to_error()

    def _make(self) -> Iterator[None]:
        """Make the rows, one after the other, above what stands for none."""
        for place, (title, options) in enumerate(groupby(self._options.values(), lambda option: option.group)):
            # From the outside in: a widget that gets its parent late is dressed again with all that is in it.
            heading, frame = plain_label(title, role="heading"), card()
            self._column.insertWidget(2 * place, heading)
            self._column.insertWidget(2 * place + 1, frame)
            inside = QVBoxLayout(frame)
            inside.setContentsMargins(M, M, M, M)
            inside.setSpacing(M)
            self._groups[title] = (heading, frame)
            for option in options:
                row = _OptionRow(option, frame)
                inside.addWidget(row)
                if option.field == "start_from":
                    row.changed.connect(self._take_model)
                row.changed.connect(self._take_change)
                self._rows[option.field] = row
                row.setVisible(option.field in self._found)
                for part in self._groups[title]:
                    if part.isHidden() and option.field in self._found:
                        part.show()
                yield
        self._let_others_follow()

    def _let_others_follow(self) -> None:
        """Have the Tab key reach what stands below only after the rows, which were made later than it."""
        others: list[QWidget] = []
        at = self._scroll.nextInFocusChain()
        while at is not None and not isinstance(at, _OptionRow):
            if not self.isAncestorOf(at) and at.focusPolicy() & Qt.FocusPolicy.TabFocus and at.focusProxy() is None:
                others.append(at)
            at = at.nextInFocusChain()
        last: QWidget = list(self._rows.values())[-1].last
        for other in others:
            QWidget.setTabOrder(last, other)
            last = other


class _Chosen:
    """What is chosen for an option, whether or not a row shows it.

    Attributes:
        row: What shows it, once it is made.
        value: What is chosen.
        error: What is wrong with it, "" for nothing.
    """

    def __init__(self, option: Option) -> None:
        self.option = option
        self.field, self.group = option.field, option.group
        choices = (words for _, words in option.choices)
        self.search_text = " ".join((option.title, option.explanation, option.group, option.field, *choices)).casefold()
        self.title = option.title
        self.row: _OptionRow | None = None
        self.value = _fitting(option, None)
        self.error = ""
        self._default: object = None
        self._is_own = False
        self._note = ""

    @property
    def value_words(self) -> str:
        """What is chosen, in words."""
        return self._words(self.value)

    @property
    def explanation(self) -> str:
        """What the option means, or what is chosen, and the preset's value."""
        default = _tr("Default: {value}.").format(value=self._words(self._default))
        return f"{self._note or self.option.explanation} {default}"

    @property
    def is_changed(self) -> bool:
        """Whether what is chosen differs from the preset's value."""
        return self.value != self._default

    def set_default(self, value: object) -> None:
        """Take this as the preset's value, which is chosen unless the user has chosen something himself."""
        if value == self._default and (self._is_own or not self.is_changed):
            return
        self._default = value
        if not self._is_own:
            self.value = _fitting(self.option, value)
        self._show()

    def set_value(self, value: object, *, stays: bool = False) -> None:
        """Choose this for the user.

        Args:
            value: A value of the option.
            stays: Whether it stays when the preset changes also if it is the preset's now.
        """
        self.value = _fitting(self.option, value)
        self._is_own = stays or self.is_changed
        self._show()

    def reset(self) -> None:
        """Choose the preset's value."""
        self.set_value(self._default)

    def set_name(self, name: str) -> None:
        """Name the domain that the option is about; "" for an option about none."""
        title = self.option.title
        self.title = _tr("{option} ({name})").format(option=title, name=name) if name else title
        self._show()

    def set_error(self, text: str) -> None:
        """Say what is wrong; "" for nothing."""
        if text != self.error:
            self.error = text
            self._show()

    def set_note(self, text: str) -> None:
        """Explain what is chosen instead of the option; "" for the option."""
        self._note = text
        self._show()

    def _words(self, value: object) -> str:
        """A value of the option as it is read."""
        if value is None:
            return self.option.none
        if isinstance(value, bool):
            return _tr("on") if value else _tr("off")
        if isinstance(value, int | float):
            return f"{_number_words(value)} {self.option.unit}".rstrip()
        return dict(self.option.choices).get(str(value), str(value))

    def _show(self) -> None:
        if self.row is not None:
            self.row.show_chosen()


def _fitting(option: Option, value: object) -> object:
    """A value as the option's editor has it."""
    match option.kind:
        case "bool":
            return bool(value)
        case "choice":
            return str(value)
        case "int" | "float":
            number = value if isinstance(value, int | float) else 0
            return None if option.none and number == 0 else number
        case "model":
            return typed_path(str(value)) if isinstance(value, Path) else None


class _OptionRow(QWidget):
    """An option: its title and what it means, its editor and the preset's value, and what is wrong with it.

    Signals:
        changed: The user has chosen something.
    """

    changed = Signal()

    def __init__(self, option: _Chosen, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(f"option_{option.field}")
        self._option = option
        self.editor = _editor(option.option)
        self.editor.setObjectName(option.field)
        self.editor.setFixedWidth(_EDITOR_WIDTH)
        self._title = plain_label(wrap=True)
        self._title.setBuddy(self.editor)
        self._explanation = plain_label(role="muted", wrap=True)
        self._explanation.setObjectName(f"explanation_{option.field}")
        self._reset = reset_button(option.option.title)
        self._reset.setObjectName(f"reset_{option.field}")
        self._reset.clicked.connect(self._reset_by_hand)
        self._error = plain_label(role="error", wrap=True)
        self._error.setObjectName(f"error_{option.field}")

        words = QVBoxLayout()
        words.setSpacing(XS)
        for part in (self._title, self._explanation, self._error):
            words.addWidget(part)
        words.addStretch(1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(M)
        layout.addLayout(words, 1)
        layout.addWidget(self._reset, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.editor, 0, Qt.AlignmentFlag.AlignTop)
        # A group is as high as its rows, however much room there is.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        option.row = self
        self.show_chosen()
        self.editor.edited.connect(self._take_edit)

    @property
    def last(self) -> QWidget:
        """What the Tab key comes to last here."""
        return self._reset

    def show_chosen(self) -> None:
        """Show what is chosen now, and what is wrong with it."""
        option = self._option
        if self.editor.chosen() != option.value:
            self.editor.choose(option.value)
        self.editor.setAccessibleName(option.title)
        # A lone "&" would underline the next letter and answer to it.
        self._title.setText(option.title.replace("&", "&&"))
        self._explanation.setText(option.explanation)
        self._error.setText(option.error)
        self._error.setVisible(bool(option.error))
        set_look(self.editor.focusProxy() or self.editor, "invalid", bool(option.error))
        mark_changed(self._title, option.is_changed)
        self._reset.setVisible(option.is_changed)
        changed = self.tr("Changed.") if option.is_changed else ""
        self.editor.setAccessibleDescription(f"{option.explanation} {changed}".rstrip())

    def _take_edit(self) -> None:
        self._option.set_value(self.editor.chosen())
        self.changed.emit()

    def _reset_by_hand(self) -> None:
        # The button goes, and the focus must not go with it.
        self.editor.setFocus()
        self._option.reset()
        self.changed.emit()


# The editors: `chosen` is the value now, `choose` takes another one in silence, and `edited` tells of the user's.


class _Switch(QCheckBox):
    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.toggled.connect(self._show)
        self.toggled.connect(self.edited)
        self._show()

    def chosen(self) -> bool:
        return self.isChecked()

    def choose(self, value: object) -> None:
        with QSignalBlocker(self):
            self.setChecked(bool(value))
        self._show()

    def _show(self) -> None:
        self.setText(self.tr("On") if self.isChecked() else self.tr("Off"))


class _Choice(NoWheelComboBox):
    edited = Signal()

    def __init__(self, option: Option) -> None:
        super().__init__()
        for value, words in option.choices:
            self.addItem(words, value)
        self.currentIndexChanged.connect(self.edited)

    def chosen(self) -> str:
        return str(self.currentData())

    def choose(self, value: object) -> None:
        with QSignalBlocker(self):
            self.setCurrentIndex(self.findData(value))


class _Number(QDoubleSpinBox):
    """A whole number or one with a fraction; where there may be none, 0 stands for it and shows its words.

    Numbers below the smallest one can be typed, for whoever types 286 begins with 2, and a sentence beside the field
    says more than a key that does nothing. The arrows keep within the limits.
    """

    edited = Signal()

    def __init__(self, option: Option) -> None:
        super().__init__()
        self._is_whole = option.kind == "int"
        self._low = option.low
        self._first = _FIRST_NUMBERS.get(option.field, option.low)
        self._has_none = bool(option.none)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # A style sheet cannot give the text inside a spin box room on its left.
        self.lineEdit().setTextMargins(S, 0, 0, 0)
        self.setDecimals(0 if self._is_whole else _DECIMALS)
        self.setRange(0, option.high)
        self.setGroupSeparatorShown(True)
        if option.unit:
            self.setSuffix(f" {option.unit}")
        if option.none:
            self.setSpecialValueText(option.none)
        if option.unit == "px":
            self.setSingleStep(4)
        elif not self._is_whole or option.high > 10_000:
            self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.valueChanged.connect(self.edited)

    def chosen(self) -> float | int | None:
        if self._has_none and self.value() == 0:
            return None
        return round(self.value()) if self._is_whole else self.value()

    def choose(self, value: object) -> None:
        number = value if isinstance(value, int | float) else 0
        with QSignalBlocker(self):
            # What a training was begun with is shown as it is, also beyond what is offered here.
            self.setDecimals(0 if self._is_whole else max(_DECIMALS, _places(number)))
            self.setMaximum(max(self.maximum(), number))
            self.setValue(number)

    def textFromValue(self, value: float) -> str:
        """Without zeros at its end."""
        return _number_words(value)

    def stepBy(self, steps: int) -> None:
        """Go up and down within the limits, from nothing to a number that makes sense."""
        now = self.value()
        if steps > 0 and now < self._low:
            self.setValue(self._first)
        elif steps < 0 and now <= self._low:
            self.setValue(0 if self._has_none else self._low)
        elif steps > 0 and now == 0 and not self._is_whole:
            self.setValue(0.1 * steps)
        else:
            super().stepBy(steps)
            if self.value() < self._low:
                self.setValue(self._low)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _ModelField(QWidget):
    """The path of a model file or of a run, typed or chosen; empty for none."""

    edited = Signal()

    def __init__(self, option: Option) -> None:
        super().__init__()
        self._path = QLineEdit()
        self._path.setAcceptDrops(False)
        self._path.setPlaceholderText(option.none)
        self._path.setAccessibleName(option.title)
        self._path.textChanged.connect(self.edited)
        self._button = QPushButton(self.tr("Choose..."))
        self._button.setObjectName("choose_start_from")
        self._button.setAutoDefault(False)
        menu = QMenu(self._button)
        menu.addAction(self.tr("A model file..."), self._ask_for_file)
        menu.addAction(self.tr("The folder of a training..."), self._ask_for_folder)
        self._button.setMenu(menu)
        self.setFocusProxy(self._path)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addWidget(self._path, 1)
        layout.addWidget(self._button)

    def setAccessibleDescription(self, description: str) -> None:
        """Describe what has the focus."""
        self._path.setAccessibleDescription(description)

    def chosen(self) -> Path | None:
        text = self._path.text().strip()
        return typed_path(text) if text else None

    def choose(self, value: object) -> None:
        with QSignalBlocker(self._path):
            self._path.setText(str(value) if isinstance(value, Path) else "")

    def _ask_for_file(self) -> None:
        self._ask(QFileDialog.FileMode.ExistingFile, self.tr("Choose a model file"))

    def _ask_for_folder(self) -> None:
        self._ask(QFileDialog.FileMode.Directory, self.tr("Choose the folder of a training"))

    def _ask(self, mode: QFileDialog.FileMode, title: str) -> None:
        near = self.chosen()
        dialog = QFileDialog(self, title, str(near.parent) if near is not None else "")
        dialog.setFileMode(mode)
        if mode == QFileDialog.FileMode.ExistingFile:
            dialog.setNameFilter(self.tr("Models (*.safetensors)"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._path.setText)
        dialog.open()


class _SearchField(QLineEdit):
    """What is typed here filters; Return goes to what was found instead of to the next page.

    Signals:
        found: Return was pressed.
    """

    found = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setPlaceholderText(self.tr("Find an option"))
        self.setAccessibleName(self.tr("Find an option"))
        self.setClearButtonEnabled(True)
        for clear in self.findChildren(QToolButton):
            clear.setAccessibleName(self.tr("Show all options"))
        self.setMaximumWidth(320)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keep Return, and Escape as long as there is something to clear, from the dialog."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.found.emit()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)


_Editor: TypeAlias = _Switch | _Choice | _Number | _ModelField


def _editor(option: Option) -> _Editor:
    match option.kind:
        case "bool":
            return _Switch()
        case "choice":
            return _Choice(option)
        case "int" | "float":
            return _Number(option)
        case "model":
            return _ModelField(option)


def _offered() -> Iterator[Option]:
    """The options that can be had here: into an app that was frozen without TensorBoard nobody can install it."""
    for option in OPTIONS:
        if option.field != "tensorboard" or not hasattr(sys, "frozen") or find_spec("tensorboard") is not None:
            yield option


def _number_words(value: float) -> str:
    return QLocale().toString(float(value), "f", _places(value))


def _places(value: float) -> int:
    """Decimal places that the number needs."""
    return len(f"{Decimal(repr(value)):f}".partition(".")[2].rstrip("0"))


def _tr(text: str) -> str:
    return QCoreApplication.translate("AdvancedOptions", text)
