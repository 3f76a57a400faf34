from __future__ import annotations

import pytest
from PySide6.QtGui import QColor, QPalette

from cyclegan_desktop.first_colour import DARK_WINDOW, LIGHT_WINDOW, use_first_colour


@pytest.mark.parametrize(("system", "ours"), [("#efefef", LIGHT_WINDOW), ("#323232", DARK_WINDOW)])
def test_an_empty_window_has_the_colour_it_keeps_when_it_is_filled(qapp, system, ours):
    old = qapp.palette()
    try:
        palette = QPalette(old)
        palette.setColor(QPalette.ColorRole.Window, QColor(system))
        qapp.setPalette(palette)
        use_first_colour(qapp)
        assert qapp.palette().color(QPalette.ColorRole.Window).name() == ours
    finally:
        qapp.setPalette(old)
