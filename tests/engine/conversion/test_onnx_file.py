"""An ONNX file computes what the generator does, at any size, without PyTorch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from engine.conversion.onnx_file import OPSET, onnx_bytes
from engine.errors import ModelFileError
from engine.model.architecture import Architecture
from engine.model.generator import AnyGenerator, make_generator

ARCHITECTURES = [
    Architecture(blocks=2, channels=4),
    Architecture(blocks=1, channels=4, dropout=True),
    Architecture(blocks=1, channels=4, norm="batch"),
    Architecture(blocks=1, channels=4, norm="none"),
    Architecture(blocks=1, channels=4, long_skip=True, resize_conv=True),
    Architecture(blocks=1, channels=4, grey_A=True),
    Architecture(blocks=1, channels=4, grey_A=True, long_skip=True),
    Architecture(blocks=1, channels=4, grey_B=True, long_skip=True),
    Architecture(generator="unet", halvings=5, channels=4),
    Architecture(generator="unet", halvings=6, channels=2, norm="batch", dropout=True, long_skip=True),
]


def drawn(architecture: Architecture) -> AnyGenerator:
    """A generator in which every layer matters and none saturates."""
    torch.manual_seed(0)
    generator = make_generator(architecture, "a2b").eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        if tensor.ndim > 1:
            tensor.normal_().div_((tensor[0].numel() / 2) ** 0.5)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if name.endswith(("weight", "var")) else tensor.normal_(0.0, 0.2)
    return generator


def written(architecture: Architecture, generator: AnyGenerator | None = None, **metadata: str) -> bytes:
    return onnx_bytes(
        drawn(architecture) if generator is None else generator,
        in_channels=architecture.channels_of("A"),
        out_channels=architecture.channels_of("B"),
        metadata=metadata,
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_onnxruntime_and_torch_agree_at_two_sizes(architecture: Architecture) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    generator = drawn(architecture)
    session = runtime.InferenceSession(written(architecture, generator), providers=["CPUExecutionProvider"])
    multiple = max(architecture.multiple, 16)
    for height, width in ((multiple, multiple), (2 * multiple, 3 * multiple)):
        x = torch.rand(1, architecture.channels_of("A"), height, width) * 2 - 1
        expected = generator(x).numpy()
        (result,) = session.run(None, {"picture": x.numpy()})
        assert result.shape == (1, architecture.channels_of("B"), height, width)
        assert expected.std() > 0.01
        assert np.abs(result - expected).max() <= 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES[::4], ids=str)
def test_the_file_is_valid_and_says_what_it_takes(architecture: Architecture) -> None:
    onnx: Any = pytest.importorskip("onnx")
    model = onnx.load_from_string(written(architecture, licence="MIT", name_A="Äpfel"))
    onnx.checker.check_model(model, full_check=True)
    assert [each.version for each in model.opset_import] == [OPSET]
    assert {entry.key: entry.value for entry in model.metadata_props} == {"licence": "MIT", "name_A": "Äpfel"}
    (taken,), (given,) = model.graph.input, model.graph.output
    assert (taken.name, given.name) == ("picture", "translated")
    sides = [dim.dim_param or dim.dim_value for dim in taken.type.tensor_type.shape.dim]
    assert sides == [1, architecture.channels_of("A"), "height", "width"]


def test_a_layer_without_a_counterpart_is_not_passed_over() -> None:
    pytest.importorskip("onnx")
    generator = drawn(ARCHITECTURES[0])
    generator.model.append(torch.nn.GELU())
    with pytest.raises(TypeError, match="GELU"):
        written(ARCHITECTURES[0], generator)


def test_a_missing_package_is_a_sentence_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelFileError, match="pip install onnx"):
        written(ARCHITECTURES[0])
