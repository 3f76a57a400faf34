"""What a GPU does between matrix products is what torch's own layers do.

The order of layers is tested everywhere, with torch's functions in the place of the kernels; the kernels where there is
a GPU that can run them.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.config import TrainConfig
from engine.model import gpu_layers, layers
from engine.model.architecture import Architecture
from engine.model.cyclegan import CycleGAN
from engine.model.discriminator import PatchDiscriminator, PixelDiscriminator
from engine.model.generator import Generator, UnetGenerator
from engine.model.layers import run_on_gpu

HAS_GPU = torch.cuda.is_available() and gpu_layers._has_kernels(0)
with_gpu = pytest.mark.skipif(not HAS_GPU, reason="there is no GPU that can run the kernels")
TYPES = (torch.float32, torch.bfloat16)
# Rounding, and what it does to sums of thousands.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 6e-3}


def features(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64).contiguous(memory_format=torch.channels_last)


def distance(one: Tensor, other: Tensor) -> float:
    """Of the other's norm."""
    one, other = one.detach().double().cpu(), other.detach().double().cpu()
    return float((one - other).norm() / other.norm())


NETWORKS = {
    "generator": lambda: (Generator(Architecture(blocks=2, channels=4)).model, (2, 3, 16, 12)),
    "resize": lambda: (Generator(Architecture(blocks=1, channels=4, resize_conv=True)).model, (1, 3, 16, 12)),
    "batch norm": lambda: (Generator(Architecture(blocks=2, channels=4, norm="batch")).model, (2, 3, 16, 16)),
    "no norm": lambda: (Generator(Architecture(blocks=2, channels=4, norm="none")).model, (1, 3, 16, 16)),
    "dropout": lambda: (Generator(Architecture(blocks=2, channels=4, dropout=True)).eval().model, (1, 3, 16, 16)),
    "U-Net": lambda: (
        UnetGenerator(Architecture(generator="unet", halvings=5, channels=4)).model.model,
        (1, 3, 64, 64),
    ),
    "patches": lambda: (PatchDiscriminator(4).model, (2, 3, 32, 40)),
    "pixels": lambda: (PixelDiscriminator(4).net, (2, 3, 8, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_of_a_gpu_gives_what_each_layer_by_itself_gives(name: str) -> None:
    torch.manual_seed(1)
    layers, shape = NETWORKS[name]()
    layers = layers.double()
    x = features(*shape).requires_grad_(True)
    results = []
    for way in (lambda x: run_on_gpu(list(layers), x, has_bias_gradients=True), layers):
        y = way(x)
        results.append([y, *torch.autograd.grad(y.square().mean(), [x, *layers.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-9)


def test_blocks_that_are_computed_anew_come_out_the_same() -> None:
    torch.manual_seed(1)
    generator = Generator(Architecture(blocks=3, channels=4)).double()
    x = features(1, 3, 16, 12)
    expected = run_on_gpu(list(generator.model), x)
    generator.recompute = True
    torch.testing.assert_close(run_on_gpu(list(generator.model), x), expected, atol=1e-12, rtol=1e-9)
    with torch.no_grad():
        assert torch.equal(run_on_gpu(list(generator.model), x), expected)


def test_a_bias_that_a_norm_takes_away_gets_a_gradient_only_if_wanted() -> None:
    layers = list(PatchDiscriminator(4).double().model)
    x = features(1, 3, 32, 32)
    biases = [layer.bias for layer in layers if isinstance(layer, nn.Conv2d)]
    for wanted in (True, False):
        y = run_on_gpu(layers, x, has_bias_gradients=wanted)
        found = torch.autograd.grad(y.sum(), biases, allow_unused=True)
        assert [g is not None for g in found] == [True, wanted, wanted, wanted, True]


def test_only_discriminators_with_a_penalty_on_their_slope_are_differentiated_twice() -> None:
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    config = TrainConfig(**places, size=32, blocks=1, channels=4, gradient_penalty=1.0)
    model = CycleGAN(config, torch.device("cpu"))
    assert model.D_A.model.twice_differentiable  # type: ignore[union-attr]
    assert not model.G_AB.model.twice_differentiable  # type: ignore[union-attr]


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch has no compiler for kernels")
@pytest.mark.parametrize("architecture", ["80", "90"])
def test_the_kernels_compile_without_a_gpu(architecture: str) -> None:
    from torch.cuda import _utils

    try:
        _utils._get_gpu_rtc_library()
    except OSError:
        pytest.skip("the compiler's library is not installed")
    source = resources.files("engine.model").joinpath("kernels.cu").read_text("utf-8")
    for name in ("sum_moments", "norm", "sum_gradients", "norm_backward", "reflect", "reflect_backward"):
        binary, _ = _utils._nvrtc_compile(source, f"{name}<Bf16>", architecture)
        assert len(binary) > 1000
    for name in ("gather<float, 7, 1, 3>", "scatter<Bf16, 4, 2, 1>"):
        assert len(_utils._nvrtc_compile(source, name, architecture)[0]) > 1000


def test_without_a_gpu_nothing_is_compiled() -> None:
    assert not gpu_layers._is_fit(torch.zeros(1, 8, 4, 4))
    assert not gpu_layers.is_from_picture(nn.Conv2d(3, 8, 7), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    "values",
    [{}, {"resize_conv": True}, {"norm": "none"}, {"norm": "batch"}, {"grey_A": True, "grey_B": True}],
    ids=str,
)
def test_what_a_translation_starts_is_compiled_ahead(
    values: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = set()

    def start(name: str, like: Tensor, template: str, *_: object) -> None:
        started.add(gpu_layers._full_name(name, like.dtype, template))

    # Nothing is computed: what is read then is whatever there was.
    monkeypatch.setattr(gpu_layers, "_has_kernels_for", lambda x: True)
    monkeypatch.setattr(gpu_layers, "_start", start)
    monkeypatch.setattr(layers, "reflected", gpu_layers.reflected)
    architecture = Architecture(blocks=1, channels=8, **values)
    network = Generator(architecture).eval()
    x = torch.zeros(1, architecture.channels_of("A"), 16, 16).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        run_on_gpu(list(network.to(dtype).model), x.to(dtype))
    names = gpu_layers.kernel_names(network, dtype, has_norms=architecture.norm == "instance")
    assert len(names) == len(set(names))
    assert started <= set(names)
    assert set(names) - started <= {gpu_layers._full_name("reflect", dtype, "")}


def test_a_unet_gathers_patches_of_its_pictures_only() -> None:
    network = UnetGenerator(Architecture(generator="unet", halvings=5, channels=8))
    names = ["sum_moments<Bf16>", "norm<Bf16>", "gather<Bf16, 4, 2, 3>"]
    assert gpu_layers.kernel_names(network, torch.bfloat16, has_norms=True) == names
    assert gpu_layers.kernel_names(network, torch.float16, has_norms=True) == []


def test_a_kernel_that_is_being_compiled_is_waited_for_and_not_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, may_end = [], threading.Event()

    def compile_kernel(source: str, name: str) -> object:
        assert "norm" in source
        compiled.append(name)
        assert may_end.wait(10)
        return object()

    monkeypatch.setattr(torch.cuda, "_compile_kernel", compile_kernel, raising=False)
    monkeypatch.setattr(gpu_layers, "_kernels", {})
    with ThreadPoolExecutor(3) as threads:
        kernels = [threads.submit(gpu_layers._kernel, "norm<float>", 0) for _ in range(3)]
        may_end.set()
    assert compiled == ["norm<float>"]
    assert len({kernel.result() for kernel in kernels}) == 1
    assert gpu_layers._kernel("norm<float>", 1) is not kernels[0].result()


def test_a_thread_has_the_context_of_the_gpu_before_it_compiles_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a GPU has kernels is asked once, and may have been asked in another thread."""
    done: list[object] = []
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: done.append(("context", index)))
    monkeypatch.setattr(gpu_layers, "_has_kernels", lambda _: True)
    monkeypatch.setattr(gpu_layers, "_kernel", lambda name, index: done.append((name, index)))
    gpu_layers.compile_ahead("norm<float>", torch.device("cuda", 1))
    assert done == [("context", 1), ("norm<float>", 1)]


# With a GPU


@with_gpu
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("slope", "pad", "border"), [(0.0, 1, None), (1.0, 1, 1), (0.2, 0, None), (0.0, 3, None)])
@pytest.mark.parametrize("shape", [(2, 64, 64, 61), (3, 24, 12, 5), (1, 256, 33, 32), (9, 8, 8, 8)], ids=str)
def test_norm_activation_sum_and_border_on_a_gpu_are_torchs(
    dtype: torch.dtype, slope: float, pad: int, border: int | None, shape: tuple[int, int, int, int]
) -> None:
    x = (features(*shape) * 3 + 5).to("cuda", dtype)
    count, channels, height, width = shape
    sides = () if border is None else (height + 2 * border, width + 2 * border)
    around = None if border is None else features(count, channels, *sides, seed=1).to("cuda", dtype)
    results = []
    gradient: Tensor | None = None
    for wide in (False, True):
        # torch computes with the same input in float64; it has no kernels of ours.
        given = [t.double() if wide else t for t in (x, around) if t is not None]
        leaves = [t.clone().requires_grad_(True) for t in given]
        y = gpu_layers.normed(leaves[0], None, *leaves[1:], slope=slope, pad=pad)
        if gradient is None:
            gradient = features(*y.shape, seed=2).to("cuda", dtype)
        results.append([y, *torch.autograd.grad(y, leaves, gradient.to(y.dtype))])
    ours, theirs = results
    assert ours[0].dtype == dtype
    assert ours[0].is_contiguous(memory_format=torch.channels_last)
    assert distance(ours[0], theirs[0]) < TOLERANCE[dtype]
    for found, expected in zip(ours[1:], theirs[1:], strict=True):
        # Where rounding turns the sign of a value near 0, its whole gradient is another.
        assert distance(found, expected) < (TOLERANCE[dtype] if slope == 1 else 2e-2)


@with_gpu
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_mirrored_border_on_a_gpu_is_torchs(dtype: torch.dtype) -> None:
    x = features(2, 16, 9, 7).to("cuda", dtype).requires_grad_(True)
    ours, theirs = gpu_layers.reflected(x, 3), F.pad(x, (3, 3, 3, 3), mode="reflect")
    assert torch.equal(ours, theirs)
    gradient = features(*ours.shape, seed=1).to("cuda", dtype)
    (found,), (expected,) = (torch.autograd.grad(y, x, gradient) for y in (ours, theirs))
    assert distance(found, expected) < TOLERANCE[dtype]


@with_gpu
@pytest.mark.parametrize(
    ("layer", "shape", "mirrored"),
    [
        (nn.Conv2d(3, 16, 7), (2, 3, 20, 17), 3),
        (nn.Conv2d(1, 16, 7), (1, 1, 20, 17), 3),
        (nn.Conv2d(3, 16, 4, stride=2, padding=1), (2, 3, 20, 18), 0),
        (nn.Conv2d(3, 16, 1), (2, 3, 9, 9), 0),
        (nn.Conv2d(16, 3, 7), (2, 16, 26, 22), 0),
        (nn.Conv2d(16, 1, 4, padding=1), (2, 16, 9, 7), 0),
    ],
    ids=str,
)
def test_convolutions_from_and_to_pictures_on_a_gpu_are_torchs(
    layer: nn.Conv2d, shape: tuple[int, int, int, int], mirrored: int
) -> None:
    layer = layer.to("cuda")
    x = features(*shape).to("cuda", torch.float32).requires_grad_(True)
    is_from = gpu_layers.is_from_picture(layer, x)
    assert is_from != gpu_layers.is_to_picture(layer, x)
    ours = gpu_layers.of_picture(layer, x, mirrored=mirrored) if is_from else gpu_layers.to_picture(layer, x)
    gradient = features(*ours.shape, seed=1).to("cuda", torch.float32)
    found = [ours, *torch.autograd.grad(ours, [x, *layer.parameters()], gradient)]
    layer, wide = layer.double(), x.double()
    theirs = layer(F.pad(wide, (mirrored,) * 4, mode="reflect") if mirrored else wide)
    expected = [theirs, *torch.autograd.grad(theirs, [x, *layer.parameters()], gradient.double())]
    layer.float()
    for one, other in zip(found, expected, strict=True):
        assert distance(one, other) < 1e-5


@with_gpu
def test_a_network_on_a_gpu_is_that_of_a_processor() -> None:
    torch.manual_seed(1)
    exact = Generator(Architecture(blocks=2, channels=16)).double()
    ours = Generator(Architecture(blocks=2, channels=16))
    ours.load_state_dict(exact.state_dict())
    ours.to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = features(2, 3, 32, 32)
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        y = ours(x.float().to("cuda").contiguous(memory_format=torch.channels_last))
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
    assert distance(y, exact(x)) < 1e-5
