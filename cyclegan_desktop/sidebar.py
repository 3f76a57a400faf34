"""The buttons at the window's left, which show its pages."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeySequence, QPainter, QPaintEvent, QShortcut
from PySide6.QtWidgets import QButtonGroup, QFrame, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.main_window import Page
from cyclegan_desktop.style import ACCENT, XS, M, S

_WIDTH = 92
_MOST_COUNTED = 10


class Sidebar(QFrame):
    """A button for each page, also by Ctrl and its number, and two for dialogs.

    Signals:
        page_chosen: This `Page` is to be shown.
        preferences_wanted: The preferences are.
        about_wanted: What the app is, is.
    """

    page_chosen = Signal(int)
    preferences_wanted = Signal()
    about_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("navigation")
        self.setFixedWidth(_WIDTH)
        self._buttons = QButtonGroup(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(S, M, S, M)
        layout.setSpacing(XS)
        names = (
            (Page.TRAIN, "train", self.tr("Train")),
            (Page.CONVERT, "convert", self.tr("Convert")),
            (Page.MODELS, "models", self.tr("Models")),
        )
        for page, icon_name, text in names:
            made = _navigation_button(icon_name, text)
            made.setObjectName(f"show_{page.name.lower()}")
            made.setCheckable(True)
            made.setToolTip(self.tr("Ctrl+{n}").format(n=page + 1))
            self._buttons.addButton(made, page)
            layout.addWidget(made)
            key = QShortcut(QKeySequence(f"Ctrl+{page + 1}"), self)
            key.activated.connect(lambda page=page: self.page_chosen.emit(int(page)))
        self._buttons.idClicked.connect(self.page_chosen)
        layout.addStretch()
        preferences = _navigation_button("settings", self.tr("Preferences"))
        preferences.setObjectName("show_preferences")
        preferences.setToolTip(self.tr("Keeping awake, and the sound when done"))
        preferences.clicked.connect(self.preferences_wanted)
        layout.addWidget(preferences)
        about = _navigation_button("info", self.tr("About"))
        about.setObjectName("show_about")
        about.clicked.connect(self.about_wanted)
        layout.addWidget(about)

    def mark(self, page: Page) -> None:
        """Show which page is shown."""
        self._buttons.button(page).setChecked(True)

    def set_count(self, page: Page, count: int, text: str) -> None:
        """Show in the corner of a page's button that so much waits there, in words in its tooltip; 0 takes it back."""
        button = self._buttons.button(page)
        assert isinstance(button, _NavigationButton)
        key = self.tr("Ctrl+{n}").format(n=page + 1)
        button.setToolTip(f"{text} ({key})" if text else key)
        button.setAccessibleDescription(text)
        button.set_count(count)


class _NavigationButton(QToolButton):
    """A button of the sidebar, with a number in its corner while something waits on its page."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def set_count(self, count: int) -> None:
        """Show a number; 0 takes it back."""
        self._count = count
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the button, and its number over it."""
        super().paintEvent(event)
        if not self._count:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 0.8)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        text = str(self._count) if self._count < _MOST_COUNTED else f"{_MOST_COUNTED - 1}+"
        height = painter.fontMetrics().height()
        width = max(height, painter.fontMetrics().horizontalAdvance(text) + S)
        badge = QRectF(self.width() / 2 + XS, XS, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(ACCENT))
        painter.drawRoundedRect(badge, height / 2, height / 2)
        painter.setPen(QColor("white"))
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()


def _navigation_button(icon_name: str, text: str) -> _NavigationButton:
    made = _NavigationButton()
    made.setText(text)
    made.setIcon(icon(icon_name))
    made.setIconSize(QSize(24, 24))
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return made
