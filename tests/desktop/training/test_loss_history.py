from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cyclegan_desktop.training.loss_history import LossHistory
from engine.events import LOSS_NAMES, Losses


def _points(count: int, seed: int = 0) -> list[tuple[int, Losses]]:
    values = np.random.default_rng(seed).random((count, len(LOSS_NAMES)))
    return [(3 * index + 1, Losses(*map(float, row))) for index, row in enumerate(values)]


def _appended(points: list[tuple[int, Losses]], smoothing: float = 0.9) -> LossHistory:
    history = LossHistory(smoothing)
    for step, losses in points:
        history.append(step, losses)
    return history


def test_smoothing_is_the_exponential_mean_without_the_bias_of_its_start() -> None:
    history = _appended(_points(50), 0.8)
    total, weight = np.zeros(8), 0.0
    for index in range(50):
        total, weight = 0.8 * total + history.raw[:, index], 0.8 * weight + 1
        np.testing.assert_allclose(history.smooth[:, index], total / weight)


def test_the_first_smoothed_value_is_the_first_value(make_losses: Callable[[float], Losses]) -> None:
    history = _appended([(1, make_losses(5.0))], 0.999)
    np.testing.assert_allclose(history.smooth[:, 0], 5.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.9, 0.999])
def test_smoothing_anew_gives_what_appending_gave(smoothing: float) -> None:
    history = _appended(_points(5000), smoothing)
    appended = history.smooth.copy()
    history.set_smoothing(0.3)
    history.set_smoothing(smoothing)
    np.testing.assert_allclose(history.smooth, appended, atol=1e-6)


def test_a_history_read_at_once_equals_one_that_was_appended() -> None:
    points = _points(5001)
    at_once, appended = LossHistory.of(points), _appended(points)
    np.testing.assert_array_equal(at_once.steps, appended.steps)
    np.testing.assert_array_equal(at_once.raw, appended.raw)
    np.testing.assert_allclose(at_once.smooth, appended.smooth, atol=1e-6)
    at_once.append(20_000, points[0][1])
    appended.append(20_000, points[0][1])
    np.testing.assert_allclose(at_once.smooth[:, -1], appended.smooth[:, -1], atol=1e-6)


def test_a_value_that_is_not_finite_is_left_out_of_the_smoothing(make_losses: Callable[[float], Losses]) -> None:
    history = _appended([(1, make_losses(1.0)), (2, make_losses(float("nan"))), (3, make_losses(1.0))])
    np.testing.assert_allclose(history.smooth, 1.0)


@pytest.mark.parametrize("count", [100, 777, 20_000])
@pytest.mark.parametrize("part", [(0.0, 1.0), (0.3, 0.71), (0.5, 0.502)])
def test_thinning_keeps_every_extreme_and_few_points(count: int, part: tuple[float, float]) -> None:
    history = LossHistory.of(_points(count))
    last = int(history.steps[-1])
    first, end = part[0] * last, part[1] * last
    thinned = history.thinned(first, end, 100)
    inside = (history.steps >= first) & (history.steps <= end)
    if inside.any():
        assert (thinned.raw.max(axis=1) >= history.raw[:, inside].max(axis=1)).all()
        assert (thinned.raw.min(axis=1) <= history.raw[:, inside].min(axis=1)).all()
    assert thinned.raw.shape[1] == len(thinned.raw_steps) <= 2 * 102
    assert thinned.smooth.shape[1] == len(thinned.smooth_steps) <= 102
    assert (np.diff(thinned.raw_steps) >= 0).all()


def test_thinning_invents_no_extremes() -> None:
    history = LossHistory.of(_points(10_000))
    thinned = history.thinned(0, 1e9, 50)
    np.testing.assert_array_equal(thinned.raw.max(axis=1), history.raw.max(axis=1))
    np.testing.assert_array_equal(thinned.raw.min(axis=1), history.raw.min(axis=1))


def test_points_already_drawn_stay_where_they_are_as_more_come() -> None:
    points = _points(1500)
    history = _appended(points[:1400])
    before = history.thinned(0, 1e9, 100)
    for step, losses in points[1400:]:
        history.append(step, losses)
    after = history.thinned(0, 1e9, 100)
    whole = before.raw.shape[1] - 2  # The last stretch was not yet full.
    np.testing.assert_array_equal(after.raw[:, :whole], before.raw[:, :whole])


def test_cutting_forgets_what_came_after_a_step() -> None:
    points = _points(500)
    history = _appended(points)
    history.cut_after(points[299][0])
    for step, losses in points[300:]:
        history.append(step, losses)
    np.testing.assert_array_equal(history.steps, [step for step, _ in points])
    np.testing.assert_allclose(history.smooth, _appended(points).smooth, atol=1e-6)


def test_an_empty_history_can_be_thinned_smoothed_and_cut() -> None:
    history = LossHistory.of([])
    history.set_smoothing(0.5)
    history.cut_after(10)
    assert history.thinned(0, 1, 100).raw.shape == (8, 0)


@pytest.mark.parametrize("width", [3_000_000, 100_000, 5_000, 300])
def test_one_extreme_among_a_million_points_is_kept_at_every_zoom(width: int) -> None:
    values = np.random.default_rng(0).random((len(LOSS_NAMES), 1_000_000))
    values[2, 612_345] = 50.0
    history = LossHistory()
    history.extend(3 * np.arange(1_000_000) + 1, values)
    where = 3 * 612_345 + 1
    # Wherever the view begins, and so wherever the stretches do.
    for part in (0.001, 0.2, 0.5, 0.999):
        first = where - part * width
        thinned = history.thinned(first, first + width, 300)
        assert thinned.raw[2].max() == 50.0
        drawn = thinned.raw_steps[thinned.raw[2].argmax()]
        assert abs(drawn - where) <= 2 * width / 300
        assert thinned.raw.shape[1] <= 2 * 302


@pytest.mark.parametrize("smoothing", [0.0, 0.9, 0.999])
def test_what_is_smoothed_for_the_screen_is_what_is_smoothed_from_the_start(smoothing: float) -> None:
    points = _points(3001)
    points[70] = (points[70][0], Losses(*[float("nan")] * 8))
    history = LossHistory.of(points, smoothing)
    whole = dict(zip(history.steps.tolist(), history.smooth.T, strict=True))
    for first, last, stretches in ((0, 1e9, 20), (0, 1e9, 100), (0, 1e9, 5000), (6000, 8000, 50), (6000, 6300, 500)):
        thinned = history.thinned(first, last, stretches)
        expected = np.array([whole[int(step)] for step in thinned.smooth_steps]).T
        np.testing.assert_allclose(thinned.smooth, expected, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 5000])
@pytest.mark.parametrize("value", [0.5, -0.5])
def test_a_curve_has_values_unless_it_is_0_throughout(
    count: int, value: float, make_losses: Callable[[float], Losses]
) -> None:
    history = _appended([(step, make_losses(0.0)) for step in range(count)])
    assert not history.has_values.any()
    history.append(count, replace(make_losses(0.0), D_A=value))
    for step in range(count + 1, count + 300):
        history.append(step, make_losses(0.0))
    assert [name for name, has in zip(LOSS_NAMES, history.has_values, strict=True) if has] == ["D_A"]
    history.cut_after(count - 1)
    assert not history.has_values.any()
