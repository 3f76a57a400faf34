"""Statistics of a feature are exact, however it is cut into strips and whoever computes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from engine.conversion.strips import Moments
from engine.device import use_threads


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def feature(dtype: torch.dtype, *, mean: float = 0.0) -> Tensor:
    """[1, 6, 300, 1100] with a slope down the picture, channels last."""
    random = torch.Generator().manual_seed(0)
    values = torch.randn(1, 6, 300, 1100, generator=random) + torch.linspace(-2, 2, 300)[:, None] + mean
    return values.to(dtype, memory_format=torch.channels_last)


def gathered(x: Tensor, heights: Sequence[int]) -> Moments:
    moments = Moments()
    for strip in torch.split(x, list(heights), 2):
        moments.add(strip)
    moments.finish()
    return moments


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_moments_are_those_of_all_values_at_once_in_float64(dtype: torch.dtype, mean: float):
    x = feature(dtype, mean=mean)
    moments = gathered(x, [100, 100, 100])
    variance, exact = torch.var_mean(x.double(), (0, 2, 3), correction=0)
    # A millionth of what goes into the sum: 8 times the rounding of a single float32.
    assert (moments.mean - exact).abs().max() <= 1e-6 * x.double().abs().mean()
    assert (moments.scale / (variance + 1e-5).rsqrt() - 1).abs().max() <= 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_neither_the_height_of_strips_nor_the_number_of_threads_changes_a_bit(dtype: torch.dtype):
    x = feature(dtype, mean=3.0)
    torch.set_num_threads(1)
    expected = gathered(x, [300])
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        for heights in ([1] * 300, [7] * 42 + [6], [299, 1]):
            moments = gathered(x, heights)
            assert torch.equal(moments.mean, expected.mean)
            assert torch.equal(moments.scale, expected.scale)
        assert torch.get_num_threads() == threads


def test_gathering_leaves_other_threads_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training in another thread computes in the same order of sums, whatever is converted beside it."""
    told: list[int] = []
    asked, may_ask, may_end = (threading.Event() for _ in range(3))

    def other() -> None:
        use_threads(3)  # Its first word to torch.
        asked.set()
        may_ask.wait(60)
        told.append(torch.get_num_threads())
        may_end.set()

    def statistics(*arguments: object) -> tuple[Tensor, Tensor]:
        assert torch.get_num_threads() == 1
        may_ask.set()
        may_end.wait(60)
        return real(*arguments)

    real = torch.batch_norm_update_stats
    thread = threading.Thread(target=other)
    thread.start()
    assert asked.wait(60)
    monkeypatch.setattr(torch, "batch_norm_update_stats", statistics)
    torch.set_num_threads(2)
    gathered(feature(torch.float32)[:, :, :1], [1])
    thread.join()
    assert told == [3] and torch.get_num_threads() == 2
