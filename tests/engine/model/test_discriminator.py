from __future__ import annotations

import torch

from engine.model.discriminator import PatchDiscriminator


def test_the_state_dict_has_the_keys_and_parameters_of_the_reference() -> None:
    with torch.device("meta"):
        discriminator = PatchDiscriminator()
    places = ("0", "2", "5", "8", "11")
    assert list(discriminator.state_dict()) == [f"model.{p}.{part}" for p in places for part in ("weight", "bias")]
    assert sum(p.numel() for p in discriminator.parameters()) == 2_764_737


def test_each_verdict_sees_a_patch_of_70_pixels() -> None:
    """Without the norms, which see the whole picture, one verdict depends on exactly 70x70 pixels."""
    discriminator = PatchDiscriminator(2)
    layers = [layer for layer in discriminator.model if type(layer).__name__ != "InstanceNorm"]
    for layer in layers:
        if hasattr(layer, "weight"):
            torch.nn.init.constant_(layer.weight, 0.1)
    x = torch.rand(1, 3, 256, 256, requires_grad=True)
    verdict = torch.nn.Sequential(*layers)(x)
    assert verdict.shape == (1, 1, 30, 30)
    verdict[0, 0, 15, 15].backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0) > 0
    assert (seen.any(0).sum().item(), seen.any(1).sum().item()) == (70, 70)
