"""What an NVIDIA GPU does between the matrix products of a network, in as few passes over its features as there are.

One function is an instance norm, the activation after it, the sum around a residual block, and the mirrored border that
the next convolution wants. torch runs each of them alone, some in fp32, and most copy the features to another order in
memory and back. Convolutions from or to pictures, whose few channels leave most of a matrix unit idle, become a matrix
product of patches. The kernels (`kernels.cu`) are compiled when they are first needed, in about a second, by the
compiler that comes with torch, so that nobody needs one of their own. Where that cannot be (another kind of GPU, fp16,
widths that do not fill 16 bytes), torch's own functions compute the same: see `docs/decisions/0022`.
"""

from __future__ import annotations

import functools
import threading
from importlib import resources
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPSILON = 1e-5
"""What instance norm adds to the variance."""

_TYPES = {torch.bfloat16: "Bf16", torch.float32: "float"}
# As in kernels.cu.
_BLOCK, _ROWS, _LANES = 256, 32, 8
# Blocks that keep a large GPU busy, two for each multiprocessor, and passes over its pixels that make one worth while.
_BLOCKS = 264
_PASSES = 4
# Pieces of a picture whose sums are added by each block of the pass after them.
_FEWEST_PIECES, _MOST_PIECES = 16, 128
# Widths of pictures, for which a matrix unit has no use.
_FEW_CHANNELS = 4


# Norms and borders


def normed(x: Tensor, bias: Tensor | None, around: Tensor | None = None, *, slope: float = 1.0, pad: int = 0) -> Tensor:
    """Instance norm, LeakyReLU, the sum with what has gone around, and a mirrored border.

    Args:
        x: [B, C, H, W], what a convolution has made without its bias.
        bias: [C], that bias, to which no gradient belongs: the norm takes the mean away, and with it any bias. Others
            compute noise around 0. None if there is none, or if nobody asks for a gradient.
        around: [B, C, H + 2 q, W + 2 q], of which the border is left out; None if nothing has.
        slope: Of the LeakyReLU: 0 makes it a ReLU, 1 none.
        pad: Width of the border, less than H and W.

    Returns:
        [B, C, H + 2 pad, W + 2 pad], of the dtype of x.
    """
    if _is_fit(x) and (around is None or (_is_fit(around) and around.dtype == x.dtype)):
        y: Tensor = _Normed.apply(x, bias, around, slope, pad)
        return y
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    y = F.instance_norm(wide if bias is None else wide + bias[:, None, None], eps=EPSILON).to(x.dtype)
    y = y if slope == 1 else F.leaky_relu(y, slope)
    if around is not None:
        border = (around.shape[2] - x.shape[2]) // 2
        y = y + around[:, :, border : border + x.shape[2], border : border + x.shape[3]]
    return F.pad(y, (pad, pad, pad, pad), mode="reflect") if pad else y


def reflected(x: Tensor, by: int) -> Tensor:
    """[B, C, H, W] -> [B, C, H + 2 by, W + 2 by], the borders mirrored, which are not repeated themselves."""
    if _is_fit(x):
        y: Tensor = _Reflected.apply(x, by)
        return y
    return F.pad(x, (by, by, by, by), mode="reflect")


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, around: Tensor | None, slope: float, pad: int) -> Tensor:
        count, channels, height, width = x.shape
        border = 0 if around is None else (around.shape[2] - height) // 2
        y = _empty(x, (height + 2 * pad, width + 2 * pad))
        moments = x.new_empty((count, 2, channels), dtype=torch.float32)
        features, sizes = [x if around is None else around, y, moments], [height, width, channels, pad, border]
        sums = _sums(x)
        pieces = sums.shape[2]
        _launch("sum_moments", x, pieces, [x, sums, height * width, channels])
        _launch("norm", x, _blocks(y), [x, sums, *features, int(around is not None), pieces, *sizes, slope, EPSILON])
        ctx.save_for_backward(x, moments)
        ctx.sizes = slope, pad, border
        ctx.bias = None if bias is None else (bias.shape, bias.dtype)
        ctx.has_around = around is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, moments = ctx.saved_tensors
        (slope, pad, border), has_around = ctx.sizes, ctx.has_around
        channels, height, width = x.shape[1:]
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        gradient_x = torch.empty_like(x)
        gradient_around = _empty(x, (height + 2 * border, width + 2 * border)) if has_around else gradient_x
        results, sizes = [gradient_x, gradient_around, int(has_around)], [height, width, channels, pad]
        sums = _sums(x)
        pieces = sums.shape[2]
        _launch("sum_gradients", x, pieces, [x, gradient, moments, sums, *sizes, slope])
        arguments = [x, gradient, moments, sums, *results, pieces, *sizes, border, slope]
        _launch("norm_backward", x, _blocks(gradient_around), arguments)
        no_bias = None if ctx.bias is None else x.new_zeros(ctx.bias[0], dtype=ctx.bias[1])
        return gradient_x, no_bias, gradient_around if has_around else None, None, None


class _Reflected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, by: int) -> Tensor:
        channels, height, width = x.shape[1:]
        y = _empty(x, (height + 2 * by, width + 2 * by))
        _launch("reflect", x, _blocks(y), [x, y, height, width, channels, by])
        ctx.by = by
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient, by = gradients[0].contiguous(memory_format=torch.channels_last), ctx.by
        channels, height, width = gradient.shape[1], gradient.shape[2] - 2 * by, gradient.shape[3] - 2 * by
        gradient_x = _empty(gradient, (height, width))
        _launch("reflect_backward", gradient, _blocks(gradient_x), [gradient, gradient_x, height, width, channels, by])
        return gradient_x, None


# Convolutions from and to pictures


def is_from_picture(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether `of_picture` runs this layer on x faster than torch does."""
    return (
        type(layer) is nn.Conv2d
        and layer.in_channels <= _FEW_CHANNELS
        and _is_plain(layer)
        and _narrowed(x) in _TYPES
        and _has_kernels_for(x)
    )


def is_to_picture(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether `to_picture` runs this layer on x faster than torch does."""
    return (
        type(layer) is nn.Conv2d
        and layer.out_channels <= _FEW_CHANNELS
        and layer.in_channels % 8 == 0
        and layer.stride == (1, 1)
        and _is_plain(layer)
        and x.dtype in _TYPES
        and x.is_contiguous(memory_format=torch.channels_last)
        and _has_kernels_for(x)
    )


def patch_values(layer: nn.Module) -> float:
    """Values of the patches that `of_picture` or `to_picture` gather for each pixel; 0 for all other layers."""
    if type(layer) is not nn.Conv2d or not _is_plain(layer):
        return 0.0
    if min(layer.in_channels, layer.out_channels) > _FEW_CHANNELS:
        return 0.0
    return _shape_of_patches(layer).taps / layer.stride[0] ** 2


def _shape_of_patches(layer: nn.Conv2d) -> _Patches:
    channels = min(layer.in_channels, layer.out_channels)
    return _Patches(layer.kernel_size[0], layer.stride[0], channels, 0, False)


def of_picture(layer: nn.Conv2d, x: Tensor, *, mirrored: int = 0, with_bias: bool = True) -> Tensor:
    """What a convolution makes of pictures: the product of its weights with all patches.

    Args:
        layer: Of at most 4 channels.
        x: [B, C, H, W].
        mirrored: Width of a mirrored border around the pictures, instead of the layer's own of zeros.
        with_bias: Whether the layer's bias is added.

    Returns:
        [B, D, H', W'], with the channels of a pixel side by side.
    """
    shape = _Patches(layer.kernel_size[0], layer.stride[0], x.shape[1], mirrored or int(layer.padding[0]), mirrored > 0)
    picture = x.to(_narrowed(x)).contiguous(memory_format=torch.channels_last)
    patches: Tensor = _Gathered.apply(picture, shape)
    weight = F.pad(layer.weight.permute(0, 2, 3, 1).flatten(1), (0, shape.taps - shape.used))
    return F.linear(patches, weight, layer.bias if with_bias else None).permute(0, 3, 1, 2)


def to_picture(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """What a convolution of stride 1 to few channels makes of features, in at least fp32.

    The product of each pixel with the weights of all places of the result that it takes part in, which are then summed.
    [B, C, H, W] -> [B, D, H', W'].
    """
    size, channels = layer.kernel_size[0], layer.out_channels
    border = size - 1 - int(layer.padding[0])
    shape = _Patches(size, 1, channels, border, False)
    weight = F.pad(layer.weight.flip(2, 3).permute(2, 3, 0, 1).flatten(0, 2), (0, 0, 0, shape.taps - shape.used))
    products = F.linear(x.permute(0, 2, 3, 1), weight)
    height, width = x.shape[2] + size - 1 - 2 * border, x.shape[3] + size - 1 - 2 * border
    sums: Tensor = _Scattered.apply(products, shape, height, width)
    return sums if layer.bias is None else sums + layer.bias[:, None, None]


class _Patches(NamedTuple):
    """The patches of a picture: their side, the step between them, channels, and the border of the picture."""

    size: int
    stride: int
    channels: int
    border: int
    is_mirrored: bool

    @property
    def used(self) -> int:
        """Values of a patch."""
        return self.size**2 * self.channels

    @property
    def taps(self) -> int:
        """The same with the zeros behind them."""
        return -(-self.used // 8) * 8

    @property
    def template(self) -> str:
        """What the name of a kernel for them has in it."""
        return f"{self.size}, {self.stride}, {self.channels}"

    def across(self, length: int) -> int:
        """How many lie along a side of a picture."""
        return (length + 2 * self.border - self.size) // self.stride + 1

    def launch(self, name: str, like: Tensor, count: int, arguments: list[Any]) -> None:
        """Start a kernel in which `count` threads have something to do."""
        blocks = min(-(-count // _BLOCK), 16 * _BLOCKS)
        _start(name, like, self.template, (blocks, 1, 1), [*arguments, self.border, int(self.is_mirrored)])


class _Gathered(torch.autograd.Function):
    """[B, C, H, W] -> [B, H', W', taps]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: _Patches) -> Tensor:
        ctx.shape, ctx.size = shape, x.shape[2:]
        return _gathered(x, shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _scattered(gradients[0], ctx.shape, *ctx.size).to(gradients[0].dtype), None


class _Scattered(torch.autograd.Function):
    """[B, H', W', taps] -> [B, C, H, W] in fp32."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, shape: _Patches, height: int, width: int) -> Tensor:
        ctx.shape, ctx.dtype = shape, patches.dtype
        return _scattered(patches, shape, height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        gradient = gradients[0].to(ctx.dtype).contiguous(memory_format=torch.channels_last)
        return _gathered(gradient, ctx.shape), None, None, None


def _gathered(x: Tensor, shape: _Patches) -> Tensor:
    count, _, height, width = x.shape
    patches = x.new_empty((count, shape.across(height), shape.across(width), shape.taps))
    threads = patches.numel() * patches.element_size() // 16
    shape.launch("gather", x, threads, [x, patches, count, height, width])
    return patches


def _scattered(patches: Tensor, shape: _Patches, height: int, width: int) -> Tensor:
    patches = patches.contiguous()
    count = len(patches)
    x = patches.new_empty((count, height, width, shape.channels), dtype=torch.float32)
    shape.launch("scatter", patches, x.numel(), [patches, x, count, height, width])
    return x.permute(0, 3, 1, 2)


def _is_plain(layer: nn.Conv2d) -> bool:
    """Whether it has a square of weights, and nothing unusual."""
    is_square = len({*layer.kernel_size}) == len({*layer.stride}) == 1 and layer.padding in ((0, 0), (1, 1))
    return is_square and layer.dilation == (1, 1) and layer.groups == 1 and layer.padding_mode == "zeros"


def _narrowed(x: Tensor) -> torch.dtype:
    """What a matrix product would compute with."""
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype


def without_bias(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """What a convolution makes of features but for its bias, [B, C, H, W] -> [B, D, H', W']."""
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(x, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    paddings = layer.padding, layer.output_padding
    return F.conv_transpose2d(x, layer.weight, None, layer.stride, *paddings, layer.groups, layer.dilation)  # type: ignore[arg-type]


# Kernels


def _is_fit(x: Tensor) -> bool:
    """Whether the kernels can read these features."""
    is_ordered = x.dtype in _TYPES and x.is_contiguous(memory_format=torch.channels_last)
    return is_ordered and x.shape[1] * x.element_size() % 16 == 0 and x.data_ptr() % 16 == 0 and _has_kernels_for(x)


def _has_kernels_for(x: Tensor) -> bool:
    return x.is_cuda and _has_kernels(x.device.index)


def _empty(like: Tensor, size: tuple[int, int]) -> Tensor:
    """Features of another size."""
    shape = (*like.shape[:2], *size)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _slice(x: Tensor) -> int:
    """Channels of a block."""
    return _LANES * 16 // x.element_size()


def _slices(x: Tensor) -> int:
    """Blocks that share a pixel."""
    return -(-x.shape[1] // _slice(x))


def _sums(x: Tensor) -> Tensor:
    """For two sums of each channel of each piece of a picture: [B, slices, pieces, 2, channels of a slice]."""
    pixels = x.shape[2] * x.shape[3]
    wanted = max(_FEWEST_PIECES, -(-_BLOCKS // (len(x) * _slices(x))))
    pieces = max(1, min(wanted, _MOST_PIECES, -(-pixels // (_PASSES * _ROWS))))
    return x.new_empty((len(x), _slices(x), pieces, 2, _slice(x)), dtype=torch.float32)


def _blocks(y: Tensor) -> int:
    """Blocks for each slice of each picture."""
    pixels = y.shape[2] * y.shape[3]
    enough = max(_FEWEST_PIECES, -(-2 * _BLOCKS // (len(y) * _slices(y))))
    return max(1, min(enough, -(-pixels // (_PASSES * _ROWS))))


def _launch(name: str, like: Tensor, blocks: int, arguments: list[Any]) -> None:
    """Start a kernel with so many blocks for each slice of these features."""
    _start(name, like, "", (_slices(like), blocks, len(like)), arguments)


def _start(name: str, like: Tensor, template: str, grid: tuple[int, int, int], arguments: list[Any]) -> None:
    """Start a kernel after all that has been started on the current stream."""
    with torch.cuda.device(like.device):
        _kernel(_full_name(name, like.dtype, template), like.device.index)(grid, (_BLOCK, 1, 1), arguments)


def _full_name(name: str, dtype: torch.dtype, template: str) -> str:
    return f"{name}<{_TYPES[dtype]}, {template}>" if template else f"{name}<{_TYPES[dtype]}>"


def _kernel(name: str, device: int) -> Any:
    """A kernel compiled for the current device; `device` is its index."""
    if (name, device) not in _kernels:
        # One after the other: who needs one that another thread is compiling waits for it.
        with _compiling:
            if (name, device) not in _kernels:
                source = resources.files("engine.model").joinpath("kernels.cu").read_text(encoding="utf-8")
                _kernels[name, device] = torch.cuda._compile_kernel(source, name)  # type: ignore[no-untyped-call,attr-defined,unused-ignore]
    return _kernels[name, device]


_kernels: dict[tuple[str, int], Any] = {}
_compiling = threading.Lock()


def compile_ahead(name: str, device: torch.device) -> None:
    """Compile a kernel before it is needed, in whichever thread, unless this GPU cannot have any."""
    with torch.cuda.device(device):
        index = torch.cuda.current_device()
        if _has_kernels(index):
            # Gives this thread the GPU's context. One that has asked nothing of the GPU yet lacks it, and what is
            # compiled cannot be loaded then.
            torch.cuda.mem_get_info(index)
            _kernel(name, index)


def kernel_names(network: nn.Module, dtype: torch.dtype, *, has_norms: bool) -> list[str]:
    """The kernels that a network needs on a GPU to translate pictures, but not to learn from them.

    Args:
        network: On any device.
        dtype: What its convolutions compute with.
        has_norms: Whether it has instance norms.
    """
    if dtype not in _TYPES:
        return []
    layers = list(network.modules())
    found = [_full_name(name, dtype, "") for name in (("sum_moments", "norm") if has_norms else ())]
    for layer in layers:
        if type(layer) is nn.Conv2d and patch_values(layer):
            name = "gather" if layer.in_channels <= _FEW_CHANNELS else "scatter"
            found.append(_full_name(name, dtype, _shape_of_patches(layer).template))
    # Last, since most borders are made by a norm.
    if any(isinstance(layer, nn.ReflectionPad2d) for layer in layers):
        found.append(_full_name("reflect", dtype, ""))
    return found


@functools.cache
def _has_kernels(device: int) -> bool:
    """Whether kernels can be compiled for this GPU and started on it.

    torch's function for it is none that it promises to keep, and the compiler's library can be missing: then torch's
    own layers take over, and only speed is lost.
    """
    if torch.version.hip is not None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        with torch.cuda.device(device):
            x = torch.ones((1, 8, 4, 4), device="cuda").contiguous(memory_format=torch.channels_last)
            y = _empty(x, (6, 6)).zero_()
            _kernel("reflect<float>", device)((1, 1, 1), (_BLOCK, 1, 1), [x, y, 4, 4, 8, 1])
            return bool((y == 1).all())
    except Exception:  # Whatever is missing, there is another way.
        return False
