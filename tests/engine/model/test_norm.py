from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.model.generator import init_weights
from engine.model.layers import InstanceNorm
from engine.model.norm import SpectralNorm, apply_spectral_norm, make_norm, spectral_norm_of


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norm_statistics_survive_values_whose_squares_overflow_half_precision(dtype: torch.dtype) -> None:
    x = (torch.randn(1, 2, 64, 64, generator=torch.Generator().manual_seed(0)) * 300).to(dtype)
    y = InstanceNorm()(x)
    assert y.dtype == dtype
    assert y.isfinite().all()
    torch.testing.assert_close(y.float().std(dim=(2, 3)), torch.ones(1, 2), atol=0.02, rtol=0)


def test_batch_norm_keeps_its_statistics_wide_under_autocast() -> None:
    norm = make_norm("batch", 2)
    assert isinstance(norm, nn.BatchNorm2d)
    x = (torch.randn(1, 2, 64, 64, generator=torch.Generator().manual_seed(0)) * 300).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        norm(x)
    assert norm.running_var is not None and norm.running_var.dtype == torch.float32
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.double().var(dim=(0, 2, 3)).float(), rtol=1e-4, atol=0)


def make_layer(seed: int = 0) -> tuple[nn.Conv2d, SpectralNorm, Tensor]:
    layer = nn.Conv2d(3, 8, 4)
    network = nn.Sequential(layer)
    apply_spectral_norm(network)
    init_weights(network, torch.Generator().manual_seed(seed))
    found = spectral_norm_of(layer)
    assert found is not None
    return layer, found.norm, found.original


def largest_singular_value(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2))


def test_a_weight_under_spectral_norm_has_a_norm_of_one_from_the_first_pass_on() -> None:
    layer, _, original = make_layer()
    assert largest_singular_value(layer.weight) == pytest.approx(1, abs=0.05)
    for _ in range(200):
        layer.weight  # noqa: B018  Each use takes a step of the power iteration.
    assert largest_singular_value(layer.weight) == pytest.approx(1, abs=1e-4)
    direction = original / largest_singular_value(original)
    torch.testing.assert_close(layer.weight, direction, rtol=1e-3, atol=1e-5)


def test_the_gradient_through_spectral_norm_is_that_of_a_division_by_the_singular_value() -> None:
    layer, _, original = make_layer()
    layer.double()
    for _ in range(2000):
        layer.weight  # noqa: B018
    pattern = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (ours,) = torch.autograd.grad((layer.weight * pattern).sum(), original)
    free = original.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad((free / torch.linalg.matrix_norm(free.flatten(1), 2) * pattern).sum(), free)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-8)


def test_two_passes_before_one_gradient_are_allowed() -> None:
    layer, _, original = make_layer()
    (layer(torch.ones(1, 3, 8, 8)).sum() - layer(torch.zeros(1, 3, 8, 8)).sum()).backward()
    assert original.grad is not None and original.grad.any()


def test_spectral_norm_is_computed_wide_under_autocast() -> None:
    layer, norm, _ = make_layer()
    start = norm.u.clone()
    wide = layer.weight
    norm.u.copy_(start)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, wide)
        assert layer(torch.ones(1, 3, 8, 8)).dtype == torch.bfloat16


def test_the_first_vectors_of_spectral_norm_come_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    _, first, _ = make_layer(seed=3)
    torch.manual_seed(2)
    _, second, _ = make_layer(seed=3)
    _, other, _ = make_layer(seed=4)
    assert torch.equal(first.u, second.u)
    assert not torch.equal(first.u, other.u)


def test_outside_training_spectral_norm_changes_no_state() -> None:
    layer, norm, _ = make_layer()
    layer.eval()
    before = norm.u.clone()
    layer.weight  # noqa: B018
    assert torch.equal(norm.u, before)
