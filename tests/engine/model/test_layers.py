from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model import layers
from engine.model.layers import EPSILON, InstanceNorm, Layers, ReflectionPad, reflected

ORDERS = (torch.contiguous_format, torch.channels_last)


def features(count: int = 2, channels: int = 3, order: torch.memory_format = torch.channels_last) -> Tensor:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(count, channels, 6, 5, generator=random, dtype=torch.float64) * 3 + 1
    return x.contiguous(memory_format=order).requires_grad_(True)


def gradient_of(y: Tensor, x: Tensor) -> Tensor:
    pattern = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    (gradient,) = torch.autograd.grad((y * pattern).sum(), x)
    return gradient


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("order", ORDERS)
def test_instance_norm_and_its_gradient_are_those_of_torch(count: int, order: torch.memory_format) -> None:
    x = features(count, order=order)
    ours, theirs = InstanceNorm()(x), F.instance_norm(x, eps=EPSILON)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    torch.testing.assert_close(gradient_of(ours, x), gradient_of(theirs, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.LeakyReLU(0.2, inplace=True)])
@pytest.mark.parametrize("count", [1, 3])
def test_a_norm_together_with_its_activation_is_one_after_the_other(count: int, activation: nn.Module) -> None:
    x = features(count)
    ours = Layers(InstanceNorm(), activation, nn.Tanh())(x)
    theirs = torch.tanh(activation(F.instance_norm(x, eps=EPSILON)))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    torch.testing.assert_close(gradient_of(ours, x), gradient_of(theirs, x), rtol=0, atol=1e-12)


def test_a_norm_and_its_activation_have_slopes_and_slopes_of_slopes() -> None:
    x = features(2)
    norm = InstanceNorm()
    for function in (norm, lambda y: norm.activated(y, slope=0.2)):
        assert torch.autograd.gradcheck(function, (x,))
        assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("by", [1, 3])
@pytest.mark.parametrize("order", ORDERS)
def test_reflection_padding_and_its_gradient_are_those_of_torch(by: int, order: torch.memory_format) -> None:
    x = features(order=order)
    ours, theirs = ReflectionPad(by)(x), nn.ReflectionPad2d(by)(x)
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(gradient_of(ours, x), gradient_of(theirs, x), rtol=0, atol=1e-13)
    assert torch.autograd.gradgradcheck(ReflectionPad(by), (x,))


def test_padding_as_wide_as_a_picture_allows_folds_every_border_back() -> None:
    x = features()[..., :4, :4].detach().clone().requires_grad_(True)
    torch.testing.assert_close(gradient_of(ReflectionPad(3)(x), x), gradient_of(nn.ReflectionPad2d(3)(x), x))


def test_features_stay_in_their_order_in_memory_forwards_and_backwards() -> None:
    x = features(2, 4)
    y = Layers(ReflectionPad(1), InstanceNorm(), nn.ReLU(inplace=True), ReflectionPad(1), InstanceNorm())(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert gradient_of(y, x).is_contiguous(memory_format=torch.channels_last)


def test_bf16_features_have_statistics_as_exact_as_those_of_fp32() -> None:
    x = (features(1, 4).detach() * 100).to(torch.bfloat16)
    exact = F.instance_norm(x.double(), eps=EPSILON)
    # Half a step of bf16, for values below 4.
    torch.testing.assert_close(InstanceNorm()(x).double(), exact, rtol=0, atol=2**-7)


@pytest.mark.parametrize("threads", [1, 2])
def test_statistics_of_many_pixels_are_as_exact_as_those_of_torch(threads: int) -> None:
    """A sum of as many values in fp32, one after the other, would be off by more."""
    x = torch.randn(1, 4, 512, 300, generator=torch.Generator().manual_seed(0)) + 5
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_(True)
    exact = x.detach().double().requires_grad_(True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = InstanceNorm().activated(x, slope=0.2)
        slope = gradient_of(ours, x)
    finally:
        torch.set_num_threads(before)
    theirs = F.leaky_relu(F.instance_norm(exact, eps=EPSILON), 0.2)
    pattern = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    (expected,) = torch.autograd.grad((theirs * pattern).sum(), exact)
    assert (ours - theirs).norm() < 2e-6 * theirs.norm()
    # An activation that is rounded over zero has another slope there.
    near_zero = theirs.detach().abs() < 1e-5
    assert ((slope - expected) * ~near_zero).norm() < 2e-6 * expected.norm()


def test_a_picture_in_several_pieces_has_slopes_and_slopes_of_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_PIXELS_AT_ONCE", 12)
    x = features(2)
    torch.testing.assert_close(InstanceNorm()(x), F.instance_norm(x, eps=EPSILON), rtol=0, atol=1e-13)
    assert torch.autograd.gradcheck(InstanceNorm(), (x,))
    assert torch.autograd.gradgradcheck(InstanceNorm(), (x,))


def test_layers_have_the_keys_of_a_sequence() -> None:
    parts = [nn.Conv2d(3, 4, 3), InstanceNorm(), nn.ReLU(), nn.Conv2d(4, 2, 1)]
    assert list(Layers(*parts).state_dict()) == list(nn.Sequential(*parts).state_dict())


def test_a_padding_under_autocast_stays_narrow_and_its_gradient_is_rounded_where_it_is_summed_only() -> None:
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    gradient = torch.randn(1, 4, 22, 22, generator=torch.Generator().manual_seed(1)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        padded = reflected(x, 3)
    assert padded.dtype == torch.bfloat16
    padded.backward(gradient)
    exact, terms = (x.detach().double().requires_grad_() for _ in range(2))
    F.pad(exact, (3, 3, 3, 3), mode="reflect").backward(gradient.double())
    F.pad(terms, (3, 3, 3, 3), mode="reflect").backward(gradient.double().abs())
    assert x.grad is not None and exact.grad is not None and terms.grad is not None
    # Nine places at most lie on one another in a corner, in sums of three and three.
    assert ((x.grad - exact.grad).abs() <= 4 * 2**-9 * terms.grad).all()
    untouched = (..., slice(4, 12), slice(4, 12))
    assert torch.equal(x.grad[untouched].double(), exact.grad[untouched])
