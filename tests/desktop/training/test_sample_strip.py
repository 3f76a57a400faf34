from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QAbstractButton, QLabel, QPushButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.sample_strip import SampleStrip, _SampleButton, scaled_pixmap
from engine.events import SamplesDrawn

MakeSamples = Callable[..., SamplesDrawn]


@pytest.fixture
def strip(qtbot: QtBot) -> Iterator[SampleStrip]:
    made = SampleStrip()
    qtbot.addWidget(made)
    made.set_names("Apples", "Oranges")
    made.resize(640, 480)
    made.show()
    qtbot.waitExposed(made)
    yield made


def _shown_texts(strip: SampleStrip) -> list[str]:
    return [label.text() for label in strip.findChildren(QLabel) if label.isVisible()]


def test_both_directions_are_shown_with_their_headings(strip: SampleStrip, make_samples: MakeSamples) -> None:
    strip.show_samples(make_samples(1240))
    texts = _shown_texts(strip)
    assert {"Apples to Oranges", "Oranges to Apples", "Step 1,240"} <= set(texts)
    for kind in ("Original", "Translated", "Back again"):
        assert texts.count(kind) == 2
    assert len(strip.findChildren(_SampleButton)) == 4


@pytest.mark.parametrize("room", [(640, 480), (1100, 260), (320, 900), (400, 300)])
def test_the_pictures_lie_within_the_room_and_apart(
    strip: SampleStrip, make_samples: MakeSamples, room: tuple[int, int]
) -> None:
    strip.resize(*room)
    strip.show_samples(make_samples())
    overview = strip._overview
    places = [button.geometry() for button in strip.findChildren(_SampleButton)]
    for index, place in enumerate(places):
        assert QRect(0, 0, overview.width(), overview.height()).contains(place)
        assert not any(place.intersects(other) for other in places[index + 1 :])


def test_newer_samples_replace_the_last_ones_and_keep_the_focus(
    strip: SampleStrip, make_samples: MakeSamples, qtbot: QtBot
) -> None:
    strip.show_samples(make_samples(1, 20))
    chosen = strip.findChildren(_SampleButton)[2]
    chosen.setFocus()
    dark = chosen.grab().toImage().pixelColor(10, 10).lightness()
    strip.show_samples(make_samples(2, 220))
    assert chosen.hasFocus()
    assert chosen.grab().toImage().pixelColor(10, 10).lightness() > dark
    assert "Step 2" in _shown_texts(strip)


def test_other_pictures_make_other_buttons(strip: SampleStrip, make_samples: MakeSamples) -> None:
    strip.show_samples(make_samples(name="one"))
    strip.show_samples(make_samples(name="two"))
    names = [b.accessibleName() for b in strip._overview._buttons]
    assert all("two_" in name for name in names)


def test_a_click_shows_a_sample_alone_and_escape_goes_back(
    strip: SampleStrip, make_samples: MakeSamples, qtbot: QtBot
) -> None:
    strip.show_samples(make_samples())
    chosen = strip._overview._buttons[2]
    qtbot.mouseClick(chosen, Qt.MouseButton.LeftButton)
    assert strip._single.isVisible()
    assert any("Oranges to Apples: picture_b2a_0.png" in text for text in _shown_texts(strip))
    strip.show_samples(make_samples(5))
    assert strip._single.isVisible()
    qtbot.keyClick(strip._single, Qt.Key.Key_Right)
    assert any("picture_b2a_1.png" in text for text in _shown_texts(strip))
    qtbot.keyClick(strip._single, Qt.Key.Key_Right)
    assert any("picture_a2b_0.png" in text for text in _shown_texts(strip))
    qtbot.keyClick(strip._single, Qt.Key.Key_Escape)
    assert strip._overview.isVisible()


def test_it_is_used_from_the_keyboard(strip: SampleStrip, make_samples: MakeSamples, qtbot: QtBot) -> None:
    strip.show_samples(make_samples())
    qtbot.keyClick(strip._overview._buttons[0], Qt.Key.Key_Space)
    back = strip.findChild(QPushButton, "all_samples")
    assert back.isVisible()
    qtbot.keyClick(back, Qt.Key.Key_Space)
    assert strip._overview.isVisible()


def test_pictures_that_are_trained_on_are_said_to_be(strip: SampleStrip, make_samples: MakeSamples) -> None:
    note = strip.findChild(QLabel, "samples_note")
    strip.show_samples(make_samples(held_out=False))
    assert "also trained on" in note.text()
    assert note.isVisible()
    strip.show_samples(make_samples(held_out=True))
    assert not note.isVisible()


def test_names_are_shown_as_they_are_typed(strip: SampleStrip, make_samples: MakeSamples, qtbot: QtBot) -> None:
    strip.set_names("<b>A</b>", "&B")
    strip.show_samples(make_samples(name="<img src=x>"))
    qtbot.mouseClick(strip._overview._buttons[0], Qt.MouseButton.LeftButton)
    assert any("<b>A</b> to &B: <img src=x>_a2b_0.png" in text for text in _shown_texts(strip))
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in strip.findChildren(QLabel))


def test_every_button_says_what_it_is(strip: SampleStrip, make_samples: MakeSamples) -> None:
    strip.show_samples(make_samples())
    assert all(button.accessibleName() or button.text() for button in strip.findChildren(QAbstractButton))


def test_a_picture_has_the_pixels_of_the_screen() -> None:
    scaled = scaled_pixmap(QImage(64, 64, QImage.Format.Format_RGB888), QSize(100, 100), 2.0)
    assert scaled.size() == QSize(200, 200)
    assert scaled.deviceIndependentSize().toSize() == QSize(100, 100)
