from __future__ import annotations

import pytest
import torch

from engine.model.losses import cycle_loss, gan_loss, identity_loss


def test_the_adversarial_loss_is_the_squared_distance_to_the_label() -> None:
    verdict = torch.tensor([[[[0.0, 1.0, 3.0]]]])
    assert gan_loss(verdict, real=True).item() == pytest.approx((1 + 0 + 4) / 3)
    assert gan_loss(verdict, real=False).item() == pytest.approx((0 + 1 + 9) / 3)


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
    assert gan_loss(x, real=True).dtype == expected
    assert cycle_loss(x, x).dtype == expected
    assert identity_loss(x, x).dtype == expected
