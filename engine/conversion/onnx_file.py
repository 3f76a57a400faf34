"""A generator as an ONNX graph, for programs without PyTorch.

The graph is written layer by layer, since every layer there can be has its ONNX counterpart. PyTorch's own exporters
change with its versions, need more packages, and have to be talked into pictures of any size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import ModelFileError
from engine.model.generator import AnyGenerator, ResidualBlock, ResizeConv, UnetLevel, UnetOuterLevel
from engine.model.layers import InstanceNorm

if TYPE_CHECKING:
    import onnx

OPSET = 17
"""Of 2022, so that older runtimes can read the file too."""

_IR_VERSION = 8
_MOST_BYTES = 2**31 - 2**20  # A protobuf message ends at 2 GiB.


def require_onnx() -> None:
    """See that the package is there.

    Raises:
        ModelFileError: It is not.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ModelFileError(
            "Exporting to ONNX needs the package onnx, which is missing here. Install it with: pip install onnx"
        ) from error


def onnx_bytes(
    generator: AnyGenerator,
    *,
    in_channels: int,
    out_channels: int,
    metadata: Mapping[str, str],
    change_only: bool = False,
) -> bytes:
    """The content of an ONNX file with one input, "picture", and one output, "translated".

    Both are float32 in [-1, 1], [1, C, H, W] with any H and W that are multiples of the architecture's `multiple` (at
    least 8). All arithmetic is in fp32.

    Args:
        generator: In fp32, in eval mode, on the CPU.
        in_channels: Channels of its input, 1 or 3.
        out_channels: Channels of its output.
        metadata: Text by name, stored with the model.
        change_only: Whether it ends before the long skip and the tanh, as the generator's `change` does.

    Raises:
        ModelFileError: The package onnx is missing, or the generator is too large for the format.
    """
    require_onnx()
    from onnx import TensorProto, helper

    if sum(p.numel() * p.element_size() for p in generator.parameters()) > _MOST_BYTES:
        raise ModelFileError("This model is larger than 2 GB, which an ONNX file cannot hold.")
    graph = _Graph()
    y = graph.layer(generator.model, graph.input("picture", in_channels))
    if generator.long_skip and not change_only:
        y = graph.node("Add", y, _skipped(graph, in_channels, out_channels))
    graph.node("Identity" if change_only else "Tanh", y, output="translated")
    sides = ["height", "width"]
    body = helper.make_graph(
        graph.nodes,
        "generator",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, in_channels, *sides])],
        [helper.make_tensor_value_info("translated", TensorProto.FLOAT, [1, out_channels, *sides])],
        graph.constants,
    )
    model = helper.make_model(
        body,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="CycleGAN Desktop",
    )
    helper.set_model_props(model, dict(metadata))
    content: bytes = model.SerializeToString()
    return content


def _skipped(graph: _Graph, in_channels: int, out_channels: int) -> str:
    """atanh(0.9 x), what the long skip adds; grey is the mean of the colours."""
    x = "picture"
    if out_channels < in_channels:
        x = graph.node("ReduceMean", x, axes=[1], keepdims=1)
    return graph.node("Atanh", graph.node("Mul", x, graph.constant(np.float32(0.9))))


class _Graph:
    """A graph under construction.

    Attributes:
        nodes: Operations, in the order of their work.
        constants: Weights and other fixed values.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._channels: dict[str, int] = {}

    def input(self, name: str, channels: int) -> str:
        """Make a value known that is not computed here."""
        self._channels[name] = channels
        return name

    def constant(self, value: Any) -> str:
        """A fixed value; gives its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(
        self, operation: str, *inputs: str, channels: int | None = None, output: str = "", **attributes: Any
    ) -> str:
        """Add an operation; gives the name of its result.

        Args:
            operation: Its name in ONNX.
            *inputs: Names of values; "" where an optional one is left out.
            channels: Channels of the result; None for as many as the first input has.
            output: Name of the result; "" makes one up.
            **attributes: As ONNX calls them.
        """
        from onnx import helper

        name = output or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], name=name, **attributes))
        self._channels[name] = self._channels[inputs[0]] if channels is None else channels
        return name

    def layer(self, layer: nn.Module, x: str) -> str:
        """Add what a layer, or a network of layers, does with the value `x`; gives the name of its result."""
        match layer:
            case nn.Sequential():
                for each in layer:
                    x = self.layer(each, x)
                return x
            case ResidualBlock():
                return self.node("Add", x, self.layer(layer.conv_block, x))
            case UnetOuterLevel():
                return self.layer(layer.model, x)
            case UnetLevel():
                inner = self.layer(layer.model, x)
                return self.node("Concat", x, inner, channels=self._channels[x] + self._channels[inner], axis=1)
            case nn.ReflectionPad2d():
                return self._reflected(x, layer.padding[0])
            case ResizeConv():
                return self._convolved(layer, self._reflected(self._doubled(x), 1))
            case nn.Conv2d() | nn.ConvTranspose2d():
                return self._convolved(layer, x)
            case InstanceNorm():
                channels = self._channels[x]
                one, zero = self.constant(torch.ones(channels)), self.constant(torch.zeros(channels))
                return self.node("InstanceNormalization", x, one, zero, epsilon=1e-5)
            case nn.BatchNorm2d():
                values = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
                return self.node("BatchNormalization", x, *map(self.constant, values), epsilon=layer.eps)
            case nn.ReLU():
                return self.node("Relu", x)
            case nn.LeakyReLU():
                return self.node("LeakyRelu", x, alpha=layer.negative_slope)
            case nn.Identity() | nn.Dropout():
                return x
        raise TypeError(f"no ONNX counterpart is known of {type(layer).__name__}")

    def _convolved(self, layer: nn.Conv2d | nn.ConvTranspose2d, x: str) -> str:
        weights = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
        attributes: dict[str, Any] = {"strides": list(layer.stride), "pads": [*layer.padding, *layer.padding]}
        if isinstance(layer, nn.ConvTranspose2d):
            attributes["output_padding"] = list(layer.output_padding)
        return self.node(
            "ConvTranspose" if isinstance(layer, nn.ConvTranspose2d) else "Conv",
            x,
            *map(self.constant, weights),
            channels=layer.out_channels,
            kernel_shape=list(layer.kernel_size),
            **attributes,
        )

    def _reflected(self, x: str, width: int) -> str:
        pads = np.array([0, 0, width, width, 0, 0, width, width], dtype=np.int64)
        return self.node("Pad", x, self.constant(pads), mode="reflect")

    def _doubled(self, x: str) -> str:
        """Each pixel four times."""
        scales = self.constant(np.array([1, 1, 2, 2], dtype=np.float32))
        return self.node(
            "Resize",
            x,
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
