"""Advice about pictures much larger than the training size, and the sizes side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QPushButton, QWidget

from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.conversion.options import ConversionOptions
from cyclegan_desktop.conversion.size_advice import SizeAdvice
from cyclegan_desktop.conversion.size_dialog import SizeDialog
from engine.config import Direction, Resize
from engine.conversion.model_file import ModelInfo
from engine.conversion.preview import PreviewEvent, SizeFailed, SizePreview
from engine.errors import PictureError
from engine.events import Preparing
from engine.model.architecture import Architecture

LONG_SKIP = ModelInfo(
    Path("winter.safetensors"), "Summer", "Winter", 64, Architecture(long_skip=True), "quick", 1, "2026-01-01"
)
WHOLE = ModelInfo(Path("zebra.safetensors"), "Horses", "Zebras", 256, Architecture(), "standard", 1, "2026-01-01")

SMALL, LARGE, HUGE, BAD = Path("small.jpg"), Path("large.jpg"), Path("huge.jpg"), Path("bad.jpg")
SIZES = {SMALL: (100, 80), LARGE: (128, 192), HUGE: (6000, 4000)}


class FakePreview:
    """Gives grey pictures, the size "training" first.

    Attributes:
        asked: Pictures, with their keyword arguments.
        hold: Set it to wait within the translation until `tick` raises.
        holding: It waits.
        problem: A sentence for the original size.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Path, dict[str, Any]]] = []
        self.hold = False
        self.holding = threading.Event()
        self.ended = threading.Event()
        self.problem = ""

    def __call__(
        self, model: Path, direction: Direction, picture: Path, *, tick: Callable[[], None], **values: Any
    ) -> Iterator[PreviewEvent]:
        self.asked.append((picture, {"model": model, "direction": direction, **values}))
        yield Preparing("Reading the picture")
        try:
            for number, way in enumerate(reversed(values["ways"])):
                yield Preparing("Converting the picture", number, len(values["ways"]))
                if self.hold and way is None:
                    self.holding.set()
                    while True:
                        tick()
                        threading.Event().wait(0.002)
                if self.problem and way is None:
                    yield SizeFailed(way, self.problem)
                    continue
                size = (64, 43) if way == "training" else SIZES[picture]
                yield SizePreview(way, np.full((20, 30, 3), 90 + 40 * number, np.uint8), size, 1.25 + number)
        finally:
            self.ended.set()


def read(picture: Path) -> tuple[int, int]:
    if picture not in SIZES:
        raise PictureError(f"{picture} is empty.")
    return SIZES[picture]


@pytest.fixture
def preview() -> FakePreview:
    return FakePreview()


@pytest.fixture
def options(qtbot) -> ConversionOptions:
    options = ConversionOptions()
    qtbot.addWidget(options, before_close_func=lambda options: options.findChild(SizeAdvice).close())
    return options


@pytest.fixture
def advice(options, preview) -> SizeAdvice:
    return SizeAdvice(options, options, read=read, preview=preview)


@pytest.fixture
def look(qtbot, options, advice) -> Callable[..., None]:
    """Looks at pictures with a model, and waits until all sizes are known."""

    def look(pictures: Sequence[Path], model: ModelInfo | None = LONG_SKIP, direction: Direction = "a2b") -> None:
        options.set_direction(model, direction)
        advice.look(pictures, model, direction)
        qtbot.waitUntil(lambda: advice.is_settled)

    return look


@pytest.fixture
def compare(qtbot, options, look) -> Callable[..., SizeDialog]:
    """Opens the comparison of one large picture, or of those given."""

    def compare(pictures: Sequence[Path] = (HUGE,), model: ModelInfo = LONG_SKIP) -> SizeDialog:
        look(pictures, model)
        options.size_hint.findChild(QPushButton, "size_hint_compare").click()
        return dialog_of(options)

    return compare


def dialog_of(options: ConversionOptions) -> SizeDialog:
    (dialog,) = (dialog for dialog in options.findChildren(SizeDialog) if dialog.isVisible())
    return dialog


def text(dialog: SizeDialog, name: str) -> str:
    return dialog.findChild(QLabel, name).text()


def is_ready(dialog: SizeDialog) -> bool:
    return dialog.findChild(QPushButton, "size_cancel").isHidden()


# The advice


def test_pictures_three_times_as_large_as_in_training_are_advised_on(options, look) -> None:
    look([SMALL, LARGE])
    assert not options.size_hint.isHidden()
    assert "large.jpg is 128 x 192 px" in options.size_hint.text
    look([SMALL, LARGE], WHOLE)
    assert options.size_hint.isHidden(), "They are small beside 256 px."
    look([SMALL, HUGE], WHOLE)
    assert "huge.jpg is 6,000 x 4,000 px; this model was trained at 256 px." in options.size_hint.text
    look([SMALL])
    assert options.size_hint.isHidden()
    look([HUGE], None)
    assert options.size_hint.isHidden()


def test_pictures_that_cannot_be_read_are_passed_over(options, look) -> None:
    look([BAD, HUGE])
    assert "huge.jpg" in options.size_hint.text


def test_of_a_long_list_only_a_few_are_looked_at_from_all_over_it(qtbot, options) -> None:
    asked: list[int] = []

    def read(picture: Path) -> tuple[int, int]:
        asked.append(int(picture.stem))
        return 10, 10

    advice = SizeAdvice(options, options, read=read)
    pictures = [Path(f"{number}.jpg") for number in range(100_000)]
    advice.look(pictures, LONG_SKIP, "a2b")
    qtbot.waitUntil(lambda: advice.is_settled)
    assert 8 <= len(asked) <= 16
    assert min(asked) == 0 and max(asked) > 80_000
    count = len(asked)
    advice.look(pictures, WHOLE, "a2b")
    qtbot.waitUntil(lambda: advice.is_settled)
    assert len(asked) == count, "What is known is not read again."


def test_what_is_offered_can_be_taken(options, look, qtbot) -> None:
    look([HUGE])
    with qtbot.waitSignal(options.choices_changed):
        options.size_hint.findChild(QPushButton, "size_hint_use").click()
    assert options.choices.resize == "change"
    assert options.size_hint.isHidden()
    options.set_choices(JobChoices())
    look([HUGE], WHOLE)
    options.size_hint.findChild(QPushButton, "size_hint_use").click()
    assert options.choices.resize == "training"


def test_advice_waved_away_stays_away_for_that_model(options, look) -> None:
    look([HUGE])
    options.size_hint.findChild(QAbstractButton, "size_hint_close").click()
    assert options.size_hint.isHidden() and options.choices.resize is None
    look([HUGE, LARGE])
    assert options.size_hint.isHidden()
    look([HUGE, LARGE], WHOLE)
    assert not options.size_hint.isHidden()


def test_the_largest_of_those_looked_at_is_named(options, look) -> None:
    look([SMALL, LARGE, HUGE])
    assert "huge.jpg" in options.size_hint.text


def test_the_sizes_can_be_compared_also_after_the_advice_was_waved_away(options, look, preview, qtbot) -> None:
    again = options.findChild(QAbstractButton, "convert_compare_sizes")
    look([SMALL])
    assert again.isHidden()
    look([HUGE])
    options.size_hint.findChild(QAbstractButton, "size_hint_close").click()
    assert not again.isHidden()
    again.click()
    dialog = dialog_of(options)
    qtbot.waitUntil(lambda: is_ready(dialog))
    dialog.close()


# Side by side


def test_the_sizes_stand_side_by_side_with_their_time_and_size(compare, preview, qtbot) -> None:
    dialog = compare()
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert text(dialog, "size_caption_original") == "6,000 x 4,000 px, 3.2 s"
    assert text(dialog, "size_caption_change") == "6,000 x 4,000 px, 2.2 s"
    assert text(dialog, "size_caption_training") == "64 x 43 px, 1.2 s"
    ((picture, values),) = preview.asked
    assert picture == HUGE
    assert values["model"] == LONG_SKIP.path and values["direction"] == "a2b"
    assert values["ways"] == (None, "change", "training")
    dialog.close()


def test_a_model_without_the_long_skip_has_two_sizes(compare, preview, qtbot) -> None:
    dialog = compare(model=WHOLE)
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert preview.asked[0][1]["ways"] == (None, "training")
    assert dialog.findChild(QWidget, "size_pane_change") is None
    dialog.close()


@pytest.mark.parametrize(("name", "way"), [("training", "training"), ("change", "change"), ("original", None)])
def test_a_size_that_is_pressed_is_chosen_and_the_advice_goes(options, compare, qtbot, name, way: Resize) -> None:
    dialog = compare()
    qtbot.waitUntil(lambda: is_ready(dialog))
    dialog.findChild(QPushButton, f"size_use_{name}").click()
    assert not dialog.isVisible()
    assert options.choices.resize == way
    assert options.size_hint.isHidden()


@pytest.mark.parametrize("name", ["size_use_change", "size_view_change"])
def test_a_size_can_be_chosen_by_the_return_key(options, compare, qtbot, name) -> None:
    dialog = compare()
    qtbot.waitUntil(lambda: is_ready(dialog))
    widget = dialog.findChild(QWidget, name)
    widget.setFocus()
    qtbot.keyClick(widget, Qt.Key.Key_Return)
    assert options.choices.resize == "change"
    assert not dialog.isVisible()


def test_next_and_previous_show_the_other_large_pictures(compare, preview, qtbot) -> None:
    dialog = compare([SMALL, LARGE, HUGE])
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert dialog.picture == LARGE
    dialog.findChild(QAbstractButton, "size_next").click()
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert dialog.picture == HUGE
    assert text(dialog, "size_caption_original").startswith("6,000 x 4,000")
    qtbot.keyClick(dialog, Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert [picture for picture, _ in preview.asked] == [LARGE, HUGE, LARGE]
    dialog.close()


def test_going_on_ends_the_work_on_the_picture_before(compare, preview, qtbot) -> None:
    preview.hold = True
    dialog = compare([LARGE, HUGE])
    qtbot.waitUntil(preview.holding.is_set)
    preview.hold = False
    dialog.findChild(QAbstractButton, "size_next").click()
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert text(dialog, "size_caption_original").startswith("6,000 x 4,000")
    assert [picture for picture, _ in preview.asked] == [LARGE, HUGE]
    dialog.close()


def test_cancel_keeps_what_there_is_and_says_so(compare, preview, qtbot) -> None:
    preview.hold = True
    dialog = compare()
    qtbot.waitUntil(preview.holding.is_set)
    qtbot.waitUntil(lambda: bool(text(dialog, "size_caption_training")))
    dialog.findChild(QPushButton, "size_cancel").click()
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert text(dialog, "size_status") == "Canceled."
    assert dialog.findChild(QWidget, "size_view_original").words == "Canceled"
    assert dialog.findChild(QWidget, "size_view_training").layer is not None
    dialog.close()


def test_closing_while_it_works_ends_the_work(compare, preview, options, qtbot) -> None:
    preview.hold = True
    dialog = compare()
    qtbot.waitUntil(preview.holding.is_set)
    dialog.close()
    qtbot.waitUntil(preview.ended.is_set)
    qtbot.waitUntil(lambda: not options.findChildren(SizeDialog))


def test_closing_the_app_while_it_works_ends_the_work(compare, preview, advice, qtbot) -> None:
    preview.hold = True
    compare()
    qtbot.waitUntil(preview.holding.is_set)
    advice.close()
    assert preview.ended.is_set()


def test_another_model_closes_the_comparison(compare, look, options, qtbot) -> None:
    dialog = compare()
    qtbot.waitUntil(lambda: is_ready(dialog))
    look([HUGE], WHOLE)
    qtbot.waitUntil(lambda: not options.findChildren(SizeDialog))


def test_a_size_that_cannot_be_had_says_why_and_the_others_are_shown(compare, preview, qtbot) -> None:
    preview.problem = "huge.jpg is too large: choose the training size."
    dialog = compare()
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert dialog.findChild(QWidget, "size_view_original").words == preview.problem
    assert dialog.findChild(QWidget, "size_view_change").layer is not None
    dialog.close()


def test_what_fails_altogether_is_said(options, qtbot) -> None:
    def fail(*_: object, **__: object) -> Iterator[PreviewEvent]:
        yield Preparing("Loading the model")
        raise PictureError("huge.jpg is gone. Add it again.")

    advice = SizeAdvice(options, options, read=read, preview=fail)
    options.set_direction(LONG_SKIP, "a2b")
    advice.look([HUGE], LONG_SKIP, "a2b")
    qtbot.waitUntil(lambda: advice.is_settled)
    advice.compare()
    dialog = dialog_of(options)
    qtbot.waitUntil(lambda: is_ready(dialog))
    assert text(dialog, "size_status") == "huge.jpg is gone. Add it again."
    dialog.close()


def test_all_pictures_zoom_and_move_together(compare, qtbot) -> None:
    dialog = compare()
    qtbot.waitUntil(lambda: is_ready(dialog))
    views = [dialog.findChild(QWidget, f"size_view_{name}") for name in ("original", "change", "training")]
    place = QPointF(views[1].rect().center()) + QPointF(20, 10)
    wheel = QWheelEvent(
        place,
        views[1].mapToGlobal(place),
        QPoint(),
        QPoint(0, 480),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(views[1], wheel)
    zoomed = views[1].zoom
    assert zoomed.scale is not None
    assert [view.zoom for view in views] == [zoomed] * 3
    qtbot.keyClick(views[0], Qt.Key.Key_Right)
    assert views[2].zoom.centre[0] > zoomed.centre[0]
    assert [view.zoom for view in views] == [views[0].zoom] * 3
    qtbot.keyClick(views[2], Qt.Key.Key_0)
    assert all(view.zoom.scale is None for view in views)
    dialog.close()
