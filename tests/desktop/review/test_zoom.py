from __future__ import annotations

import pytest
from PySide6.QtCore import QPointF, QRectF, QSize

from cyclegan_desktop.review.zoom import Place, Zoom

ROOM = QRectF(0, 0, 600, 400)


def spot(place: Place, zoom: Zoom, at: QPointF) -> tuple[float, float]:
    """What of the picture is at `at`, as shares of its sides."""
    rect = place.rect(zoom)
    return (at.x() - rect.left()) / rect.width(), (at.y() - rect.top()) / rect.height()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1200, 400), (0, 100, 600, 200)), ((10, 40), (250, 0, 100, 400)), ((600, 400), (0, 0, 600, 400))],
)
def test_all_of_a_picture_is_seen_as_large_as_can_be(size, expected):
    assert Place(QSize(*size), ROOM).rect(Zoom()).getRect() == expected


def test_at_a_scale_of_1_a_pixel_of_the_picture_is_one_of_the_screen():
    assert Place(QSize(3000, 2000), ROOM).rect(Zoom(1.0)).width() == 3000
    fine = Place(QSize(3000, 2000), ROOM, ratio=2.0).rect(Zoom(1.0))
    assert (fine.width(), fine.height()) == (1500, 1000)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_the_corner_is_on_a_pixel_of_the_screen(ratio):
    left = Place(QSize(3001, 1999), ROOM, ratio).rect(Zoom(1.0, (0.3337, 0.4441))).left() * ratio
    assert left == pytest.approx(round(left))


@pytest.mark.parametrize("factor", [1.25, 4.0, 1 / 1.25])
def test_what_is_under_the_pointer_stays_there(factor):
    place, at = Place(QSize(3000, 2000), ROOM), QPointF(150, 333)
    zoom = place.scaled(Zoom(), 0.8, at)
    before = spot(place, zoom, at)
    after = spot(place, place.scaled(zoom, 0.8 * factor, at), at)
    assert after == pytest.approx(before, abs=0.001)


def test_a_picture_is_moved_no_farther_than_to_its_edges():
    place = Place(QSize(3000, 2000), ROOM)
    zoom = place.panned(Zoom(1.0), QPointF(1e6, 1e6))
    assert place.rect(zoom).topLeft() == QPointF(0, 0)
    back = place.panned(zoom, QPointF(-10, 0))
    assert place.rect(back).topLeft() == QPointF(-10, 0)


def test_a_side_that_fits_stays_in_the_middle():
    place = Place(QSize(3000, 100), ROOM)
    assert place.rect(place.panned(Zoom(1.0), QPointF(50, 50))).top() == 150


def test_shrinking_ends_at_all_of_the_picture_and_enlarging_at_16_pixels():
    place = Place(QSize(3000, 2000), ROOM)
    assert place.scaled(Zoom(1.0), 0.001) == Zoom()
    assert place.scaled(Zoom(1.0), 1000).scale == 16


def test_a_small_picture_can_be_shrunk_to_its_own_pixels():
    place = Place(QSize(60, 40), ROOM)
    assert place.scale(Zoom()) == 10
    assert place.scale(place.scaled(Zoom(), 0.1)) == 1


def test_a_scale_for_a_large_picture_shows_at_least_all_of_it_in_a_larger_room():
    assert Place(QSize(3000, 2000), QRectF(0, 0, 1200, 800)).scale(Zoom(0.2)) == pytest.approx(0.4)
