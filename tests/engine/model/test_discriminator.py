"""The discriminators against the reference's keys, shapes and sizes, and against a plain second implementation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.config import TrainConfig
from engine.errors import ConfigError
from engine.model.architecture import Norm
from engine.model.discriminator import PatchDiscriminator, PixelDiscriminator, make_discriminator
from engine.model.generator import init_weights

NORMS: tuple[Norm, ...] = ("instance", "batch", "none")
Shapes = dict[str, tuple[int, ...]]


def make_config(**values: object) -> TrainConfig:
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    return TrainConfig(**{**places, "channels": 4, **values})


def shapes_of(network: nn.Module) -> Shapes:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def normed(prefix: str, place: int, weight: tuple[int, ...], norm: Norm) -> Shapes:
    """A convolution followed by a norm: a bias with instance norm only."""
    shapes: Shapes = {f"{prefix}.{place}.weight": weight}
    if norm == "instance":
        shapes[f"{prefix}.{place}.bias"] = weight[:1]
    if norm == "batch":
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}.{place + 1}.{part}"] = weight[:1]
        shapes[f"{prefix}.{place + 1}.num_batches_tracked"] = ()
    return shapes


def patch_shapes(c: int, layers: int, norm: Norm, inputs: int) -> Shapes:
    shapes: Shapes = {"model.0.weight": (c, inputs, 4, 4), "model.0.bias": (c,)}
    width = c
    for layer in range(1, layers + 1):
        wider = c * min(2**layer, 8)
        shapes |= normed("model", 3 * layer - 1, (wider, width, 4, 4), norm)
        width = wider
    last = f"model.{3 * layers + 2}"
    return shapes | {f"{last}.weight": (1, width, 4, 4), f"{last}.bias": (1,)}


def pixel_shapes(c: int, norm: Norm, inputs: int) -> Shapes:
    shapes: Shapes = {"net.0.weight": (c, inputs, 1, 1), "net.0.bias": (c,)}
    shapes |= normed("net", 2, (2 * c, c, 1, 1), norm)
    shapes["net.5.weight"] = (1, 2 * c, 1, 1)
    if norm == "instance":
        shapes["net.5.bias"] = (1,)
    return shapes


@pytest.mark.parametrize(("norm", "grey"), list(product(NORMS, (False, True))))
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 6])
def test_a_patch_discriminator_has_the_keys_and_shapes_of_the_reference(layers: int, norm: Norm, grey: bool) -> None:
    network = make_discriminator(make_config(discriminator_layers=layers, norm=norm, grey_B=grey), "B")
    assert shapes_of(network) == patch_shapes(4, layers, norm, 1 if grey else 3)


@pytest.mark.parametrize(("norm", "grey"), list(product(NORMS, (False, True))))
def test_a_pixel_discriminator_has_the_keys_and_shapes_of_the_reference(norm: Norm, grey: bool) -> None:
    network = make_discriminator(make_config(discriminator="pixel", norm=norm, grey_A=grey), "A")
    assert shapes_of(network) == pixel_shapes(4, norm, 1 if grey else 3)


def test_each_discriminator_judges_pictures_of_its_own_domain() -> None:
    config = make_config(grey_A=True)
    for domain, channels in (("A", 1), ("B", 3)):
        network = make_discriminator(config, domain)
        assert network(torch.zeros(1, channels, 64, 64)).shape == (1, 1, 6, 6)


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (PatchDiscriminator, 2_764_737),
        (lambda: PatchDiscriminator(norm="batch"), 2_765_633),
        (lambda: PixelDiscriminator(norm="batch"), 8_832),
    ],
)
def test_discriminators_have_as_many_parameters_as_the_reference_reports(
    network: Callable[[], nn.Module], count: int
) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in network().parameters()) == count


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_each_verdict_sees_a_patch_of_the_size_its_layers_say(layers: int, patch: int) -> None:
    """Without norms, which see the whole picture, a verdict depends on exactly one patch."""
    discriminator = PatchDiscriminator(1, layers=layers, norm="none")
    for parameter in discriminator.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    x = torch.rand(1, 3, 256, 256, requires_grad=True)
    verdict = discriminator(x)
    side = 256 // 2**layers - 2
    assert verdict.shape == (1, 1, side, side)
    verdict[0, 0, side // 2, side // 2].backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0) > 0
    assert (seen.any(0).sum().item(), seen.any(1).sum().item()) == (patch, patch)


def test_a_pixel_discriminator_sees_one_pixel() -> None:
    discriminator = PixelDiscriminator(2, norm="none")
    for parameter in discriminator.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    verdict = discriminator(x)
    assert verdict.shape == (1, 1, 16, 16)
    verdict[0, 0, 5, 7].backward()
    assert x.grad is not None
    assert x.grad[0].abs().sum(0).nonzero().tolist() == [[5, 7]]


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_smallest_pictures_that_a_config_allows_give_a_verdict(layers: int) -> None:
    side = max(32, 3 * 2**layers)
    network = make_discriminator(make_config(discriminator_layers=layers, size=side), "A")
    assert network(torch.rand(1, 3, side, side)).isfinite().all()
    if side > 32:
        with pytest.raises(ConfigError, match="fewer layers"):
            make_config(discriminator_layers=layers, size=side - 4)


# Results, against a plain second implementation in float64


def plain_norm(w: dict[str, Tensor], place: str, x: Tensor, norm: Norm) -> Tensor:
    if norm == "none":
        return x
    over = (2, 3) if norm == "instance" else (0, 2, 3)
    mean = x.mean(over, keepdim=True)
    scaled = (x - mean) / torch.sqrt(((x - mean) ** 2).mean(over, keepdim=True) + 1e-5)
    if norm == "instance":
        return scaled
    return scaled * w[f"{place}.weight"].view(1, -1, 1, 1) + w[f"{place}.bias"].view(1, -1, 1, 1)


def plain_discriminator(w: dict[str, Tensor], x: Tensor, config: TrainConfig) -> Tensor:
    if config.discriminator == "pixel":
        places, strides, padding = ["net.0", "net.2", "net.5"], [1, 1, 1], 0
    else:
        layers = config.discriminator_layers
        places = ["model.0", *(f"model.{3 * layer - 1}" for layer in range(1, layers + 1)), f"model.{3 * layers + 2}"]
        strides, padding = [2] * layers + [1, 1], 1
    y = x
    for place, stride in zip(places, strides, strict=True):
        y = F.conv2d(y, w[f"{place}.weight"], w.get(f"{place}.bias"), stride=stride, padding=padding)
        if place not in (places[0], places[-1]):
            prefix, number = place.split(".")
            y = plain_norm(w, f"{prefix}.{int(number) + 1}", y, config.norm)
        if place != places[-1]:
            y = torch.where(y > 0, y, 0.2 * y)
    return y


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "kind", [{"discriminator": "pixel"}, *({"discriminator_layers": layers} for layers in (1, 2, 3, 4))], ids=str
)
def test_outputs_and_gradients_equal_those_of_a_plain_implementation(kind: dict[str, object], norm: Norm) -> None:
    random = torch.Generator().manual_seed(0)
    config = make_config(**kind, norm=norm, channels=3)
    network = make_discriminator(config, "A")
    init_weights(network, random, gain=0.3)
    for key, parameter in network.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(parameter, 0, 0.1, generator=random)
    network.double()
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    for key, _ in network.named_parameters():
        weights[key].requires_grad_()
    x = torch.rand((2, 3, 48, 64), generator=random, dtype=torch.float64) * 2 - 1
    ours, theirs = network(x), plain_discriminator(weights, x, config)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)
    pattern = torch.randn(theirs.shape, generator=random, dtype=torch.float64)
    (ours * pattern).sum().backward()
    (theirs * pattern).sum().backward()
    for key, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[key].grad, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", ["patch", "pixel"])
def test_spectral_norm_is_on_every_convolution_and_bounds_each(kind: str) -> None:
    network = make_discriminator(make_config(discriminator=kind, spectral_norm=True), "A")
    init_weights(network, torch.Generator().manual_seed(0), "kaiming")
    plain = make_discriminator(make_config(discriminator=kind), "A")
    renamed = {key.replace("parametrizations.weight.original", "weight") for key in network.state_dict()}
    assert {key for key in renamed if not key.endswith(".u")} == set(plain.state_dict())
    for layer in [module for module in network.modules() if isinstance(module, nn.Conv2d)]:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert norm.item() == pytest.approx(1, abs=0.1)
