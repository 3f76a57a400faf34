from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.model.image_pool import ImagePool
from engine.randomness import Stream


def _picture(value: int) -> Tensor:
    return torch.full((1, 1, 1, 1), float(value))


def test_a_pool_of_none_shows_the_new_pictures() -> None:
    fakes = torch.rand(3, 1, 2, 2)
    assert ImagePool(0, 1, Stream.POOL_A).query(fakes, 0) is fakes


def test_while_it_fills_each_picture_is_shown_and_kept() -> None:
    pool = ImagePool(50, 1, Stream.POOL_A)
    shown = [pool.query(_picture(i), i).item() for i in range(50)]
    assert shown == list(range(50))
    assert [p.item() for p in pool.pictures] == list(range(50))


def test_once_full_half_of_what_is_shown_is_old_and_replaced_by_the_new() -> None:
    pool = ImagePool(50, 3, Stream.POOL_B)
    for i in range(50):
        pool.query(_picture(i), i)
    old = 0
    for i in range(50, 4050):
        before = {p.item() for p in pool.pictures}
        shown = pool.query(_picture(i), i).item()
        after = {p.item() for p in pool.pictures}
        if shown == i:
            assert after == before
        else:
            old += 1
            assert shown in before
            assert after == before - {shown} | {float(i)}
    # 4000 fair coins: five standard deviations are 158.
    assert abs(old - 2000) < 158


@pytest.mark.parametrize("seed", range(3))
def test_each_place_is_taken_by_the_new_equally_often(seed: int) -> None:
    pool = ImagePool(10, seed, Stream.POOL_A)
    for i in range(10):
        pool.query(_picture(i), i)
    taken = [0] * 10
    for i in range(10, 4010):
        before = [p.item() for p in pool.pictures]
        pool.query(_picture(i), i)
        for place, picture in enumerate(pool.pictures):
            taken[place] += picture.item() != before[place]
    # A place is taken with probability 1/20, 200 times of 4000; five standard deviations are 69.
    assert all(abs(count - 200) < 69 for count in taken)
    # Chi squared of ten places is below 27.9 in 999 of 1000 cases.
    expected = sum(taken) / 10
    assert sum((count - expected) ** 2 / expected for count in taken) < 27.9


def test_pictures_of_another_size_begin_the_pool_anew_unless_sizes_are_mixed() -> None:
    growing = ImagePool(3, 1, Stream.POOL_A)
    mixed = ImagePool(3, 1, Stream.POOL_A, mixed_sizes=True)
    for pool in (growing, mixed):
        for number, side in enumerate((4, 4, 8)):
            shown = pool.query(torch.zeros(1, 3, side, side), number)
            assert shown.shape[-1] == side
    assert [p.shape[-1] for p in growing.pictures] == [8]
    assert [p.shape[-1] for p in mixed.pictures] == [4, 4, 8]


def test_a_picture_that_is_kept_keeps_none_of_its_batch_alive() -> None:
    pool = ImagePool(8, 1, Stream.POOL_A)
    pool.query(torch.rand(4, 3, 8, 8), 0)
    assert {p.untyped_storage().nbytes() for p in pool.pictures} == {3 * 8 * 8 * 4}


def test_the_choices_depend_on_the_number_of_the_picture_alone() -> None:
    whole, resumed = (ImagePool(4, 9, Stream.POOL_A) for _ in range(2))
    expected = [whole.query(_picture(i), i).item() for i in range(40)]
    for i in range(20):
        resumed.query(_picture(i), i)
    again = ImagePool(4, 9, Stream.POOL_A)
    again.pictures = list(resumed.pictures)
    assert [again.query(_picture(i), i).item() for i in range(20, 40)] == expected[20:]


def test_a_batch_is_treated_picture_by_picture() -> None:
    one, many = (ImagePool(3, 5, Stream.POOL_A) for _ in range(2))
    fakes = torch.arange(12.0).view(12, 1, 1, 1)
    singly = torch.cat([one.query(fakes[i : i + 1], i) for i in range(12)])
    together = torch.cat([many.query(fakes[i : i + 4], i) for i in (0, 4, 8)])
    assert torch.equal(singly, together)
