"""Where OpenVINO is installed it converts what it is faster at, as exactly as PyTorch's bf16; else PyTorch does."""

from __future__ import annotations

import ctypes
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from engine import convert
from engine.conversion import openvino_network
from engine.conversion import translator as translator_module
from engine.conversion.model_file import ModelInfo
from engine.conversion.openvino_network import OpenvinoError, OpenvinoNetwork, load_openvino, openvino_version
from engine.conversion.translator import Translator
from engine.errors import ConfigError, ModelFileError
from engine.events import Converted, ConvertPlanned, FileFailed, FileSkipped, Notice
from engine.model.architecture import Architecture
from engine.model.generator import AnyGenerator, init_weights, make_generator
from tests.engine.conversion.batches import draw, make_job, of_kind, tree

CPU = torch.device("cpu")


def make_generator_of(architecture: Architecture, seed: int = 0) -> AnyGenerator:
    generator = make_generator(architecture, "a2b").eval().requires_grad_(False)
    init_weights(generator, torch.Generator().manual_seed(seed), "xavier", 1.0)
    return generator


def info_of(architecture: Architecture) -> ModelInfo:
    return ModelInfo(Path("m.safetensors"), "A", "B", 32, architecture, "quick", 1, "2026-01-01")


def make_translator(
    generator: AnyGenerator, architecture: Architecture, tmp_path: Path, **values: object
) -> Translator:
    defaults = {"device": CPU, "precision": "bf16", "resize": None, "memory_gb": None, "spill": tmp_path}
    return Translator(generator, info_of(architecture), direction="a2b", **{**defaults, **values})


class ByHand:
    """Stands in for a compiled network: the generator's own layers, in fp32."""

    version = "1.2"

    def __init__(self, generator: AnyGenerator, *_: object) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._generator = generator

    def change(self, picture: torch.Tensor, tick: Callable[[], None]) -> torch.Tensor:
        tick()
        self.sizes.append((picture.shape[3], picture.shape[2]))
        with torch.inference_mode():
            return self._generator.change(picture)


class Broken(ByHand):
    def change(self, picture: torch.Tensor, tick: Callable[[], None]) -> torch.Tensor:
        raise OpenvinoError("no such kernel")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were installed, and this processor had units for bf16."""
    monkeypatch.setattr(openvino_network, "openvino_version", lambda: "1.2")
    monkeypatch.setattr(openvino_network, "OpenvinoNetwork", ByHand)
    monkeypatch.setattr(openvino_network, "choose_precision", lambda precision, *_: precision)


# When it converts


def test_without_it_pytorch_converts(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = Architecture(blocks=1, channels=4)
    monkeypatch.setattr(openvino_network, "openvino_version", lambda: "")
    values = {"direction": "a2b", "device": CPU, "precision": "bf16"}
    assert load_openvino(make_generator_of(architecture), info_of(architecture), **values) is None


def test_a_package_of_that_name_which_is_not_there_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_network.importlib.util, "find_spec", lambda name: None)
    assert openvino_version() == ""


def test_what_openvino_would_tell_its_makers_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, source in {
        "openvino_telemetry": "",
        "openvino": """
            try:
                import openvino_telemetry
            except ImportError:
                told = False
            else:
                told = True
            """,
    }.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(textwrap.dedent(source), encoding="utf-8")
    for module in [name for name in sys.modules if name.partition(".")[0] in {"openvino", "openvino_telemetry"}]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert not openvino_network.import_openvino().told
    finally:
        for package in ("openvino", "openvino_telemetry"):
            sys.modules.pop(package, None)


@pytest.mark.parametrize(
    ("precision", "device", "generator", "converts"),
    [
        ("bf16", "cpu", "resnet", True),
        ("fp32", "cpu", "resnet", False),
        ("bf16", "cuda", "resnet", False),
        ("bf16", "cpu", "unet", False),
    ],
)
def test_it_converts_in_bf16_on_a_processor_and_no_u_nets(
    installed: None, precision: str, device: str, generator: str, converts: bool
) -> None:
    architecture = Architecture(generator=generator, channels=4, **({"halvings": 5} if generator == "unet" else {}))
    network = load_openvino(
        make_generator(architecture, "a2b"),
        info_of(architecture),
        direction="a2b",
        device=torch.device(device),
        precision=precision,
    )
    assert (network is not None) == converts


@pytest.mark.parametrize("long_skip", [False, True])
def test_pictures_that_go_through_whole_and_in_bf16_are_its(tmp_path: Path, long_skip: bool) -> None:
    architecture = Architecture(blocks=1, channels=4, long_skip=long_skip)
    generator = make_generator_of(architecture)
    network = ByHand(generator)
    translator = make_translator(generator, architecture, tmp_path, openvino=network)
    pixels = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    plain = make_translator(generator, architecture, tmp_path, precision="fp32").translate("a", pixels)
    assert np.array_equal(translator.translate("a", pixels), plain)
    assert network.sizes == [(36, 24)]
    assert all(np.array_equal(one, plain) for one in translator.translate_together([pixels, pixels]))


def test_pictures_of_16_bits_and_those_in_strips_are_pytorchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translator_module, "choose_precision", lambda *_: "bf16")
    architecture = Architecture(blocks=1, channels=4)
    generator = make_generator_of(architecture)
    network = ByHand(generator)
    translator = make_translator(generator, architecture, tmp_path, precision="auto", openvino=network)
    translator.translate("a", np.zeros((16, 16, 3), np.uint16), depth=16)
    monkeypatch.setattr(translator_module, "STREAMED_FROM_PIXELS", 200)
    translator.translate("a", np.zeros((16, 16, 3), np.uint8))
    assert network.sizes == []


def test_the_change_alone_is_its_too(tmp_path: Path) -> None:
    architecture = Architecture(blocks=1, channels=4, long_skip=True)
    generator = make_generator_of(architecture)
    network = ByHand(generator)
    translator = make_translator(generator, architecture, tmp_path, resize="change", openvino=network)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    plain = make_translator(generator, architecture, tmp_path, resize="change", precision="fp32")
    assert np.array_equal(translator.translate("a", pixels), plain.translate("a", pixels))
    assert network.sizes == [(24, 32)]


# In a batch


@pytest.mark.usefixtures("one_thread", "in_threads", "installed")
def test_the_plan_says_who_converts_and_no_batch_is_half_of_each(model: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    fp32 = list(convert(make_job(model, tmp_path, tmp_path / "in", to=tmp_path / "fp32")))
    job = make_job(model, tmp_path, tmp_path / "in", precision="bf16")
    first = list(convert(job))
    assert of_kind(fp32, ConvertPlanned)[0].engine == of_kind(fp32, Converted)[0].engine == "PyTorch"
    assert of_kind(first, ConvertPlanned)[0].engine == "OpenVINO 1.2"
    assert of_kind(first, Converted)[0].engine == "OpenVINO"
    assert len(of_kind(list(convert(job)), FileSkipped)) == 1
    with pytest.MonkeyPatch.context() as without:
        without.setattr(openvino_network, "openvino_version", lambda: "")
        assert len(of_kind(list(convert(job)), Converted)) == 1


@pytest.mark.usefixtures("one_thread", "in_threads", "installed")
def test_one_that_cannot_be_used_is_said_and_pytorch_converts(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_network, "OpenvinoNetwork", OpenvinoNetwork)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace())  # Without anything that it should have.
    draw(tmp_path / "in" / "a.png")
    events = list(convert(make_job(model, tmp_path, tmp_path / "in", precision="bf16")))
    (notice,) = of_kind(events, Notice)
    assert notice.text.startswith("OpenVINO 1.2 is installed but cannot be used (")
    assert notice.text.endswith("). PyTorch converts instead.")
    assert of_kind(events, ConvertPlanned)[0].engine == "PyTorch"
    assert tree(tmp_path / "out") == ["a.png"]
    with pytest.raises(OpenvinoError, match="cannot be used"):
        list(convert(make_job(model, tmp_path, tmp_path / "in", precision="bf16", engine="openvino")))


@pytest.mark.usefixtures("one_thread", "in_threads", "installed")
def test_a_user_may_switch_it_off_and_each_picture_says_what_translated_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator_module, "choose_precision", lambda *_: "bf16")
    draw(tmp_path / "in" / "a.png")
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(tmp_path / "in" / "b.png")
    for engine, names in {"pytorch": ["PyTorch"] * 2, "openvino": ["OpenVINO", "PyTorch"]}.items():
        monkeypatch.setattr(openvino_network, "choose_precision", lambda *_: "bf16")
        events = list(convert(make_job(model, tmp_path, tmp_path / "in", precision="auto", engine=engine)))
        assert [event.engine for event in of_kind(events, Converted)] == names


@pytest.mark.usefixtures("one_thread", "in_threads")
@pytest.mark.parametrize(
    ("precision", "sentence"), [("fp32", "in bf16, and not with U-Nets"), ("bf16", "not installed")]
)
def test_asked_for_where_it_cannot_be_had_is_refused_in_a_sentence(
    precision: str, sentence: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_network, "openvino_version", lambda: "")
    monkeypatch.setattr(openvino_network, "choose_precision", lambda precision, *_: precision)
    draw(tmp_path / "in" / "a.png")
    with pytest.raises(ConfigError, match=sentence) as refusal:
        list(convert(make_job(model, tmp_path, tmp_path / "in", precision=precision, engine="openvino")))
    assert refusal.value.field == "engine"
    assert not (tmp_path / "out").exists() or not tree(tmp_path / "out")


@pytest.mark.usefixtures("one_thread", "in_threads", "installed")
def test_what_the_other_program_has_converted_is_told_before_it_is_converted_once_more(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / "in" / name)
    list(convert(make_job(model, tmp_path, tmp_path / "in" / "a.png", precision="bf16")))
    monkeypatch.setattr(openvino_network, "openvino_version", lambda: "")
    job = make_job(model, tmp_path, tmp_path / "in", precision="bf16")
    (notice,) = of_kind(list(convert(job)), Notice)
    assert notice.text == (
        "1 picture was converted into this folder by OpenVINO before, whose results differ a little from those of "
        "PyTorch: it is converted once more."
    )
    assert tree(tmp_path / "out") == ["a (1).png", "a.png", "b.png"]
    assert not of_kind(list(convert(job)), Notice)


@pytest.mark.usefixtures("one_thread", "in_threads", "installed")
def test_a_network_that_cannot_be_handed_over_is_converted_by_pytorch_too(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise ModelFileError("The package onnx is missing.")

    monkeypatch.setattr(openvino_network, "OpenvinoNetwork", OpenvinoNetwork)
    monkeypatch.setattr(openvino_network, "onnx_bytes", refuse)
    draw(tmp_path / "in" / "a.png")
    events = list(convert(make_job(model, tmp_path, tmp_path / "in", precision="bf16")))
    (notice,) = of_kind(events, Notice)
    assert "cannot be used (The package onnx is missing)" in notice.text
    assert tree(tmp_path / "out") == ["a.png"]


@pytest.mark.usefixtures("one_thread", "in_threads", "installed")
def test_a_picture_at_which_it_fails_is_named_with_a_remedy(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_network, "OpenvinoNetwork", Broken)
    draw(tmp_path / "in" / "a.png")
    (failure,) = of_kind(list(convert(make_job(model, tmp_path, tmp_path / "in", precision="bf16"))), FileFailed)
    assert failure.reason == "OpenVINO could not convert a.png (no such kernel). Choose the engine PyTorch."


# The real one


@pytest.fixture
def real() -> Callable[..., OpenvinoNetwork]:
    pytest.importorskip("openvino")
    return lambda generator, architecture: OpenvinoNetwork(generator, info_of(architecture), "a2b", 1)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(blocks=1, channels=8),
        Architecture(blocks=1, channels=8, long_skip=True, resize_conv=True),
        Architecture(blocks=1, channels=8, norm="batch"),
        Architecture(blocks=1, channels=8, grey_A=True),
    ],
)
@pytest.mark.parametrize("size", [(8, 8), (64, 40), (21, 34)])
def test_its_results_are_as_far_from_fp32_as_those_of_pytorch_in_bf16(
    real: Callable[..., OpenvinoNetwork], architecture: Architecture, size: tuple[int, int], tmp_path: Path
) -> None:
    generator = make_generator_of(architecture)
    network = real(generator, architecture)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    levels = {
        name: make_translator(generator, architecture, tmp_path, **values).translate("a", pixels).astype(int)
        for name, values in {
            "fp32": {"precision": "fp32"},
            "bf16": {},
            "openvino": {"openvino": network},
            "again": {"openvino": network},
        }.items()
    }
    assert np.array_equal(levels["openvino"], levels["again"])
    error, of_pytorch = (np.abs(levels[name] - levels["fp32"]).mean() for name in ("openvino", "bf16"))
    assert error <= max(1.0, 2 * of_pytorch)


def test_it_can_be_stopped_and_used_again(real: Callable[..., OpenvinoNetwork]) -> None:
    architecture = Architecture(blocks=4, channels=32)
    network = real(make_generator_of(architecture), architecture)

    def stop() -> None:
        raise KeyboardInterrupt

    picture = torch.zeros(1, 3, 512, 512)
    with pytest.raises(KeyboardInterrupt):
        network.change(picture, stop)
    assert network.change(picture[..., :64, :64].contiguous(), lambda: None).shape == (1, 3, 64, 64)


def test_what_it_refuses_is_an_error_of_ours(real: Callable[..., OpenvinoNetwork]) -> None:
    architecture = Architecture(blocks=1, channels=4)
    network = real(make_generator_of(architecture), architecture)
    with pytest.raises(OpenvinoError):
        network.change(torch.zeros(1, 5, 16, 16), lambda: None)


@pytest.mark.skipif(sys.platform != "linux", reason="A stack for signals in each thread is Linux's.")
def test_it_leaves_no_stack_for_signals_in_a_thread_that_lives_on(real: Callable[..., OpenvinoNetwork]) -> None:
    before = stack_for_signals()
    architecture = Architecture(blocks=1, channels=4)
    networks = [real(make_generator_of(architecture), architecture) for _ in range(2)]
    assert stack_for_signals() == before
    del networks[0], networks[0]  # In this order the second put the unmapped stack of the first in its own place.
    assert stack_for_signals() == before


class _Stack(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def stack_for_signals() -> tuple[int | None, int]:
    """Start and size of this thread's."""
    found = _Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found.start, found.size
