from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.model.diff_augment import diff_augment

SIDE = 32


def grey_levels(value: float, count: int, channels: int = 3) -> Tensor:
    return torch.full((count, channels, SIDE, SIDE), value, dtype=torch.float64)


def test_the_changes_depend_on_seed_and_number_of_the_picture_alone() -> None:
    pictures = torch.rand(4, 3, SIDE, SIDE)
    together = diff_augment(pictures, 5, 100)
    singly = torch.cat([diff_augment(pictures[i : i + 1], 5, 100 + i) for i in range(4)])
    assert torch.equal(together, singly)
    assert torch.equal(together, diff_augment(pictures, 5, 100))
    assert not torch.equal(together, diff_augment(pictures, 6, 100))
    same = diff_augment(pictures[:1].expand(4, -1, -1, -1), 5, 100)
    assert not torch.equal(same[0], same[1])


def test_an_even_picture_shows_brightness_alone_around_a_hole_and_a_margin() -> None:
    """Saturation and contrast leave an even grey as it is, so what is neither hidden nor shifted in is v + b."""
    changed = diff_augment(grey_levels(2.0, 2000), 1, 0)
    brightness, hidden = [], []
    for picture in changed:
        values = picture.unique()
        assert values[0] == 0
        visible = picture[picture != 0]
        assert visible.max() - visible.min() < 1e-12
        brightness.append(float(visible[0]) - 2)
        hidden.append((picture[0] == 0).double().mean().item())
    # Uniform in [-0.5, 0.5]: its deviation is 0.29, that of the mean of 2000 is 0.0065.
    assert -0.5 <= min(brightness) < -0.45 and 0.45 < max(brightness) <= 0.5
    assert abs(np.mean(brightness)) < 0.033
    # A hole of half of each side is a sixteenth at a corner and a quarter in the middle; a shift adds at most 15/64.
    assert min(hidden) >= 1 / 16 and max(hidden) <= 1 / 4 + 15 / 64


def test_shifts_are_whole_pixels_up_to_an_eighth_each_way_and_equally_likely() -> None:
    numbers = torch.arange(1.0, SIDE + 1, dtype=torch.float64)
    pictures = numbers.expand(1, 1, SIDE, SIDE)
    shifts = []
    for number in range(1000):
        row = diff_augment(pictures, 2, number)[0, 0]
        # Recoloured, neighbours differ by the contrast; the first whole step tells where the columns have come to.
        edges = (row.abs().sum(0) > 0).nonzero().flatten()
        shifts.append(edges[0].item() if edges[0] > 0 else edges[-1].item() - (SIDE - 1))
    counts = {shift: shifts.count(shift) for shift in set(shifts)}
    assert set(counts) == set(range(-4, 5))
    # Of 1000 draws of 9 kinds each comes 111 times; five standard deviations are 50.
    assert all(abs(count - 1000 / 9) < 50 for count in counts.values())


def test_saturation_and_contrast_stay_within_their_bounds() -> None:
    """Two colours, half of the picture each: their difference is scaled by contrast, from their grey by saturation."""
    picture = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64)
    picture[:, 0, :, ::2] = 0.6
    contrasts, saturations = [], []
    for number in range(1000):
        changed = diff_augment(picture, 3, number)[0]
        shown = (changed != 0).any(0)
        greys = changed.mean(0)[shown].unique()
        contrast = (greys.max() - greys.min()).item() / 0.2
        spread = (changed[0] - changed[1])[shown].max().item()
        contrasts.append(contrast)
        saturations.append(spread / 0.6 / contrast)
    assert min(contrasts) >= 0.5 and max(contrasts) <= 1.5 and abs(np.mean(contrasts) - 1) < 0.05
    assert min(saturations) >= 0 and max(saturations) <= 2 and abs(np.mean(saturations) - 1) < 0.1


@pytest.mark.parametrize("channels", [1, 3])
def test_its_gradient_is_that_of_small_differences(channels: int) -> None:
    picture = torch.rand(1, channels, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    changed = diff_augment(picture, 4, 0)
    assert changed.shape == picture.shape and changed.dtype == picture.dtype
    (slope,) = torch.autograd.grad(changed.square().sum(), picture)
    assert (slope != 0).any()
    direction = torch.rand_like(picture)
    step = 1e-6
    ahead, behind = (diff_augment(picture.detach() + s * direction, 4, 0).square().sum() for s in (step, -step))
    assert ((ahead - behind) / (2 * step)).item() == pytest.approx((slope * direction).sum().item(), rel=1e-6)


def test_pictures_that_are_not_square_are_hidden_and_shifted_by_their_own_sides() -> None:
    changed = diff_augment(torch.full((300, 1, 16, 64), 2.0), 7, 0)
    hidden_rows = (changed == 0).all(3).sum(2).flatten()
    assert int(hidden_rows.max()) <= 2
    hidden = (changed == 0).float().mean((1, 2, 3))
    assert float(hidden.min()) >= 1 / 16 and float(hidden.max()) <= 1 / 4 + 15 / 64
