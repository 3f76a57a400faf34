"""Asks how much longer a training is to go on."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from cyclegan_desktop.style import XL, L, M, S
from cyclegan_desktop.widgets import NoWheelSpinBox, button, plain_label
from cyclegan_desktop.words import duration_words

_MOST = 10_000


class MoreEpochsDialog(QDialog):
    """A number of epochs, and how long they would take.

    Signals:
        chosen: So many more epochs are wanted; the dialog closes.
    """

    chosen = Signal(int)

    def __init__(self, epochs: int, seconds_per_epoch: float | None, parent: QWidget | None = None) -> None:
        """Ask.

        Args:
            epochs: The number proposed.
            seconds_per_epoch: Time that one took, None where it is not known.
            parent: The window.
        """
        super().__init__(parent)
        self.setObjectName("more_epochs_dialog")
        self.setWindowTitle(self.tr("Train on"))
        self._seconds_per_epoch = seconds_per_epoch
        words = plain_label(
            self.tr("The training goes on from where it is, with all it has learned, for so many more epochs:"),
            wrap=True,
        )
        words.setMinimumWidth(360)
        self._epochs = NoWheelSpinBox()
        self._epochs.setObjectName("more_epochs")
        self._epochs.setRange(1, _MOST)
        self._epochs.setValue(epochs)
        self._epochs.setAccessibleName(self.tr("More epochs"))
        self._epochs.valueChanged.connect(self._show_time)
        self._time = plain_label(role="muted")
        self._time.setObjectName("more_epochs_time")
        cancel = button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        go_on = button(self.tr("&Train on"), primary=True)
        go_on.setObjectName("train_on")
        go_on.setDefault(True)
        go_on.clicked.connect(self._choose)

        row = QHBoxLayout()
        row.setSpacing(M)
        row.addWidget(self._epochs)
        row.addWidget(self._time, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(S)
        buttons.addStretch()
        buttons.addWidget(cancel)
        buttons.addWidget(go_on)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(L)
        layout.addWidget(words)
        layout.addLayout(row)
        layout.addLayout(buttons)
        self._show_time()
        self._epochs.setFocus()
        self._epochs.selectAll()

    def _show_time(self) -> None:
        seconds = self._seconds_per_epoch
        self._time.setText(
            ""
            if seconds is None
            else self.tr("about {time}").format(time=duration_words(self._epochs.value() * seconds))
        )

    def _choose(self) -> None:
        self.accept()
        self.chosen.emit(self._epochs.value())
