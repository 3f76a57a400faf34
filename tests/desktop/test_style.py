from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import QFile, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QLabel

from cyclegan_desktop import style


def luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2."""
    parts = [part / 255 for part in QColor(colour).getRgb()[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_words_can_be_read_on_what_they_stand_on(scheme):
    for ground in (scheme.window, scheme.surface, scheme.field, scheme.accent_hover):
        for words in (scheme.text, scheme.muted, scheme.danger, scheme.warning, scheme.accent_text):
            assert contrast(words, ground) >= 4.5, (words, ground)
    assert contrast(scheme.text, scheme.accent_soft) >= 4.5
    assert contrast("#ffffff", style.ACCENT) >= 4.5


def test_the_window_follows_the_system_while_it_is_open(qtbot, qapp, own_look):
    style.apply_style(qapp)
    label = QLabel("words")
    qtbot.addWidget(label)
    for scheme, colours in ((Qt.ColorScheme.Dark, style.DARK), (Qt.ColorScheme.Light, style.LIGHT)):
        # What a system that changes its scheme makes Qt do; the off-screen one has no scheme of its own.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(style, "is_dark", lambda scheme=scheme: scheme == Qt.ColorScheme.Dark)
            qapp.styleHints().colorSchemeChanged.emit(scheme)
        assert style.colours() == colours
        assert label.palette().color(QPalette.ColorRole.WindowText) == QColor(colours.text)
        assert colours.surface in qapp.styleSheet()


def test_every_colour_is_a_colour():
    for scheme in (style.LIGHT, style.DARK):
        assert all(QColor(value).isValid() for value in dataclasses.asdict(scheme).values())


def test_the_sheets_arrows_and_ticks_are_found(qapp, own_look):
    style.apply_style(qapp)
    for name in ("chevron-down", "chevron-up", "check", "dot"):
        assert QFile.exists(f"style:{name}.svg")
