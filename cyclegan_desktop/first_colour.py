"""The colour of a window in which nothing is drawn yet: the one that is behind everything later.

Nothing else is here, since `style` takes longer to load than a window is drawn.
"""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

LIGHT_WINDOW, DARK_WINDOW = "#f3f4f7", "#191c22"

_MIDDLE = 128


def use_first_colour(app: QApplication) -> None:
    """Draw windows in our own light or dark, whichever is nearer to the system's."""
    palette = app.palette()
    is_dark = palette.color(QPalette.ColorRole.Window).lightness() < _MIDDLE
    palette.setColor(QPalette.ColorRole.Window, QColor(DARK_WINDOW if is_dark else LIGHT_WINDOW))
    app.setPalette(palette)
