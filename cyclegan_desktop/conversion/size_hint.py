"""A few sentences on the options card about pictures much larger than those a model was trained on."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import WARNING, XS, M, S
from cyclegan_desktop.widgets import button, plain_label
from engine.config import Resize


class SizeHint(QFrame):
    """What the original size does to a large picture, and what else there is.

    Signals:
        use_asked: The size that is offered is to be used: "change" or "training".
        compare_asked: The sizes are to be seen side by side.
        dismissed: The original size is what the user wants.
    """

    use_asked = Signal(str)
    compare_asked = Signal()
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("size_hint")
        self._offer: Resize = None
        sign = QLabel()
        sign.setPixmap(icon("info", colour=QColor(WARNING)).pixmap(QSize(20, 20)))
        self._text = plain_label(wrap=True)
        self._text.setObjectName("size_hint_text")
        self._use = button("")
        self._use.setObjectName("size_hint_use")
        self._use.clicked.connect(lambda: self.use_asked.emit(self._offer))
        self._compare = button(self.tr("&Compare sizes..."))
        self._compare.setObjectName("size_hint_compare")
        self._compare.setToolTip(self.tr("One picture in each of these sizes, side by side, before you choose."))
        self._compare.clicked.connect(self.compare_asked)
        close = QToolButton()
        close.setObjectName("size_hint_close")
        close.setIcon(icon("close"))
        close.setToolTip(self.tr("Stay with the original size"))
        close.setAccessibleName(self.tr("Stay with the original size"))
        close.clicked.connect(self.dismissed)

        buttons = QVBoxLayout()
        buttons.setSpacing(XS)
        buttons.addWidget(self._use)
        buttons.addWidget(self._compare)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, XS, 0, 0)
        layout.setSpacing(M)
        layout.addWidget(sign)
        layout.addWidget(self._text, 1)
        layout.addLayout(buttons)
        layout.addWidget(close)
        layout.setSpacing(S)
        self.hide()

    @property
    def text(self) -> str:
        """What it says now."""
        return self._text.text()

    def show_advice(self, picture: Path, size: tuple[int, int], trained: int, *, long_skip: bool) -> None:
        """Say what there is to know about a picture.

        Args:
            picture: The file.
            size: Its width and height in pixels.
            trained: Side of the pictures that the model was trained on, in pixels.
            long_skip: Whether the model can add its change, computed at that size, to the full picture.
        """
        sentences = [
            self.tr("{0} is {1:,} x {2:,} px; this model was trained at {3} px.").format(picture.name, *size, trained),
            self.tr(
                "At the original size it sees textures at another scale, so that strokes and patterns come out small "
                "or missing."
            ),
            self.tr(
                "With the change at the training size it is changed as in training and keeps its own detail; the "
                "change itself is no finer than {0} px."
            ).format(trained)
            if long_skip
            else self.tr(
                "At the training size it is changed as in training, and the result is only {0} px long."
            ).format(trained),
        ]
        self._text.setText(shown_paragraph(" ".join(sentences)))
        self._offer = "change" if long_skip else "training"
        self._use.setText(
            self.tr("Use the c&hange at {0} px").format(trained) if long_skip else self.tr("Use t&he training size")
        )
        self.show()
