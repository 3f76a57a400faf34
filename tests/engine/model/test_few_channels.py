from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.device import autocast
from engine.model import few_channels
from engine.model.layers import Layers, ReflectionPad

WIDTHS = [(64, 3), (3, 64), (1, 16), (16, 1)]


def picture(channels: int, dtype: torch.dtype = torch.float64, *, height: int = 11, width: int = 18) -> Tensor:
    x = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_(True)


def convolution(
    in_channels: int, out_channels: int, dtype: torch.dtype = torch.float64, **options: object
) -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(in_channels, out_channels, 7, dtype=dtype, **options)  # type: ignore[arg-type]


def gradients(y: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    pattern = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return torch.autograd.grad(y, inputs, pattern.to(y.dtype))


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_a_convolution_with_the_same_gradients(widths: tuple[int, int], with_bias: bool) -> None:
    """In 64 bits: what is left then is a difference in the mathematics."""
    conv = convolution(*widths, bias=with_bias)
    inputs = [picture(widths[0]), *conv.parameters()]
    assert few_channels.suits(conv, inputs[0])
    ours, theirs = few_channels.few_channels_conv(inputs[0], conv.weight, conv.bias), conv(inputs[0])
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    for one, other in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("wanted", [[0], [1], [2]])
@pytest.mark.parametrize("widths", [(16, 3), (3, 16)])
def test_only_the_gradients_that_are_wanted_are_computed(widths: tuple[int, int], wanted: list[int]) -> None:
    tensors = [picture(widths[0]).detach(), *(p.detach() for p in convolution(*widths).parameters())]
    for place in wanted:
        tensors[place].requires_grad_(True)
    few_channels.few_channels_conv(*tensors).sum().backward()
    assert [place for place, tensor in enumerate(tensors) if tensor.grad is not None] == wanted


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("widths", [(64, 3), (3, 64)])
def test_it_rounds_little_more_than_a_convolution(widths: tuple[int, int], precision: str) -> None:
    conv, x = convolution(*widths, torch.float32), picture(widths[0], torch.float32, height=38, width=38)
    inputs = [x, *conv.parameters()]
    exact = conv.double()(x.double())
    conv.float()
    with autocast(torch.device("cpu"), "bf16" if precision == "bf16" else "fp32"):
        ours, theirs = few_channels.few_channels_conv(x, conv.weight, conv.bias), conv(x)
    assert ours.dtype == theirs.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    pairs = [(exact, ours, theirs)]
    of_theirs = gradients(theirs, inputs)
    with_double = [part.detach().double().requires_grad_(True) for part in inputs]
    of_exact = gradients(F.conv2d(*with_double), with_double)
    pairs += zip(of_exact, gradients(ours, inputs), of_theirs, strict=True)
    for truth, one, other in pairs:
        error, usual = ((found.double() - truth).norm() / truth.norm() for found in (one, other))
        assert error <= 4 * usual + 1e-7
    assert [part.dtype for part in gradients(few_channels.few_channels_conv(*inputs), inputs)] == [torch.float32] * 3


def test_gradients_of_weights_lie_as_the_weights_do() -> None:
    """As the fused kernels of Adam need it."""
    for widths in WIDTHS[:2]:
        conv = convolution(*widths).to(memory_format=torch.channels_last)
        y = few_channels.few_channels_conv(picture(widths[0]), conv.weight, conv.bias)
        (of_weight,) = gradients(y, [conv.weight])
        assert of_weight.stride() == conv.weight.stride()


@pytest.mark.parametrize(
    "other",
    [
        convolution(8, 8),
        convolution(64, 3, padding=1),
        convolution(64, 3, stride=2),
        convolution(64, 4, groups=2),
        nn.utils.parametrizations.weight_norm(convolution(64, 3)),
    ],
    ids=[
        "as wide on both sides",
        "with a border",
        "with a stride",
        "in groups",
        "with a weight that something changes",
    ],
)
def test_other_convolutions_stay_as_they_are(other: nn.Conv2d) -> None:
    assert few_channels.suits(convolution(64, 3), picture(64))
    assert not few_channels.suits(other, picture(other.in_channels))


def test_a_width_that_is_no_multiple_stays_as_it_is() -> None:
    assert not few_channels.suits(convolution(64, 3), picture(64, width=19))


def test_what_is_translated_stays_bit_for_bit_what_it_was() -> None:
    with torch.inference_mode():
        assert not few_channels.suits(convolution(64, 3), picture(64))


@pytest.mark.parametrize("twice", [False, True])
def test_layers_use_it_unless_gradients_of_gradients_are_wanted(twice: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = few_channels.few_channels_conv
    monkeypatch.setattr(few_channels, "few_channels_conv", lambda *parts: calls.append(1) or real(*parts))
    layers = Layers(ReflectionPad(3), convolution(3, 16), nn.Tanh(), ReflectionPad(3), convolution(16, 3))
    layers.twice_differentiable = twice
    x = picture(3, height=8, width=8)
    y = layers(x)
    assert len(calls) == (0 if twice else 2)
    plain = x
    for layer in layers:
        plain = layer(plain)
    torch.testing.assert_close(y, plain, rtol=0, atol=1e-13)
    (of_x,) = torch.autograd.grad(y.sum(), [x], create_graph=twice)
    assert of_x.requires_grad == twice
