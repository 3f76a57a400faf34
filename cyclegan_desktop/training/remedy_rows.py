"""What can be done about something, a button a remedy."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QPushButton, QSizePolicy, QWidget

from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import XS, M
from cyclegan_desktop.widgets import button, plain_label
from engine.remedies import Remedy


class RemedyRows(QWidget):
    """A row a remedy: a button with what to do, and beside it what that costs. What only the user can do has no button.

    Signals:
        chosen: The button of this `Remedy` was pressed.
    """

    chosen = Signal(object)

    def __init__(self, remedies: Sequence[Remedy], parent: QWidget | None = None, *, is_narrow: bool = False) -> None:
        """Make the rows.

        Args:
            remedies: What they say.
            parent: Its owner.
            is_narrow: Whether the hints go below their buttons.
        """
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, XS)
        layout.setHorizontalSpacing(M)
        layout.setVerticalSpacing(XS)
        layout.setColumnStretch(1, 1)
        for row, remedy in enumerate(remedies):
            hint = plain_label(shown_paragraph(remedy.hint), role="muted", wrap=True)
            if remedy.changes or remedy.begins_anew:
                layout.addWidget(self._button(remedy), 2 * row, 0)
                below = (2 * row + 1, 0, 1, 2) if is_narrow else (2 * row, 1, 1, 1)
                layout.addWidget(hint, *below)
            else:
                hint.setText(shown_paragraph(remedy.hint or remedy.text))
                layout.addWidget(hint, 2 * row, 0, 1, 2)

    def _button(self, remedy: Remedy) -> QPushButton:
        words = remedy.text.replace("&", "&&")
        # What begins a new training asks for more before it does.
        made = button(f"{words}..." if remedy.begins_anew else words)
        made.setObjectName("remedy")
        made.setAccessibleDescription(remedy.hint)
        made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        made.clicked.connect(lambda: self.chosen.emit(remedy))
        return made
