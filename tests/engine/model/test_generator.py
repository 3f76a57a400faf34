"""The generators against the reference's keys, shapes and sizes, and against a plain second implementation."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.config import Direction
from engine.model.architecture import Architecture, Norm
from engine.model.generator import Generator, init_weights, make_generator

NORMS: tuple[Norm, ...] = ("instance", "batch", "none")
Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, Tensor]


# Keys and shapes, by the rules of the reference


def batch_norm_shapes(place: str, channels: int) -> Shapes:
    parts: Shapes = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (channels,))
    return {f"{place}.{part}": shape for part, shape in {**parts, "num_batches_tracked": ()}.items()}


def conv_shapes(place: str, weight: tuple[int, ...], outputs: int, norm: Norm, norm_at: str | None) -> Shapes:
    """A convolution, its bias where the norm is instance, and the batch norm at `norm_at`."""
    shapes: Shapes = {f"{place}.weight": weight}
    if norm == "instance":
        shapes[f"{place}.bias"] = (outputs,)
    if norm == "batch" and norm_at is not None:
        shapes |= batch_norm_shapes(norm_at, outputs)
    return shapes


def resnet_shapes(c: int, blocks: int, norm: Norm, dropout: bool, inputs: int = 3, outputs: int = 3) -> Shapes:
    shapes = conv_shapes("model.1", (c, inputs, 7, 7), c, norm, "model.2")
    shapes |= conv_shapes("model.4", (2 * c, c, 3, 3), 2 * c, norm, "model.5")
    shapes |= conv_shapes("model.7", (4 * c, 2 * c, 3, 3), 4 * c, norm, "model.8")
    second = 6 if dropout else 5
    for place in range(10, 10 + blocks):
        for conv in (1, second):
            inside = f"model.{place}.conv_block"
            shapes |= conv_shapes(f"{inside}.{conv}", (4 * c, 4 * c, 3, 3), 4 * c, norm, f"{inside}.{conv + 1}")
    end = 10 + blocks
    shapes |= conv_shapes(f"model.{end}", (4 * c, 2 * c, 3, 3), 2 * c, norm, f"model.{end + 1}")
    shapes |= conv_shapes(f"model.{end + 3}", (2 * c, c, 3, 3), c, norm, f"model.{end + 4}")
    return shapes | {f"model.{end + 7}.weight": (outputs, c, 7, 7), f"model.{end + 7}.bias": (outputs,)}


def unet_shapes(c: int, halvings: int, norm: Norm, inputs: int = 3, outputs: int = 3) -> Shapes:
    """Outermost, then inwards, each level inside the one before; dropout has no weights and comes last in its level."""
    widths = [c, 2 * c, 4 * c, 8 * c, *[8 * c] * (halvings - 4)]
    shapes = conv_shapes("model.model.0", (c, inputs, 4, 4), c, norm, None)
    shapes |= {"model.model.3.weight": (2 * c, outputs, 4, 4), "model.model.3.bias": (outputs,)}
    level = "model.model.1"
    for depth in range(1, halvings):
        outer, width, innermost = widths[depth - 1], widths[depth], depth == halvings - 1
        down_norm, up = (None, 3) if innermost else (f"{level}.model.2", 5)
        shapes |= conv_shapes(f"{level}.model.1", (width, outer, 4, 4), width, norm, down_norm)
        joined = width if innermost else 2 * width
        shapes |= conv_shapes(f"{level}.model.{up}", (joined, outer, 4, 4), outer, norm, f"{level}.model.{up + 1}")
        level += ".model.3"
    return shapes


def shapes_of(network: nn.Module) -> Shapes:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.mark.parametrize(("norm", "dropout"), list(product(NORMS, (False, True))))
@pytest.mark.parametrize("blocks", [1, 6, 9])
def test_a_resnet_has_the_keys_and_shapes_of_the_reference(blocks: int, norm: Norm, dropout: bool) -> None:
    generator = make_generator(Architecture(blocks=blocks, channels=4, norm=norm, dropout=dropout), "a2b")
    assert shapes_of(generator) == resnet_shapes(4, blocks, norm, dropout)


@pytest.mark.parametrize(("norm", "dropout"), list(product(NORMS, (False, True))))
@pytest.mark.parametrize("halvings", [5, 6, 7, 8])
def test_a_unet_has_the_keys_and_shapes_of_the_reference(halvings: int, norm: Norm, dropout: bool) -> None:
    architecture = Architecture(generator="unet", halvings=halvings, channels=2, norm=norm, dropout=dropout)
    assert shapes_of(make_generator(architecture, "a2b")) == unet_shapes(2, halvings, norm)


@pytest.mark.parametrize(("grey_A", "grey_B"), list(product((False, True), repeat=2)))
def test_grey_domains_have_one_channel_on_their_side(grey_A: bool, grey_B: bool) -> None:
    of_A, of_B = (1 if grey else 3 for grey in (grey_A, grey_B))
    resnet = Architecture(blocks=1, channels=4, grey_A=grey_A, grey_B=grey_B)
    unet = Architecture(generator="unet", halvings=5, channels=2, grey_A=grey_A, grey_B=grey_B)
    ways: tuple[tuple[Direction, int, int], ...] = (("a2b", of_A, of_B), ("b2a", of_B, of_A))
    for direction, inputs, outputs in ways:
        assert shapes_of(make_generator(resnet, direction)) == resnet_shapes(4, 1, "instance", False, inputs, outputs)
        assert shapes_of(make_generator(unet, direction)) == unet_shapes(2, 5, "instance", inputs, outputs)
        for generator in (make_generator(resnet, direction), make_generator(unet, direction)):
            assert generator(torch.zeros(1, inputs, 32, 64)).shape == (1, outputs, 32, 64)


@pytest.mark.parametrize(
    ("architecture", "count"),
    [
        (Architecture(blocks=9), 11_378_179),
        (Architecture(blocks=6), 7_837_699),
        (Architecture(generator="unet", halvings=8, norm="batch"), 54_413_955),
        (Architecture(generator="unet", halvings=7, norm="batch"), 41_828_995),
    ],
)
def test_generators_have_as_many_parameters_as_the_reference_reports(architecture: Architecture, count: int) -> None:
    with torch.device("meta"):
        generator = make_generator(architecture, "a2b")
    assert sum(p.numel() for p in generator.parameters()) == count


def test_dropout_is_where_the_reference_has_it_and_at_work_in_training_only() -> None:
    resnet = make_generator(Architecture(blocks=2, channels=4, dropout=True), "a2b")
    unet = make_generator(Architecture(generator="unet", halvings=8, channels=2, dropout=True), "a2b")
    level = "model.model.1" + 3 * ".model.3"
    expected = (
        [f"model.{block}.conv_block.4" for block in (10, 11)],
        # After the fourth level, which is the first of full width on both sides, and before the innermost.
        sorted(f"{level}{inward * '.model.3'}.model.7" for inward in range(3)),
    )
    for generator, places, side in zip((resnet, unet), expected, (16, 256), strict=True):
        found = {name: module for name, module in generator.named_modules() if isinstance(module, nn.Dropout)}
        assert sorted(found) == places
        assert {module.p for module in found.values()} == {0.5}
        init_weights(generator, torch.Generator().manual_seed(0), gain=0.2)
        x = torch.rand(1, 3, side, side)
        assert not torch.equal(generator(x), generator(x))
        generator.eval()
        assert torch.equal(generator(x), generator(x))


def test_dropout_changes_nothing_outside_training() -> None:
    with_dropout, without = (Architecture(generator="unet", halvings=6, channels=2, dropout=on) for on in (True, False))
    first, second = make_generator(with_dropout, "a2b").eval(), make_generator(without, "a2b").eval()
    second.load_state_dict(first.state_dict())
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(first(x), second(x))


# Results, against a plain second implementation in float64


def plain_norm(w: Weights, place: str, x: Tensor, norm: Norm, training: bool) -> Tensor:
    if norm == "none":
        return x
    over = (2, 3) if norm == "instance" else (0, 2, 3)
    mean = x.mean(over, keepdim=True)
    variance = ((x - mean) ** 2).mean(over, keepdim=True)
    if norm == "instance":
        return (x - mean) / torch.sqrt(variance + 1e-5)
    if not training:
        mean, variance = (w[f"{place}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var"))
    scaled = (x - mean) / torch.sqrt(variance + 1e-5)
    return scaled * w[f"{place}.weight"].view(1, -1, 1, 1) + w[f"{place}.bias"].view(1, -1, 1, 1)


def plain_pad(x: Tensor, by: int) -> Tensor:
    rows = [*range(by, 0, -1), *range(x.shape[2]), *range(x.shape[2] - 2, x.shape[2] - 2 - by, -1)]
    columns = [*range(by, 0, -1), *range(x.shape[3]), *range(x.shape[3] - 2, x.shape[3] - 2 - by, -1)]
    return x[:, :, rows][:, :, :, columns]


def plain_resnet(w: Weights, x: Tensor, architecture: Architecture, training: bool) -> Tensor:
    def parts(place: str) -> tuple[Tensor, Tensor | None]:
        return w[f"model.{place}.weight"], w.get(f"model.{place}.bias")

    def norm(place: str, y: Tensor) -> Tensor:
        return plain_norm(w, f"model.{place}", y, architecture.norm, training)

    y = torch.relu(norm("2", F.conv2d(plain_pad(x, 3), *parts("1"))))
    for place in (4, 7):
        y = torch.relu(norm(f"{place + 1}", F.conv2d(y, *parts(f"{place}"), stride=2, padding=1)))
    second = 6 if architecture.dropout else 5
    for place in range(10, 10 + architecture.blocks):
        h = torch.relu(norm(f"{place}.conv_block.2", F.conv2d(plain_pad(y, 1), *parts(f"{place}.conv_block.1"))))
        h = F.conv2d(plain_pad(h, 1), *parts(f"{place}.conv_block.{second}"))
        y = y + norm(f"{place}.conv_block.{second + 1}", h)
    end = 10 + architecture.blocks
    for place in (end, end + 3):
        if architecture.resize_conv:
            larger = y.repeat_interleave(2, 2).repeat_interleave(2, 3)
            y = F.conv2d(plain_pad(larger, 1), *parts(f"{place}"))
        else:
            y = F.conv_transpose2d(y, *parts(f"{place}"), stride=2, padding=1, output_padding=1)
        y = torch.relu(norm(f"{place + 1}", y))
    return F.conv2d(plain_pad(y, 3), *parts(f"{end + 7}"))


def plain_unet(w: Weights, x: Tensor, architecture: Architecture, training: bool) -> Tensor:
    """Down, keeping what each level saw, then up, with the features kept joined before each doubling."""

    def parts(place: str) -> tuple[Tensor, Tensor | None]:
        return w[f"{place}.weight"], w.get(f"{place}.bias")

    levels = ["model.model.1" + inward * ".model.3" for inward in range(architecture.halvings - 1)]
    kept = [F.conv2d(x, *parts("model.model.0"), stride=2, padding=1)]
    for level in levels:
        leaky = torch.where(kept[-1] > 0, kept[-1], 0.2 * kept[-1])
        y = F.conv2d(leaky, *parts(f"{level}.model.1"), stride=2, padding=1)
        if level != levels[-1]:
            kept.append(plain_norm(w, f"{level}.model.2", y, architecture.norm, training))
    for level in reversed(levels):
        up = 3 if level == levels[-1] else 5
        y = F.conv_transpose2d(torch.relu(y), *parts(f"{level}.model.{up}"), stride=2, padding=1)
        y = plain_norm(w, f"{level}.model.{up + 1}", y, architecture.norm, training)
        y = torch.cat([kept.pop(), y], 1)
    return F.conv_transpose2d(torch.relu(y), *parts("model.model.3"), stride=2, padding=1)


ARCHITECTURES = [
    *(Architecture(blocks=2, channels=3, norm=norm) for norm in NORMS),
    *(Architecture(blocks=1, channels=3, norm=norm, resize_conv=True, long_skip=True) for norm in NORMS),
    Architecture(blocks=1, channels=3, grey_A=True, long_skip=True),
    Architecture(blocks=1, channels=3, grey_B=True, long_skip=True),
    *(
        Architecture(generator="unet", halvings=halvings, channels=2, norm=norm)
        for halvings in (5, 7)
        for norm in NORMS
    ),
    Architecture(generator="unet", halvings=5, channels=2, grey_A=True, long_skip=True),
    Architecture(generator="unet", halvings=5, channels=2, grey_B=True, long_skip=True),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_equal_those_of_a_plain_implementation(
    architecture: Architecture, training: bool
) -> None:
    random = torch.Generator().manual_seed(0)
    generator = make_generator(architecture, "a2b")
    init_weights(generator, random, gain=0.3)
    for key, value in generator.state_dict().items():
        if key.endswith(("bias", "running_mean")):
            value.normal_(0, 0.1, generator=random)
        elif key.endswith("running_var"):
            value.uniform_(0.5, 2, generator=random)
    generator.double().train(training)
    weights = {key: value.clone() for key, value in generator.state_dict().items()}
    for key, _ in generator.named_parameters():
        weights[key].requires_grad_()
    shape = (2, architecture.channels_of("A"), *((128, 128) if architecture.halvings == 7 else (32, 64)))
    x = torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1

    ours = generator(x)
    plain = plain_resnet if architecture.generator == "resnet" else plain_unet
    change = plain(weights, x, architecture, training)
    if architecture.long_skip:
        carried = x.mean(1, keepdim=True) if architecture.grey_B else x
        change = change + torch.log((1 + 0.9 * carried) / (1 - 0.9 * carried)) / 2
    theirs = torch.tanh(change)
    assert ours.dtype == torch.float64 and ours.shape[1] == architecture.channels_of("B")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)

    pattern = torch.randn(theirs.shape, generator=random, dtype=torch.float64)
    (ours * pattern).sum().backward()
    (theirs * pattern).sum().backward()
    for key, parameter in generator.named_parameters():
        torch.testing.assert_close(
            parameter.grad, weights[key].grad, rtol=1e-8, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}"
        )


# Sizes, precision, the long skip, the resize-convolution


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 64), (32, 20)])
def test_the_output_has_the_size_of_the_input_and_lies_within_one(height: int, width: int) -> None:
    generator = Generator(Architecture(blocks=1, channels=4))
    y = generator(torch.rand(2, 3, height, width) * 2 - 1)
    assert y.shape == (2, 3, height, width)
    assert y.abs().max() <= 1


@pytest.mark.parametrize("side", [32, 64])
def test_a_unet_takes_every_multiple_of_its_halvings(side: int) -> None:
    architecture = Architecture(generator="unet", halvings=5, channels=2)
    assert make_generator(architecture, "a2b")(torch.zeros(1, 3, side, 96)).shape == (1, 3, side, 96)


@pytest.mark.parametrize("kind", [{"blocks": 1, "channels": 4}, {"generator": "unet", "halvings": 5, "channels": 2}])
def test_the_output_has_at_least_fp32(kind: dict[str, object]) -> None:
    generator = make_generator(Architecture(**kind), "a2b")
    x = torch.rand(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert generator(x).dtype == torch.float32
    assert generator.bfloat16()(x.bfloat16()).dtype == torch.float32
    assert generator.double()(x.double()).dtype == torch.float64


@pytest.mark.parametrize("kind", [{"blocks": 1, "channels": 4}, {"generator": "unet", "halvings": 5, "channels": 2}])
@pytest.mark.parametrize(("grey_A", "grey_B"), list(product((False, True), repeat=2)))
def test_a_generator_with_the_long_skip_starts_as_a_slightly_dimmed_identity(
    kind: dict[str, object], grey_A: bool, grey_B: bool
) -> None:
    architecture = Architecture(**kind, long_skip=True, grey_A=grey_A, grey_B=grey_B)
    generator = make_generator(architecture, "a2b")
    init_weights(generator, torch.Generator().manual_seed(0))
    generator.start_as_identity()
    x = torch.rand(1, architecture.channels_of("A"), 32, 32) * 2 - 1
    expected = x.mean(1, keepdim=True) if grey_B else x.expand(-1, 3, -1, -1)
    torch.testing.assert_close(generator(x), 0.9 * expected)


def test_a_resize_convolution_leaves_no_chequered_pattern_and_keeps_the_keys() -> None:
    torch.manual_seed(0)
    plain, resizing = (Generator(Architecture(blocks=1, channels=4, resize_conv=on)) for on in (False, True))
    assert list(plain.state_dict()) == list(resizing.state_dict())
    flat = torch.ones(1, 16, 8, 8)
    chequered, smooth = (generator.model[11](flat)[0, :, 2:-2, 2:-2] for generator in (plain, resizing))
    assert chequered.std((1, 2)).max() > 1e-3
    assert smooth.std((1, 2)).max() < 1e-6
    assert resizing(torch.zeros(1, 3, 20, 8)).shape == (1, 3, 20, 8)


# First weights, against their definitions


def convolutions(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


@pytest.fixture
def wide_layers() -> nn.Sequential:
    """Wide enough that a deviation is known to half a percent."""
    return nn.Sequential(nn.Conv2d(48, 64, 5), nn.BatchNorm2d(4096), nn.ConvTranspose2d(64, 32, 6))


def test_normal_weights_have_a_deviation_of_the_gain_and_biases_are_zero(wide_layers: nn.Sequential) -> None:
    init_weights(wide_layers, torch.Generator().manual_seed(1))
    for layer in convolutions(wide_layers):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.01)
        assert abs(layer.weight.mean().item()) < 2e-4
        assert layer.bias is not None and not layer.bias.any()
    init_weights(wide_layers, torch.Generator().manual_seed(1), "normal", 0.3)
    assert wide_layers[0].weight.std().item() == pytest.approx(0.3, rel=0.01)


def test_xavier_and_kaiming_weights_have_the_deviations_of_their_papers(wide_layers: nn.Sequential) -> None:
    # [outputs, inputs, ...] for a convolution, [inputs, outputs, ...] for a transposed one, whose "fan in" torch and
    # so the reference take from its second dimension.
    first, second = convolutions(wide_layers)
    init_weights(wide_layers, torch.Generator().manual_seed(1), "xavier", 0.5)
    assert first.weight.std().item() == pytest.approx(0.5 * (2 / (25 * (48 + 64))) ** 0.5, rel=0.01)
    assert second.weight.std().item() == pytest.approx(0.5 * (2 / (36 * (64 + 32))) ** 0.5, rel=0.01)
    init_weights(wide_layers, torch.Generator().manual_seed(1), "kaiming", 0.5)
    assert first.weight.std().item() == pytest.approx((2 / (25 * 48)) ** 0.5, rel=0.01)
    assert second.weight.std().item() == pytest.approx((2 / (36 * 32)) ** 0.5, rel=0.01)


def test_orthogonal_weights_are_at_right_angles_and_as_long_as_the_gain() -> None:
    wide, tall = nn.Conv2d(8, 16, 3), nn.Conv2d(1, 16, 3)
    init_weights(nn.Sequential(wide, tall), torch.Generator().manual_seed(1), "orthogonal", 0.5)
    rows, columns = wide.weight.detach().flatten(1), tall.weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, 0.25 * torch.eye(16), atol=1e-6, rtol=0)
    torch.testing.assert_close(columns.T @ columns, 0.25 * torch.eye(9), atol=1e-6, rtol=0)


def test_batch_norms_begin_near_one_whatever_the_init(wide_layers: nn.Sequential) -> None:
    for init in ("normal", "xavier", "kaiming", "orthogonal"):
        init_weights(wide_layers, torch.Generator().manual_seed(1), init, 0.1)
        norm = wide_layers[1]
        assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
        assert norm.weight.std().item() == pytest.approx(0.1, rel=0.05)
        assert not norm.bias.any()


@pytest.mark.parametrize("init", ["normal", "xavier", "kaiming", "orthogonal"])
def test_first_weights_come_from_the_given_source_alone(init: str) -> None:
    def weights(seed: int, elsewhere: int) -> Tensor:
        torch.manual_seed(elsewhere)
        generator = make_generator(Architecture(blocks=1, channels=4, norm="batch"), "a2b")
        init_weights(generator, torch.Generator().manual_seed(seed), init)
        return torch.cat([p.detach().flatten() for p in generator.parameters()])

    assert torch.equal(weights(1, 5), weights(1, 6))
    assert not torch.equal(weights(1, 5), weights(2, 5))
