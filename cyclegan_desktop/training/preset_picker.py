"""Presets as cards, group by group, with what the chosen one is for, and the user's own to save and delete."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import ACCENT, RADIUS, XL, XS, L, M, S, colours
from cyclegan_desktop.widgets import ElidedLabel, button, plain_label, plain_tooltip
from engine.config import PRESETS, Preset

_COLUMNS = 5
_COMPARE_COLUMN = 3
_OWN_ROWS_SHOWN = 2
_LONGEST_NAME = 60


class PresetPicker(QWidget):
    """All presets, one of which is chosen.

    Signals:
        changed: Another preset is chosen.
        picked: The user has chosen one.
        save_asked: The settings as they are now are to become a preset.
        delete_asked: The chosen preset, one of the user's own, is to be deleted.
        undo_asked: What was deleted last is wanted back.
    """

    changed = Signal()
    picked = Signal()
    save_asked = Signal()
    delete_asked = Signal()
    undo_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._presets: list[Preset] = []
        self._cards = QButtonGroup(self)
        self._rows: dict[str, QGridLayout] = {}
        self._row_widgets: dict[str, tuple[QWidget, QWidget]] = {}
        self._is_compact = False
        titles = {
            "purpose": self.tr("By purpose"),
            "memory": self.tr("By memory"),
            "own": self.tr("Yours"),
        }
        groups = QGridLayout()
        groups.setHorizontalSpacing(L)
        groups.setVerticalSpacing(XS)
        groups.setColumnStretch(1, 1)
        for line, (group, title) in enumerate(titles.items()):
            heading = plain_label(title, role="muted")
            row = QWidget()
            cards = QGridLayout(row)
            cards.setContentsMargins(0, 0, 0, 0)
            cards.setHorizontalSpacing(S)
            cards.setVerticalSpacing(XS)
            for column in range(_COLUMNS):
                cards.setColumnStretch(column, 1)
            shown: QWidget = row
            if group == "own":
                shown = self._scroll = _scroll_area(row)
            groups.addWidget(heading, line, 0, Qt.AlignmentFlag.AlignTop)
            groups.addWidget(shown, line, 1)
            # In line with the first row of cards.
            heading.setMinimumHeight(_card_height(heading))
            self._rows[group], self._row_widgets[group] = cards, (heading, shown)
        # Two short groups share a row.
        self._rows["compare"], self._row_widgets["compare"] = self._rows["memory"], self._row_widgets["memory"]
        compare = plain_label(self.tr("To compare"), role="muted")
        compare.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._rows["compare"].addWidget(compare, 0, _COMPARE_COLUMN - 1)

        self._summary = plain_label(wrap=True)
        self._summary.setObjectName("preset_summary")
        self._save = button(self.tr("Sa&ve as preset..."), "save")
        self._save.setObjectName("save_preset")
        self._save.clicked.connect(self.save_asked)
        self._delete = button(self.tr("Delete"), "trash")
        self._delete.setObjectName("delete_preset")
        self._delete.clicked.connect(self.delete_asked)
        self._note = plain_label(role="muted", wrap=True)
        self._note.setObjectName("preset_note")
        self._undo = button(self.tr("&Undo"))
        self._undo.setObjectName("undo_delete_preset")
        self._undo.clicked.connect(self.undo_asked)
        below = QHBoxLayout()
        below.setSpacing(S)
        below.addWidget(self._summary, 1)
        below.addWidget(self._delete)
        below.addWidget(self._save)
        note = QHBoxLayout()
        note.setSpacing(S)
        note.addWidget(self._note, 1)
        note.addWidget(self._undo)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(groups)
        layout.addLayout(below)
        layout.addLayout(note)
        for preset in PRESETS.values():
            self._add(preset)
        self.say("")
        self._cards.button(0).setChecked(True)
        self._show()
        self._cards.idToggled.connect(self._take_toggle)
        self._cards.idClicked.connect(self.picked)

    @property
    def preset(self) -> Preset:
        """The preset chosen."""
        return self._presets[self._cards.checkedId()]

    def choose(self, name: str) -> bool:
        """Choose the preset of this name; returns whether there is one."""
        index = next((i for i, preset in enumerate(self._presets) if preset.name == name), None)
        if index is not None:
            self._cards.button(index).setChecked(True)
        return index is not None

    def set_own(self, presets: Iterable[Preset]) -> None:
        """Show these as the user's own; where the chosen one is gone, what it began from is chosen."""
        chosen = self.preset
        for index in range(len(PRESETS), len(self._presets)):
            card = self._cards.button(index)
            self._cards.removeButton(card)
            self._rows["own"].removeWidget(card)
            card.hide()
            card.deleteLater()
        del self._presets[len(PRESETS) :]
        for preset in presets:
            self._add(preset)
        if chosen.group == "own":
            # Its card is a new one now, and perhaps another preset.
            with_name = next((preset for preset in self._presets if preset.name == chosen.name), None)
            self.choose(chosen.begins_from if with_name is None else with_name.name)
        self._show()

    def set_compact(self, is_compact: bool) -> None:
        """Show the group of the chosen preset only, without what it is for."""
        self._is_compact = is_compact
        self._show()

    def say(self, text: str, *, can_undo: bool = False) -> None:
        """Say what has become of the user's presets, and perhaps offer to undo it."""
        self._note.setText(shown_paragraph(text))
        self._note.setVisible(bool(text))
        self._undo.setVisible(can_undo)

    def _add(self, preset: Preset) -> None:
        card = _PresetCard(preset)
        self._presets.append(preset)
        self._cards.addButton(card, len(self._presets) - 1)
        row = self._rows[preset.group]
        place = sum(other.group == preset.group for other in self._presets) - 1
        row.addWidget(card, *divmod(place + (_COMPARE_COLUMN if preset.group == "compare" else 0), _COLUMNS))

    def _take_toggle(self, index: int, is_on: bool) -> None:
        if is_on and index >= 0:
            self._show()
            self.changed.emit()

    def _show(self) -> None:
        chosen = self.preset
        own = sum(preset.group == "own" for preset in self._presets)
        here = self._row_widgets[chosen.group]
        for group, parts in self._row_widgets.items():
            for part in parts:
                part.setVisible((group != "own" or own > 0) and (not self._is_compact or parts is here))
        rows = min(_OWN_ROWS_SHOWN, -(-own // _COLUMNS))
        height = _card_height(self)
        self._scroll.setFixedHeight(max(0, rows * (height + XS) - XS))
        self._summary.setText(shown_paragraph(chosen.summary))
        self._summary.setVisible(not self._is_compact)
        self._delete.setVisible(chosen.group == "own" and not self._is_compact)
        self._save.setVisible(not self._is_compact)
        self.updateGeometry()  # Now, and not when a request for a layout has come through.


class SavePresetDialog(QDialog):
    """Asks for the name of a preset, and says before one is replaced.

    Signals:
        save_requested: Under this name; whether one of that name is to be replaced.
    """

    save_requested = Signal(str, bool)

    def __init__(self, names: Iterable[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("save_preset_dialog")
        self.setWindowTitle(self.tr("Save as preset"))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._names = {name.casefold(): name for name in names}
        self._name = QLineEdit()
        self._name.setObjectName("preset_name")
        self._name.setMaxLength(_LONGEST_NAME)
        self._name.textChanged.connect(self._take_name)
        label = plain_label(self.tr("&Name"))
        label.setBuddy(self._name)
        self._words = plain_label(role="muted", wrap=True)
        self._words.setObjectName("save_preset_words")
        self._error = plain_label(role="error", wrap=True)
        self._error.setObjectName("save_preset_error")
        self._error.hide()
        self._save = button(self.tr("&Save"), primary=True)
        self._save.setObjectName("save_preset_now")
        self._save.setDefault(True)
        self._save.clicked.connect(self._ask)
        cancel = button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.setSpacing(S)
        foot.addStretch(1)
        foot.addWidget(cancel)
        foot.addWidget(self._save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(M)
        for part in (label, self._name, self._words, self._error):
            layout.addWidget(part)
        layout.addStretch(1)
        layout.addLayout(foot)
        self.resize(440, 190)
        self._take_name()

    def show_error(self, text: str) -> None:
        """Say why it could not be saved."""
        self._error.setText(text)
        self._error.setVisible(bool(text))

    def _take_name(self) -> None:
        name = self._name.text().strip()
        known = self._names.get(name.casefold())
        self.show_error("")
        self._save.setEnabled(bool(name))
        self._save.setText(self.tr("&Save") if known is None else self.tr("&Replace"))
        if known is None:
            self._words.setText(self.tr("Keeps all settings but folders, names, device and model."))
        else:
            text = self.tr("There is a preset called {name} already. It is replaced.")
            self._words.setText(shown_paragraph(text.format(name=shown_text(known))))

    def _ask(self) -> None:
        name = self._name.text().strip()
        self.save_requested.emit(name, name.casefold() in self._names)


class _PresetCard(QAbstractButton):
    """A preset by its title, one of which is checked."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.setObjectName(f"preset_{preset.name}")
        self.setCheckable(True)
        self.setAccessibleName(shown_text(preset.title))
        self.setAccessibleDescription(preset.summary)
        self.setToolTip(plain_tooltip(preset.summary))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        title = ElidedLabel(preset.title)
        title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        title.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        if preset.group == "own":
            self.setToolTip(plain_tooltip(f"{preset.title}: {preset.summary}"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(S, S, S, S)
        layout.addWidget(title)

    def sizeHint(self) -> QSize:
        """As high as a line of text needs."""
        return QSize(110, _card_height(self))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card, tinted and with a heavier line when it is the one chosen."""
        scheme = colours()
        is_on = self.isChecked()
        fill = scheme.accent_soft if is_on else scheme.accent_hover if self.underMouse() else scheme.surface
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line = ACCENT if is_on or self.hasFocus() else scheme.outline
        painter.setPen(QPen(QColor(line), 2 if self.hasFocus() or is_on else 1))
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), RADIUS, RADIUS)


def _card_height(widget: QWidget) -> int:
    return widget.fontMetrics().height() + 2 * S


def _scroll_area(content: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    # As the page behind it.
    content.setAutoFillBackground(False)
    area.viewport().setAutoFillBackground(False)
    return area
