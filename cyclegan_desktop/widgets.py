"""Small widgets that several pages share."""

from __future__ import annotations

import html
from typing import Literal, cast

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.style import L, M, S

_PARAGRAPH_WIDTH = 460

LabelRole = Literal["body", "title", "heading", "muted", "error"]


def plain_label(text: str = "", *, role: LabelRole = "body", wrap: bool = False) -> QLabel:
    """A label that shows every text as it is typed: a file named like HTML stays a name.

    Args:
        text: What it shows.
        role: How it looks: "title" heads a page, "heading" a part of it, "muted" is an aside, "error" warns.
        wrap: Whether a long text goes on in a second line.
    """
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    label.setWordWrap(wrap)
    if role == "error":
        # People want to look an error up.
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def plain_tooltip(text: str) -> str:
    """`text` for `setToolTip`, which would take a file name like "<b>.png" for HTML."""
    return f"<span>{html.escape(shown_text(text))}</span>" if text else ""


def set_look(widget: QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet looks at, such as "role" or "invalid", and let it show at once."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def button(text: str, icon_name: str = "", *, primary: bool = False) -> QPushButton:
    """A push button, with an icon if `icon_name` is given.

    Args:
        text: Its words, with "&" before the mnemonic.
        icon_name: A name for `icon`.
        primary: Whether it is the one thing to do next: filled with the accent colour.
    """
    made = QPushButton(text)
    made.setAutoDefault(False)
    dress_button(made, icon_name, primary=primary)
    return made


def dress_button(made: QPushButton, icon_name: str = "", *, primary: bool = False) -> None:
    """Give a button another icon and rank, as `button` does at first."""
    set_look(made, "primary", primary)
    if icon_name:
        made.setIcon(icon(icon_name, colour=QColor("white") if primary else None))
        # Wider than high: the icon is drawn in the middle, which leaves a little room before the words.
        made.setIconSize(QSize(16 + S if made.text() else 16, 16))


def closing_row(dialog: QDialog, text: str) -> QHBoxLayout:
    """The last row of a dialog that only has to be closed.

    Args:
        dialog: It.
        text: What its button says.
    """
    close = button(text, primary=True)
    close.setDefault(True)
    close.clicked.connect(dialog.accept)
    row = QHBoxLayout()
    row.addStretch()
    row.addWidget(close)
    return row


def card() -> QFrame:
    """A raised surface for things that belong together; it gets its layout from whoever fills it."""
    frame = QFrame()
    frame.setProperty("card", True)
    return frame


class EmptyState(QWidget):
    """What a page shows instead of contents: what it is for, and what to do next.

    Signals:
        action: The button was pressed.
    """

    action = Signal()

    def __init__(
        self, icon_name: str, title: str, text: str, action_text: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("empty_state")
        picture = QLabel()
        picture.setPixmap(icon(icon_name, colour=QColor("#8a93a0")).pixmap(QSize(56, 56)))
        picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._heading = heading = plain_label(role="title")
        heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._body = body = plain_label(role="muted", wrap=True)
        body.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        body.setMaximumWidth(_PARAGRAPH_WIDTH)
        # Stretches instead of an alignment, under which a layout forgets that a wrapped text needs more lines.
        paragraph = QHBoxLayout()
        paragraph.addStretch(1)
        paragraph.addWidget(body, 1000)
        paragraph.addStretch(1)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(S)
        layout.addStretch(2)
        layout.addWidget(picture)
        layout.addSpacing(S)
        layout.addWidget(heading)
        layout.addLayout(paragraph)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(S)
        self._buttons.addStretch()
        self._buttons.addStretch()
        layout.addSpacing(M)
        layout.addLayout(self._buttons)
        layout.addStretch(3)
        self.action_button: QPushButton | None = None
        if action_text:
            self.action_button = button(action_text, primary=True)
            self.action_button.setObjectName("empty_state_action")
            self.action_button.clicked.connect(self.action)
            self.add_button(self.action_button)
        self.set_text(title, text)

    def add_button(self, made: QPushButton) -> None:
        """Offer something else, right of what is offered already."""
        self._buttons.insertWidget(self._buttons.count() - 1, made)

    def set_text(self, title: str, text: str) -> None:
        """Say something else."""
        self._heading.setText(title)
        self._heading.setVisible(bool(title))
        self._body.setText(text)


class ElidedLabel(QLabel):
    """One line of plain text, such as a path. Where the room ends it is cut in its middle, and whole in a tooltip."""

    def __init__(self, text: str = "", *, role: LabelRole = "body", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show another text."""
        super().setText(shown_text(text))
        self.setToolTip(plain_tooltip(text))

    def minimumSizeHint(self) -> QSize:
        """Narrow: the text is cut instead."""
        return QSize(self.fontMetrics().averageCharWidth() * 4, super().minimumSizeHint().height())

    def event(self, event: QEvent) -> bool:
        """Show the tooltip only where it says more than the label."""
        if event.type() == QEvent.Type.ToolTip and self._fitting_text() == self.text():
            event.ignore()
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw as much of the text as fits."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.contentsRect(), self.alignment() | Qt.TextFlag.TextSingleLine, self._fitting_text())
        painter.end()

    def _fitting_text(self) -> str:
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, self.contentsRect().width())


class NoWheelComboBox(QComboBox):
    """A combo box that the wheel scrolls past unless it has the focus: scrolling a page changes nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Otherwise the wheel itself would give it the focus.
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


def disable_last(box: QComboBox, reason: str) -> None:
    """Show that the last choice of a box is not to be had, and why."""
    place = box.count() - 1
    cast("QStandardItemModel", box.model()).item(place).setEnabled(False)
    box.setItemData(place, plain_tooltip(reason), Qt.ItemDataRole.ToolTipRole)
    box.setItemData(place, reason, Qt.ItemDataRole.AccessibleDescriptionRole)


class NoWheelSpinBox(QSpinBox):
    """A spin box that the wheel scrolls past unless it has the focus."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # A style sheet cannot give the text inside a spin box room on its left.
        self.lineEdit().setTextMargins(S, 0, 0, 0)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
