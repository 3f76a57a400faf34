from __future__ import annotations

import gc

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QIcon, QImage
from PySide6.QtWidgets import QApplication, QPushButton

from cyclegan_desktop import icons, style

NAMES = (
    *("arrow-up", "arrow-down", "batch", "report", "skip", "mark", "drag-out", "full-window", "zoom-in", "zoom-out"),
    *("compare-slider", "compare-side", "compare-toggle"),
    *("train", "convert", "models", "play", "stop", "pause", "folder", "folder-open", "add-file", "add-folder"),
    *(
        "clear",
        "check",
        "alert",
        "error",
        "clock",
        "picture",
        "arrow-left",
        "arrow-right",
        "swap",
        "save",
        "reveal",
        "copy",
    ),
    *("copy", "log-scale", "zoom-fit", "overlay", "download", "info", "trash", "close", "app"),
)


def inks(image: QImage) -> set[str]:
    """The colours of the pixels that are fully covered."""
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return {pixel.name() for pixel in pixels if pixel.alpha() == 255}


def drawn(icon: QIcon, mode: QIcon.Mode = QIcon.Mode.Normal) -> QImage:
    return icon.pixmap(QSize(96, 96), 1.0, mode).toImage()


@pytest.fixture
def looks(qapp):
    palette, sheet = qapp.palette(), qapp.styleSheet()
    yield
    qapp.setStyleSheet(sheet)
    qapp.setPalette(palette)


@pytest.mark.parametrize("name", NAMES)
def test_every_icon_is_there_and_draws_something(qapp, name, caplog):
    assert inks(drawn(icons.icon(name)))
    assert not caplog.records


def test_a_missing_icon_is_empty_and_named_in_the_log(qapp, caplog):
    image = drawn(icons.icon("no-such-icon"))
    assert image.size() == QSize(96, 96)
    assert not inks(image)
    assert "no-such-icon" in caplog.text


def test_an_icon_follows_a_change_between_light_and_dark(qapp, looks):
    icon = icons.icon("stop")
    for scheme in (style.LIGHT, style.DARK, style.LIGHT):
        style.use_colours(qapp, scheme)
        assert inks(drawn(icon)) == {scheme.text}
        assert inks(drawn(icon, QIcon.Mode.Disabled)) == {scheme.disabled}


def test_a_fixed_colour_is_kept_unless_the_icon_is_disabled(qapp, looks):
    style.use_colours(qapp, style.DARK)
    icon = icons.icon("stop", colour=QColor("#123456"))
    assert inks(drawn(icon)) == {"#123456"}
    assert inks(drawn(icon, QIcon.Mode.Disabled)) == {style.DARK.disabled}


def test_an_icon_is_as_sharp_as_the_screen(qapp):
    pixmap = icons.icon("train").pixmap(QSize(24, 24), 2.0)
    assert pixmap.size() == QSize(48, 48)
    assert pixmap.devicePixelRatio() == 2.0


def test_icons_outlive_the_python_objects_they_were_made_from(qtbot):
    buttons = []
    for _ in range(200):
        button = QPushButton("x")
        qtbot.addWidget(button)
        button.setIcon(QIcon(icons.icon("play")))
        buttons.append(button)
    gc.collect()
    for button in buttons:
        button.show()
    QApplication.processEvents()
    assert all(not button.icon().isNull() for button in buttons)
