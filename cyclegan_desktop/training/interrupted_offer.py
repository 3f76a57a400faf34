"""Offers to go on with trainings that were interrupted, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import ACCENT, XS, M, S
from cyclegan_desktop.training.interrupted import Interrupted, interrupted_sentence
from cyclegan_desktop.widgets import button, plain_label

_MOST = 3


class InterruptedOffer(QFrame):
    """Hidden while there is nothing to offer.

    Signals:
        resume_requested: The training in this folder is to go on.
        dismissed: The user wants none of them now.
    """

    resume_requested = Signal(object)
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("interrupted_offer")
        self.setProperty("card", True)
        not_now = button(self.tr("Not now"))
        not_now.setObjectName("not_now")
        not_now.clicked.connect(self.dismissed)
        sign = QLabel()
        sign.setMinimumHeight(not_now.sizeHint().height())
        sign.setPixmap(icon("info", colour=QColor(ACCENT)).pixmap(QSize(20, 20)))
        self._column = QVBoxLayout()
        self._rows = QWidget()
        self._column.addWidget(self._rows)
        self._more = plain_label(role="muted", wrap=True)
        self._column.addWidget(self._more)
        self._column.setSpacing(XS)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(M, S, S, S)
        layout.setSpacing(S)
        layout.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(self._column, 1)
        layout.addWidget(not_now, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def offer(self, found: Sequence[Interrupted]) -> None:
        """Offer these, in place of what was offered; none hides it."""
        rows = QWidget()
        grid = QGridLayout(rows)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(S)
        grid.setVerticalSpacing(XS)
        grid.setColumnStretch(0, 1)
        for row, one in enumerate(found[:_MOST]):
            resume = button(self.tr("Resume"), "play", primary=row == 0)
            resume.setObjectName("resume_interrupted")
            resume.setAccessibleName(self.tr("Resume {name}").format(name=one.name))
            resume.clicked.connect(lambda _checked=False, one=one: self.resume_requested.emit(one.run))
            grid.addWidget(plain_label(shown_paragraph(interrupted_sentence(one)), wrap=True), row, 0)
            grid.addWidget(resume, row, 1)
        self._column.replaceWidget(self._rows, rows)
        self._rows.hide()
        self._rows.deleteLater()
        self._rows = rows
        left = len(found) - _MOST
        self._more.setText(self.tr("{count} more can be resumed under Models.").format(count=left))
        self._more.setVisible(left > 0)
        self.setVisible(bool(found))
