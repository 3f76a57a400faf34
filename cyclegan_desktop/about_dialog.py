"""What the app is, which keys it knows, and where it keeps things."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.logs import log_folder
from cyclegan_desktop.settings import APP_NAME, Settings
from cyclegan_desktop.style import XL, L, M, S
from cyclegan_desktop.widgets import button, plain_label
from engine import __version__


class AboutDialog(QDialog):
    """Version, keys, folders."""

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("about_dialog")
        self.setWindowTitle(self.tr("About {app}").format(app=APP_NAME))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(520)

        picture = QLabel()
        picture.setPixmap(icon("app").pixmap(QSize(56, 56)))
        name = plain_label(f"{APP_NAME} {__version__}", role="title")
        what = plain_label(
            self.tr("Trains a CycleGAN on two folders of pictures, then converts whole folders in either direction."),
            role="muted",
            wrap=True,
        )
        words = QVBoxLayout()
        words.setSpacing(S)
        words.addWidget(name)
        words.addWidget(what)
        top = QHBoxLayout()
        top.setSpacing(L)
        top.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(words, 1)

        keys = QGridLayout()
        keys.setHorizontalSpacing(XL)
        keys.setVerticalSpacing(S)
        for row, (key, meaning) in enumerate(
            (
                ("Ctrl+1, Ctrl+2, Ctrl+3", self.tr("Train, Convert, Models")),
                ("F5", self.tr("Start or resume training")),
                ("F6", self.tr("Pause or go on")),
                ("Shift+F6", self.tr("Pause and free the memory")),
                ("F7", self.tr("Stop and save")),
                ("Del", self.tr("Remove from the list")),
            )
        ):
            keys.addWidget(plain_label(key), row, 0)
            keys.addWidget(plain_label(meaning, role="muted"), row, 1)
        keys.setColumnStretch(1, 1)

        places = plain_label(
            self.tr("Settings: {settings}\nLog: {log}").format(settings=settings.path, log=log_folder()),
            role="muted",
            wrap=True,
        )
        places.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        open_log = button(self.tr("Open the &log folder"), "folder-open")
        open_log.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder()))))
        close = button(self.tr("Close"), primary=True)
        close.setDefault(True)
        close.clicked.connect(self.accept)
        close.setFocus()
        buttons = QHBoxLayout()
        buttons.addWidget(open_log)
        buttons.addStretch()
        buttons.addWidget(close)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, XL, XL, L)
        layout.setSpacing(M)
        layout.addLayout(top)
        layout.addSpacing(S)
        layout.addWidget(plain_label(self.tr("Keys"), role="heading"))
        layout.addLayout(keys)
        layout.addSpacing(S)
        layout.addWidget(places)
        layout.addSpacing(S)
        layout.addLayout(buttons)
