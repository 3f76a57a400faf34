"""The few things that the app does the same way for every training and conversion."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QDialog, QVBoxLayout, QWidget

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.style import XL, XS, L, M, S
from cyclegan_desktop.widgets import closing_row, plain_label


class PreferencesDialog(QDialog):
    """Changes the settings at once.

    Signals:
        changed: One was changed, and saved.
    """

    changed = Signal()

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("preferences_dialog")
        self.setWindowTitle(self.tr("Preferences"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(460)
        self._settings = settings
        self._awake = QCheckBox(self.tr("&Keep the computer awake while it trains or converts"))
        self._awake.setObjectName("keep_awake")
        self._awake.setChecked(settings.keep_awake)
        self._sound = QCheckBox(self.tr("Play a &sound when work is done and the window is not in front"))
        self._sound.setObjectName("sound_when_done")
        self._sound.setChecked(settings.sound_when_done)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, XL, XL, L)
        layout.setSpacing(XS)
        for box, words in (
            (self._awake, self.tr("The screen may go dark all the same. A pause lets the computer sleep.")),
            (self._sound, self.tr("A notification of the system tells it in any case.")),
        ):
            hint = plain_label(words, role="muted", wrap=True)
            hint.setContentsMargins(XL, 0, 0, M)
            layout.addWidget(box)
            layout.addWidget(hint)
            box.toggled.connect(self._keep)
        layout.addSpacing(S)
        layout.addLayout(closing_row(self, self.tr("Close")))

    def _keep(self) -> None:
        self._settings.keep_awake = self._awake.isChecked()
        self._settings.sound_when_done = self._sound.isChecked()
        self._settings.save()
        self.changed.emit()
