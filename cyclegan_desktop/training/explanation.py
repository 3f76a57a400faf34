"""A window of plain paragraphs about what is shown, for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFrame, QScrollArea, QVBoxLayout, QWidget

from cyclegan_desktop.style import XL, XS, L, M
from cyclegan_desktop.widgets import closing_row, plain_label


class ExplanationDialog(QDialog):
    """Headings with a paragraph each; it blocks nothing and can stay open beside what it explains."""

    def __init__(self, title: str, parts: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        """Explain.

        Args:
            title: What is explained.
            parts: Headings and their paragraphs.
            parent: The widget it is about.
        """
        super().__init__(parent)
        self.setObjectName("explanation")
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        words = QWidget()
        column = QVBoxLayout(words)
        column.setContentsMargins(0, 0, M, 0)
        column.setSpacing(XS)
        for heading, paragraph in parts:
            column.addWidget(plain_label(heading, role="heading", wrap=True))
            text = plain_label(paragraph, wrap=True)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(text)
            column.addSpacing(M)
        column.addStretch()
        scrolled = QScrollArea()
        scrolled.setWidget(words)
        scrolled.setWidgetResizable(True)
        scrolled.setFrameShape(QFrame.Shape.NoFrame)
        scrolled.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # The dialog's own surface shows through.
        scrolled.viewport().setAutoFillBackground(False)
        words.setAutoFillBackground(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, L, L)
        layout.setSpacing(M)
        layout.addWidget(scrolled, 1)
        layout.addLayout(closing_row(self, self.tr("Close")))
        self.resize(560, 520)
