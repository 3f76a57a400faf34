from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.config import AdversarialLoss
from engine.model.losses import cycle_loss, fooling_loss, gan_loss, gradient_penalty, identity_loss


def _log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


@pytest.mark.parametrize(
    ("kind", "on_real", "on_fake", "fooling"),
    [
        ("lsgan", (1 + 0 + 4) / 3, (0 + 1 + 9) / 3, (1 + 0 + 4) / 3),
        (
            "vanilla",
            -(_log_sigmoid(0) + _log_sigmoid(1) + _log_sigmoid(3)) / 3,
            -(_log_sigmoid(0) + _log_sigmoid(-1) + _log_sigmoid(-3)) / 3,
            -(_log_sigmoid(0) + _log_sigmoid(1) + _log_sigmoid(3)) / 3,
        ),
        ("hinge", (1 + 0 + 0) / 3, (1 + 2 + 4) / 3, -(0 + 1 + 3) / 3),
    ],
)
def test_adversarial_losses_have_their_definitions_values(
    kind: AdversarialLoss, on_real: float, on_fake: float, fooling: float
) -> None:
    verdict = torch.tensor([[[[0.0, 1.0, 3.0]]]])
    assert gan_loss(verdict, real=True, kind=kind).item() == pytest.approx(on_real)
    assert gan_loss(verdict, real=False, kind=kind).item() == pytest.approx(on_fake)
    assert fooling_loss(verdict, kind).item() == pytest.approx(fooling)


def test_cross_entropy_of_a_very_sure_discriminator_is_finite() -> None:
    verdict = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = gan_loss(verdict, real=True, kind="vanilla")
    assert loss.item() == pytest.approx(5e3)
    loss.backward()
    assert verdict.grad is not None and verdict.grad.tolist() == [0.0, -0.5]


@pytest.mark.parametrize("kind", ["lsgan", "vanilla", "hinge"])
def test_a_generator_gains_by_a_better_verdict(kind: AdversarialLoss) -> None:
    verdict = torch.tensor([-2.0, 0.0, 0.5], requires_grad=True)
    fooling_loss(verdict, kind).backward()
    assert verdict.grad is not None and (verdict.grad < 0).all()


@pytest.mark.parametrize("loss", [cycle_loss, identity_loss])
def test_cycle_and_identity_loss_are_mean_absolute_differences(loss: object) -> None:
    assert callable(loss)
    assert loss(torch.tensor([0.0, -1.0]), torch.tensor([0.5, 1.0])).item() == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float64, torch.float64)],
)
def test_losses_have_at_least_32_bits(given: torch.dtype, expected: torch.dtype) -> None:
    x = torch.rand(4, dtype=torch.float64).to(given)
    kinds: list[AdversarialLoss] = ["lsgan", "vanilla", "hinge"]
    for kind in kinds:
        assert gan_loss(x, real=True, kind=kind).dtype == expected
        assert fooling_loss(x, kind).dtype == expected
    assert cycle_loss(x, x).dtype == expected
    assert identity_loss(x, x).dtype == expected


def test_the_gradient_penalty_is_half_the_mean_squared_slope_of_a_pictures_verdict() -> None:
    """D(x) = a |x|^2 / 2 on one of two patches, so half of it: its slope is a x / 2."""
    a = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)

    def discriminator(x: Tensor) -> Tensor:
        verdict = a * x.square().sum((1, 2, 3)) / 2
        return torch.stack([verdict, torch.zeros_like(verdict)], 1)[:, None, None]

    real = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    squares = real.square().sum().item() / 2
    penalty = gradient_penalty(discriminator, real)
    assert penalty.item() == pytest.approx(0.5 * (3 / 2) ** 2 * squares)
    penalty.backward()
    assert a.grad is not None and a.grad.item() == pytest.approx(3 / 4 * squares)
    assert not real.requires_grad


def test_the_gradient_penalty_is_computed_in_32_bits_within_autocast() -> None:
    discriminator = torch.nn.Conv2d(3, 1, 3)
    real = torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        within = gradient_penalty(discriminator, real)
    assert within.dtype == torch.float32
    assert torch.equal(within, gradient_penalty(discriminator, real))
