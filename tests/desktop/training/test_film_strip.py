from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, QSize, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLabel, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.film_overview import SampleButton, scaled_pixmap
from cyclegan_desktop.training.film_strip import FilmStrip
from cyclegan_desktop.training.film_timeline import FilmTimeline
from engine.events import Moment, SamplesDrawn

MakeSamples = Callable[..., SamplesDrawn]


@pytest.fixture
def strip(qtbot: QtBot) -> Iterator[FilmStrip]:
    made = FilmStrip()
    qtbot.addWidget(made)
    made.set_names("Apples", "Oranges")
    made.resize(640, 520)
    made.show()
    qtbot.waitExposed(made)
    yield made


def _moments(*steps: int, models: tuple[int, ...] = (), stars: tuple[int, ...] = ()) -> list[Moment]:
    return [Moment(step, (), Path(f"{step}") if step in models else None, step in stars) for step in steps]


def _show(strip: FilmStrip, event: SamplesDrawn) -> None:
    strip.set_moments(_moments(event.step), 0)
    strip.show_samples(event.step, event.samples)


def _shown_texts(strip: FilmStrip) -> list[str]:
    return [label.text() for label in strip.findChildren(QLabel) if label.isVisible()]


def _tool(strip: FilmStrip, name: str) -> QToolButton:
    return strip.findChild(QToolButton, name)


def _timeline(strip: FilmStrip) -> FilmTimeline:
    return strip.findChild(FilmTimeline)


def test_both_directions_are_shown_with_their_headings(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples(1240))
    texts = _shown_texts(strip)
    assert {"Apples to Oranges", "Oranges to Apples", "Step 1,240, pictures only"} <= set(texts)
    for kind in ("Original", "Translated", "Back again"):
        assert texts.count(kind) == 2
    assert len(strip.findChildren(SampleButton)) == 4


@pytest.mark.parametrize("room", [(640, 480), (1100, 360), (360, 900), (420, 400)])
def test_the_pictures_lie_within_the_room_and_apart(
    strip: FilmStrip, make_samples: MakeSamples, room: tuple[int, int]
) -> None:
    strip.resize(*room)
    _show(strip, make_samples())
    overview = strip._overview
    places = [button.geometry() for button in strip.findChildren(SampleButton)]
    for index, place in enumerate(places):
        assert QRect(0, 0, overview.width(), overview.height()).contains(place)
        assert not any(place.intersects(other) for other in places[index + 1 :])


def test_newer_samples_replace_the_last_ones_and_keep_the_focus(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples(1, 20))
    chosen = strip.findChildren(SampleButton)[2]
    chosen.setFocus()
    dark = chosen.grab().toImage().pixelColor(10, 10).lightness()
    _show(strip, make_samples(2, 220))
    assert chosen.hasFocus()
    assert chosen.grab().toImage().pixelColor(10, 10).lightness() > dark
    assert "Step 2, pictures only" in _shown_texts(strip)


def test_other_pictures_make_other_buttons(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples(name="one"))
    _show(strip, make_samples(name="two"))
    assert all("two_" in button.accessibleName() for button in strip._overview._buttons)


def test_a_click_shows_a_sample_alone_and_escape_goes_back(
    strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot
) -> None:
    _show(strip, make_samples())
    qtbot.mouseClick(strip._overview._buttons[2], Qt.MouseButton.LeftButton)
    assert strip._single.isVisible()
    assert any("Oranges to Apples: picture_b2a_0.png" in text for text in _shown_texts(strip))
    _show(strip, make_samples(5))
    assert strip._single.isVisible()
    qtbot.keyClick(strip._single, Qt.Key.Key_Right)
    assert any("picture_b2a_1.png" in text for text in _shown_texts(strip))
    qtbot.keyClick(strip._single, Qt.Key.Key_Right)
    assert any("picture_a2b_0.png" in text for text in _shown_texts(strip))
    qtbot.keyClick(strip._single, Qt.Key.Key_Escape)
    assert strip._overview.isVisible()


def test_it_is_used_from_the_keyboard(strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot) -> None:
    _show(strip, make_samples())
    qtbot.keyClick(strip._overview._buttons[0], Qt.Key.Key_Space)
    back = strip.findChild(QPushButton, "all_samples")
    assert back.isVisible()
    qtbot.keyClick(back, Qt.Key.Key_Space)
    assert strip._overview.isVisible()


def test_a_moment_that_does_not_show_the_picture_says_so_and_shows_no_other(
    strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot
) -> None:
    _show(strip, make_samples(9, name="new"))
    qtbot.mouseClick(strip._overview._buttons[0], Qt.MouseButton.LeftButton)
    _show(strip, make_samples(3, name="old"))
    assert strip._single.isVisible()
    assert strip._single._canvas._images == []
    note = strip.findChild(QLabel, "samples_note").text()
    assert note == "Step 3 does not show new_a2b_0.png: the fixed pictures were others then."
    _show(strip, make_samples(9, name="new"))
    assert len(strip._single._canvas._images) == 3
    assert not strip.findChild(QLabel, "samples_note").isVisible()


def test_what_is_to_be_said_about_the_pictures_is_said(strip: FilmStrip, make_samples: MakeSamples) -> None:
    event = make_samples()
    strip.set_moments(_moments(1), 0)
    strip.show_samples(1, event.samples, notes=["These are trained on.", "And old."])
    note = strip.findChild(QLabel, "samples_note")
    assert note.isVisible()
    assert note.text() == "These are trained on. And old."


def test_the_timeline_is_scrubbed_with_keys_and_mouse(
    strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot
) -> None:
    _show(strip, make_samples())
    strip.set_moments(_moments(*range(0, 300, 10)), 29)
    timeline = _timeline(strip)
    places: list[int] = []
    strip.place_chosen.connect(places.append)
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Home, Qt.Key.Key_Right, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
        qtbot.keyClick(timeline, key)
    assert places == [28, 0, 1, 11, 1] or places == [28, 0, 1, 0, 10]
    qtbot.keyClick(timeline, Qt.Key.Key_End)
    assert places[-1] == 29
    qtbot.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=QPoint(timeline.width() // 2, 20))
    assert places[-1] in (14, 15)


def test_comma_and_full_stop_go_through_the_moments_wherever_the_focus_is(
    strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot
) -> None:
    _show(strip, make_samples())
    strip.set_moments(_moments(1, 2, 3), 1)
    places: list[int] = []
    strip.place_chosen.connect(places.append)
    first = strip._overview._buttons[0]
    qtbot.keyClick(first, Qt.Key.Key_Comma)
    qtbot.keyClick(first, Qt.Key.Key_Period)
    assert places == [0, 1]


def test_showing_moments_chooses_none(strip: FilmStrip, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(strip.place_chosen):
        strip.set_moments(_moments(1, 2, 3), 2)
        strip.set_moments(_moments(2, 3), 0)


def test_the_wheel_scrubs_only_with_the_focus(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples())
    strip.set_moments(_moments(1, 2, 3), 1)
    timeline = _timeline(strip)

    def turn() -> None:
        middle = QPointF(timeline.rect().center())
        wheel = QWheelEvent(
            middle,
            timeline.mapToGlobal(middle),
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(timeline, wheel)

    strip._overview._buttons[0].setFocus()
    turn()
    assert timeline.value() == 1
    timeline.setFocus()
    turn()
    assert timeline.value() != 1


def test_what_is_kept_of_a_moment_decides_what_can_be_done_with_it(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples())
    moments = _moments(10, 20, models=(20,), stars=(20,))
    strip.set_moments(moments, 0)
    assert not _tool(strip, "film_convert").isEnabled()
    assert not _tool(strip, "film_branch").isEnabled()
    assert "model is gone" in _tool(strip, "film_convert").toolTip()
    assert not _tool(strip, "film_star").isChecked()
    strip.set_moments(moments, 1)
    assert _tool(strip, "film_convert").isEnabled()
    assert _tool(strip, "film_branch").isEnabled()
    assert _tool(strip, "film_star").isChecked()
    assert "Step 20, starred, with its model" in _shown_texts(strip)


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("film_star", "star_asked"),
        ("film_play", "play_asked"),
        ("film_compare_button", "compare_asked"),
        ("film_convert", "convert_asked"),
        ("film_branch", "branch_asked"),
        ("film_export", "export_asked"),
        ("film_pictures", "pictures_asked"),
    ],
)
def test_every_button_asks_for_what_it_says(
    strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot, name: str, signal: str
) -> None:
    _show(strip, make_samples())
    strip.set_moments(_moments(1, 2, models=(2,)), 1)
    with qtbot.waitSignal(getattr(strip, signal)):
        _tool(strip, name).click()


@pytest.mark.parametrize(
    ("key", "signal"),
    [(Qt.Key.Key_S, "star_asked"), (Qt.Key.Key_P, "play_asked"), (Qt.Key.Key_L, "newest_asked")],
)
def test_the_keys_do_what_the_buttons_do_also_while_comparing(
    strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot, key: Qt.Key, signal: str
) -> None:
    event = make_samples()
    _show(strip, event)
    strip.set_moments(_moments(1, 2), 0)
    with qtbot.waitSignal(getattr(strip, signal)):
        qtbot.keyClick(strip._overview._buttons[0], key)
    strip.show_pinned((1, event.samples))
    with qtbot.waitSignal(getattr(strip, signal)):
        qtbot.keyClick(strip._compare.view, key)


def test_the_marks_on_the_timeline_differ_by_shape(strip: FilmStrip) -> None:
    def drawn(moments: list[Moment]) -> QImage:
        strip.set_moments(moments, 0)
        image = _timeline(strip).grab().toImage()
        return image.convertToFormat(QImage.Format.Format_Grayscale8)

    steps = (1, 2, 3)
    plain = drawn(_moments(*steps))
    starred, with_model = drawn(_moments(*steps, stars=(2,))), drawn(_moments(*steps, models=(2,)))
    strip._timeline.set_pinned(2)
    pinned = drawn(_moments(*steps))
    assert len({image.bits().tobytes() for image in (plain, starred, with_model, pinned)}) == 4


def test_the_timeline_says_where_it_stands(strip: FilmStrip) -> None:
    strip.set_moments(_moments(10, 1250, stars=(1250,), models=(10,)), 1)
    timeline = _timeline(strip)
    assert timeline.accessibleName() == "Moments of the training"
    assert timeline.accessibleDescription() == "Step 1,250, starred, pictures only"


def test_live_is_told_in_words(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples())
    strip.set_training(True)
    strip.set_moments(_moments(1, 2), 1)
    assert "Live: Step 2, pictures only" in _shown_texts(strip)
    newest = strip.findChild(QPushButton, "film_newest")
    assert (newest.text(), newest.isChecked()) == ("Live", True)
    strip.set_moments(_moments(1, 2), 0)
    assert "Step 1, pictures only" in _shown_texts(strip)
    assert not newest.isChecked()
    strip.set_training(False)
    assert newest.text() == "Newest"


def test_two_moments_of_a_picture_are_compared(strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot) -> None:
    strip.set_moments(_moments(10, 20), 0)
    strip.show_samples(10, make_samples(10, 50).samples)
    strip.show_pinned((10, make_samples(10, 50).samples))
    compare = strip._compare
    assert compare.isVisible()
    assert "compare it with step 10" in compare.findChild(QLabel, "film_compare_note").text()
    assert _timeline(strip).hasFocus()
    strip.set_moments(_moments(10, 20), 1)
    strip.show_samples(20, make_samples(20, 200).samples)
    assert compare.view.captions == ("Step 10", "Step 20")
    before, after = compare.view.before, compare.view.after
    assert before is not None and after is not None
    assert (before.pixelColor(1, 1).red(), after.pixelColor(1, 1).red()) == (50, 200)
    assert not compare.findChild(QLabel, "film_compare_note").isVisible()
    title = compare.findChild(QLabel, "film_compare_title")
    qtbot.keyClick(compare.view, Qt.Key.Key_Right)
    assert title.text() == "Apples to Oranges: picture_a2b_1.png"
    with qtbot.waitSignal(strip.compare_asked):
        qtbot.keyClick(compare.view, Qt.Key.Key_Escape)
    strip.show_pinned(None)
    assert strip._overview.isVisible()


def test_a_picture_that_one_of_the_two_moments_lacks_is_not_compared(
    strip: FilmStrip, make_samples: MakeSamples
) -> None:
    strip.set_moments(_moments(10, 20), 1)
    strip.show_samples(20, make_samples(20, name="new").samples)
    strip.show_pinned((10, make_samples(10, name="old").samples))
    assert strip._compare.view.before is None
    assert strip._compare.view.after is not None
    assert "Step 10 does not show new_a2b_0.png" in strip._compare.findChild(QLabel, "film_compare_note").text()


def test_the_way_back_can_be_compared_too(strip: FilmStrip, make_samples: MakeSamples) -> None:
    event = make_samples()
    strip.set_moments(_moments(1), 0)
    samples = tuple(type(s)(s.direction, s.source, s.original, s.translated, s.back // 2) for s in event.samples)
    strip.show_samples(1, samples)
    strip.show_pinned((1, samples))
    strip.findChild(QComboBox, "film_compare_kind").setCurrentIndex(1)
    after = strip._compare.view.after
    assert after is not None and after.pixelColor(1, 1).red() == 50


def test_names_are_shown_as_they_are_typed(strip: FilmStrip, make_samples: MakeSamples, qtbot: QtBot) -> None:
    strip.set_names("<b>A</b>", "&B")
    _show(strip, make_samples(name="<img src=x>"))
    qtbot.mouseClick(strip._overview._buttons[0], Qt.MouseButton.LeftButton)
    assert any("<b>A</b> to &B: <img src=x>_a2b_0.png" in text for text in _shown_texts(strip))
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in strip.findChildren(QLabel) if label.text())


def test_every_button_says_what_it_is(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples())
    assert all(button.accessibleName() or button.text() for button in strip.findChildren(QAbstractButton))


def test_without_room_for_words_the_buttons_keep_their_icons(strip: FilmStrip, make_samples: MakeSamples) -> None:
    _show(strip, make_samples())
    export = _tool(strip, "film_export")
    assert export.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonTextBesideIcon
    strip.resize(380, 400)
    QApplication.processEvents()
    assert export.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonIconOnly
    assert strip.minimumSizeHint().width() <= 420
    assert _timeline(strip).width() >= 200
    strip.resize(640, 400)
    QApplication.processEvents()
    assert export.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonTextBesideIcon
    assert strip._speed.y() < export.mapTo(strip, QPoint()).y()


def test_a_picture_has_the_pixels_of_the_screen() -> None:
    scaled = scaled_pixmap(QImage(64, 64, QImage.Format.Format_RGB888), QSize(100, 100), 2.0)
    assert scaled.size() == QSize(200, 200)
    assert scaled.deviceIndependentSize().toSize() == QSize(100, 100)
