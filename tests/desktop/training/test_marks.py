from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QImage, QPainter

from cyclegan_desktop.training.marks import (
    SWITCHES,
    SYMBOL,
    MarkList,
    PlotMark,
    draw_marks,
    kind_words,
    mark_at,
    mark_icon,
    switch_words,
    symbol_place,
)

_KINDS = [kind for _, kinds in SWITCHES for kind in kinds]


def _scaled(first: float, last: float, width: float):
    return lambda steps: (steps - first) * width / (last - first)


def _marks(*marks: PlotMark) -> MarkList:
    made = MarkList()
    for mark in marks:
        made.add(mark)
    return made


def test_marks_that_would_touch_become_one_that_counts_them() -> None:
    marks = _marks(*(PlotMark(step, "saved") for step in range(1, 10_001)))
    placed = marks.placed(["saved"], _scaled(0, 10_000, 400), 400)
    assert len(placed) <= 400 / SYMBOL
    assert (np.diff([mark.x for mark in placed]) >= SYMBOL).all()
    assert sum(mark.count for mark in placed) == 10_000
    assert placed[0].sentence == f"Steps 1 to {placed[0].last:,}: saved, {placed[0].count:,} times"


def test_marks_stand_apart_where_there_is_room() -> None:
    marks = _marks(PlotMark(100, "saved"), PlotMark(200, "saved"), PlotMark(900, "resumed", "on another machine"))
    placed = marks.placed(_KINDS, _scaled(0, 1000, 400), 400)
    assert [mark.count for mark in placed] == [1, 1, 1]
    assert sorted(mark.sentence for mark in placed) == [
        "Step 100: saved",
        "Step 200: saved",
        "Step 900: resumed. on another machine",
    ]


def test_going_back_takes_later_marks_with_it_but_no_stars() -> None:
    marks = _marks(
        PlotMark(4, "saved"), PlotMark(8, "saved"), PlotMark(6, "changed", "lambda_A 5"), PlotMark(9, "starred")
    )
    marks.add(PlotMark(4, "rolled_back"))
    assert marks.of("saved") == [PlotMark(4, "saved")]
    assert marks.of("changed") == [PlotMark(4, "changed", "lambda_A 5")]
    assert marks.of("starred") == [PlotMark(9, "starred")]


def test_only_what_is_in_view_is_placed() -> None:
    marks = _marks(*(PlotMark(step, "starred") for step in (10, 500, 990)))
    assert [mark.first for mark in marks.placed(["starred"], _scaled(100, 900, 400), 400)] == [500]


def test_kinds_at_the_same_step_stand_below_each_other() -> None:
    marks = _marks(*(PlotMark(500, kind) for kind in ("starred", "resumed", "changed", "rolled_back")))
    placed = marks.placed(_KINDS, _scaled(0, 1000, 400), 400)
    assert sorted(mark.row for mark in placed) == [0, 1, 2, 3]


def test_the_same_mark_twice_is_one() -> None:
    marks = _marks(PlotMark(5, "resumed"), PlotMark(5, "resumed"), PlotMark(5, "resumed", "why"))
    assert marks.count(["resumed"]) == 2


def test_kinds_of_a_newer_version_are_left_out() -> None:
    marks = _marks(PlotMark(5, "teleported"))
    marks.set([PlotMark(6, "teleported"), PlotMark(7, "saved")])
    assert marks.count(["teleported"]) == 0
    assert marks.count(["saved"]) == 1


def test_new_marks_leave_the_stars_alone() -> None:
    marks = _marks(PlotMark(5, "starred"), PlotMark(6, "saved"))
    marks.set([PlotMark(7, "resumed")])
    assert [marks.count([kind]) for kind in ("starred", "saved", "resumed")] == [1, 0, 1]


def test_a_mark_is_found_by_its_symbol_and_by_its_line() -> None:
    view = QRectF(50, 10, 400, 200)
    placed = _marks(PlotMark(500, "starred")).placed(["starred"], _scaled(0, 1000, 400), 400)
    symbol = symbol_place(view, placed[0])
    for place in (symbol, symbol + QPointF(4, 4), QPointF(symbol.x(), 150)):
        found = mark_at(view, placed, place)
        assert found is not None
        assert found.first == 500
    assert mark_at(view, placed, QPointF(symbol.x() + 40, 100)) is None


def test_every_kind_has_words_and_a_shape_of_its_own() -> None:
    shapes = set()
    for kind in [*_KINDS, "best"]:
        assert kind_words(kind)
        image = mark_icon(kind, is_dark=False).pixmap(32, 32).toImage()
        # The form alone, without its colour.
        shapes.add(
            tuple(image.pixelColor(x, y).alpha() > 127 for x in range(image.width()) for y in range(image.height()))
        )
    assert len(shapes) == len(_KINDS) + 1
    assert all(switch_words(switch) for switch, _ in SWITCHES)


@pytest.mark.parametrize("is_dark", [False, True])
def test_marks_are_drawn_within_the_view(is_dark: bool) -> None:
    image = QImage(200, 100, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    marks = _marks(*(PlotMark(100 * n, kind) for n, kind in enumerate([*_KINDS, "best"], start=1)))
    painter = QPainter(image)
    placed = marks.placed(["best", *_KINDS], _scaled(0, 1000, 200), 200)
    draw_marks(painter, QRectF(0, 0, 200, 100), placed, is_dark=is_dark)
    painter.end()
    for mark in placed:
        place = symbol_place(QRectF(0, 0, 200, 100), mark).toPoint()
        assert image.pixelColor(place) != QColor("white")
