from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.model.averaging import average, averaged_copy


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_follows_its_formula(decay: float) -> None:
    network = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    averaged = averaged_copy(network)
    expected = network.weight.detach().clone()
    for steps in range(1, 30):
        nn.init.normal_(network.weight, generator=torch.Generator().manual_seed(steps))
        average(averaged, network, decay=decay, steps=steps)
        share = min(decay, (1 + steps) / (10 + steps))
        expected = share * expected + (1 - share) * network.weight.detach()
        torch.testing.assert_close(averaged.weight.detach(), expected, atol=1e-15, rtol=1e-12)


def test_a_short_training_is_not_weighed_down_by_its_first_weights() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    averaged = averaged_copy(network)
    nn.init.ones_(network.weight)
    for steps in range(1, 101):
        average(averaged, network, decay=0.999, steps=steps)
    assert averaged.weight.item() > 0.99


def test_an_average_is_never_trained_and_takes_over_the_statistics_of_batch_norms() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())
    averaged = averaged_copy(network)
    assert not averaged.training and not any(p.requires_grad for p in averaged.parameters())
    assert network.training and all(p.requires_grad for p in network.parameters())
    network(torch.rand(2, 3, 4, 4) + 5)
    average(averaged, network, decay=0.999, steps=1)
    for kept, new in zip(averaged.buffers(), network.buffers(), strict=True):
        assert torch.equal(kept, new) and kept.data_ptr() != new.data_ptr()
