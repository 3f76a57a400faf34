from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.config import TrainConfig
from engine.errors import ConfigError
from engine.model.cyclegan import CycleGAN


def make_model(**values: object) -> CycleGAN:
    defaults: dict[str, object] = {"size": 64, "load_size": 64, "blocks": 1, "channels": 4, "pool_size": 0}
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    return CycleGAN(TrainConfig(**{**places, **defaults, **values}), torch.device("cpu"))


def stored(model: CycleGAN, *names: str) -> dict[str, Tensor]:
    """As a file gives them back: sorted by name."""
    tensors = {f"{name}.{key}": v for name in names for key, v in model.networks[name].state_dict().items()}
    return dict(sorted(tensors.items()))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"blocks": 3}, "generator from A to B: there it has 3 residual blocks, here it has 1 residual block."),
        ({"blocks": 12}, "there it has 12 residual blocks"),
        ({"channels": 8}, "there it has 8 channels in its first layer, here it has 4"),
        (
            {"generator": "unet", "halvings": 5},
            "there it has 10 convolutions and no residual blocks, here it has 1 res",
        ),
        ({"norm": "batch"}, "there it has batch norm, here it has instance norm"),
        ({"norm": "none"}, "there it has no norm, here it has instance norm"),
        ({"dropout": True}, "there it has dropout, here it has no dropout"),
        ({"grey_A": True}, "there it has pictures of 1 channel as its input, here it has pictures of 3 channels"),
        ({"grey_B": True}, "there it has pictures of 1 channel as its output, here it has pictures of 3 channels"),
        ({"resize_conv": True}, "there it has resize-convolutions, here it has transposed convolutions"),
        ({"discriminator_layers": 4}, "discriminator of A: there it has 6 convolutions"),
        ({"discriminator": "pixel"}, "discriminator of A: there it has 3 convolutions"),
        ({"spectral_norm": True}, "discriminator of A: there it has spectral norm, here it has no spectral norm"),
    ],
)
def test_what_does_not_fit_is_named(values: dict[str, object], words: str) -> None:
    other, model = make_model(**values), make_model()
    before = {name: value.clone() for name, value in model.state()[0].items()}
    with pytest.raises(ConfigError) as caught:
        model.start_from(stored(other, *other.networks))
    assert caught.value.field == "start_from"
    assert words in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state()[0].items())


def test_a_model_of_one_direction_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no generator from B to A"):
        make_model().start_from(stored(make_model(), "G_AB"))


@pytest.mark.parametrize("tensors", [{"G_AB.x": torch.zeros(3)}, {"G_AB.model.1.weight": torch.zeros(4, 3, 7, 7)}])
def test_something_else_is_refused(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        make_model().start_from(tensors)
