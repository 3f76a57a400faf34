"""A picture gets the model's result whatever its size and depth, and its change alone where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.conversion import translator as translator_module
from engine.conversion.large_picture import needed_memory
from engine.conversion.model_file import ModelInfo
from engine.conversion.translator import Translator, _enlarged_rows, require_long_skip
from engine.data.images import scaled_frame
from engine.data.source_file import Frame, Pixels
from engine.errors import ConfigError, PictureError
from engine.model.architecture import Architecture
from engine.model.generator import AnyGenerator, Generator, make_generator, skipped
from engine.model.picture_tensors import to_tensor

CPU = torch.device("cpu")
SIZE = 32


def make_translator(tmp_path: Path, *, identity: bool = False, **values: object) -> Translator:
    """Of a generator with random weights and the long skip, unless `architecture` says otherwise."""
    architecture = values.pop("architecture", Architecture(blocks=1, channels=4, long_skip=True))
    direction = values.pop("direction", "a2b")
    generator = make_generator(architecture, direction)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in generator.parameters():
            weights.normal_(0.0, 0.1)
    if identity:
        generator.start_as_identity()
    info = ModelInfo(tmp_path / "m.safetensors", "A", "B", SIZE, architecture, "quick", 1, "2026-01-01")
    defaults = {"device": CPU, "precision": "fp32", "resize": None, "memory_gb": None, "spill": tmp_path}
    return Translator(generator.eval().requires_grad_(False), info, direction=direction, **{**defaults, **values})


def draw(height: int, width: int, dtype: type = np.uint8, seed: int = 0) -> Pixels:
    """Smooth, as photographs are, with a little noise."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (1, 3, height // 8 + 2, width // 8 + 2)).astype(np.float32)
    large = F.interpolate(torch.from_numpy(small), size=(height, width), mode="bilinear")[0].permute(1, 2, 0).numpy()
    levels = np.clip(large / 255 + random.normal(0, 0.01, large.shape), 0, 1) * np.iinfo(dtype).max
    return np.rint(levels).astype(dtype)


def squeezed(pixels: Pixels) -> np.ndarray:
    """What the identity with its long skip makes of a picture."""
    half = np.iinfo(pixels.dtype).max / 2
    return np.rint((0.9 * (pixels / half - 1) + 1) * half)


# At its size


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (3, 90), (33, 41)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_keep_their_size_and_depth(tmp_path: Path, size: tuple[int, int], dtype: type) -> None:
    pixels = draw(*size, dtype)
    result = make_translator(tmp_path, identity=True).translate("a", pixels)
    assert result.shape == pixels.shape and result.dtype == dtype
    assert np.abs(squeezed(pixels) - result).max() <= 1


def test_16_bits_in_are_more_than_256_levels_out(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64, 1).repeat(3, 2)
    result = make_translator(tmp_path, identity=True).translate("a", ramp)
    assert len(np.unique(result)) > 4000


def test_pictures_of_16_bits_get_fp32_unless_a_precision_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    whole = translator_module.autocast
    monkeypatch.setattr(translator_module, "autocast", lambda device, p: used.append(p) or whole(device, p))
    monkeypatch.setattr(translator_module, "choose_precision", lambda p, *_: "bf16" if p == "auto" else p)
    for precision in ("auto", "bf16"):
        translator = make_translator(tmp_path, precision=precision)
        assert translator.precision == "bf16"
        translator.translate("a", draw(16, 16, np.uint8))
        translator.translate("a", draw(16, 16, np.uint16), depth=16)
    assert used == ["bf16", "fp32", "bf16", "bf16"]


def test_pictures_of_8_bits_with_a_wide_gamut_are_as_fast_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    whole = translator_module.autocast
    monkeypatch.setattr(translator_module, "autocast", lambda device, p: used.append(p) or whole(device, p))
    monkeypatch.setattr(translator_module, "choose_precision", lambda p, *_: "bf16" if p == "auto" else p)
    make_translator(tmp_path, precision="auto").translate("a", draw(16, 16, np.uint16), depth=8)
    assert used == ["bf16"]


def test_the_result_is_that_of_the_generator_itself(tmp_path: Path) -> None:
    translator = make_translator(tmp_path)
    pixels = draw(20, 24)
    with torch.inference_mode():
        whole = translator._generator(to_tensor(pixels, CPU))
    expected = whole[0].add(1).mul(127.5).round().clamp(0, 255).permute(1, 2, 0).numpy()
    assert np.array_equal(translator.translate("a", pixels), expected)


def test_the_source_is_left_as_it_was(tmp_path: Path) -> None:
    for resize in (None, "change"):
        pixels = draw(40, 48)
        before = pixels.copy()
        make_translator(tmp_path, resize=resize).translate("a", pixels)
        assert np.array_equal(pixels, before)


# Memory


@pytest.mark.parametrize(
    ("device", "pixels", "streamed"), [("cpu", 10_000, True), ("cpu", 10_001, False), ("mps", 1, False)]
)
def test_on_a_cpu_strips_are_the_faster_way_from_some_size_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, pixels: int, streamed: bool
) -> None:
    monkeypatch.setattr(translator_module, "STREAMED_FROM_PIXELS", pixels)
    ways = []
    monkeypatch.setattr(Translator, "_whole", lambda self, pixels, precision: ways.append("whole"))
    monkeypatch.setattr(translator_module, "translate_streamed", lambda *_, **__: ways.append("streamed"))
    translator = make_translator(tmp_path, memory_gb=1.0)
    translator._device = torch.device(device)
    translator.translate("a", draw(100, 100))
    assert ways == ["streamed" if streamed else "whole"]


def test_a_picture_for_which_strips_need_more_than_there_is_is_translated_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator_module, "STREAMED_FROM_PIXELS", 1)
    needed = needed_memory(Architecture(blocks=1, channels=4, long_skip=True), 16, 16, "fp32")
    assert needed.whole < needed.least
    monkeypatch.setattr(translator_module, "translate_streamed", lambda *_, **__: pytest.fail("it was streamed"))
    translator = make_translator(tmp_path, memory_gb=(needed.whole + needed.least) / 2e9)
    assert translator.translate("a", draw(16, 16)).shape == (16, 16, 3)


def test_a_picture_too_large_for_the_memory_is_streamed_and_comes_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = draw(1500, 2000)
    monkeypatch.setattr(translator_module, "STREAMED_FROM_PIXELS", 10**9)
    expected = make_translator(tmp_path).translate("a", pixels)
    needed = needed_memory(Architecture(blocks=1, channels=4, long_skip=True), 2000, 1500, "fp32")
    assert needed.least < needed.whole
    streamed = make_translator(tmp_path, memory_gb=(needed.least + needed.whole) / 2e9)
    streamed._generator.forward = lambda x: pytest.fail("it was translated whole")
    result = streamed.translate("a", pixels)
    assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_falls_back_to_strips_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pixels = draw(60, 50)
    expected = make_translator(tmp_path).translate("a", pixels)

    def fail(self: Generator, x: torch.Tensor) -> torch.Tensor:
        raise error

    emptied = []
    monkeypatch.setattr(Generator, "forward", fail)
    monkeypatch.setattr(translator_module, "empty_caches", emptied.append)
    result = make_translator(tmp_path).translate("a", pixels)
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert emptied == [CPU]


def test_a_picture_too_large_even_for_strips_is_refused_with_a_size_that_fits(tmp_path: Path) -> None:
    translator = make_translator(tmp_path, memory_gb=0.006)
    with pytest.raises(PictureError, match=r"^a\.png is too large: 9000 x 7000 pixels need at least") as failure:
        translator.require_memory("a.png", (9000, 7000))
    assert "it may take 6.0 MB" in str(failure.value)
    fitting = int(str(failure.value).rpartition("--resize ")[2].rstrip(")."))
    assert f"a longest side of {fitting} px" in str(failure.value)
    translator.require_memory("a.png", (fitting, fitting * 7 // 9))
    with pytest.raises(PictureError, match="too large"):
        translator.translate("a.png", np.zeros((2100, 2700, 3), np.uint8))


def test_strips_that_run_out_of_memory_fail_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Pixels:
        raise MemoryError

    monkeypatch.setattr(Generator, "forward", fail)
    monkeypatch.setattr(translator_module, "translate_streamed", fail)
    with pytest.raises(PictureError, match=r"memory ran out for a\.png \(24 x 20 pixels\)"):
        make_translator(tmp_path).translate("a.png", draw(20, 24))


def test_processes_on_one_machine_share_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translator_module, "available_memory", lambda device: 1_000_000)
    assert make_translator(tmp_path)._allowed_memory() == 800_000
    monkeypatch.setattr(translator_module, "local_rank_and_count", lambda: (0, 4))
    assert make_translator(tmp_path)._allowed_memory() == 200_000
    assert make_translator(tmp_path, memory_gb=0.5)._allowed_memory() == 500_000_000


@pytest.mark.parametrize("resize", [None, "change"])
def test_a_bug_is_not_taken_for_a_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resize: str | None
) -> None:
    def broken(self: Generator, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Generator, "change", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        make_translator(tmp_path, resize=resize).translate("a", draw(64, 64))


@pytest.mark.parametrize(
    ("precision", "remedy"), [("fp32", ""), ("bf16", " Convert it in fp32 (cyclegan convert --precision fp32).")]
)
@pytest.mark.parametrize("resize", [None, "change"])
def test_results_that_are_no_numbers_fail_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, remedy: str, resize: str | None
) -> None:
    monkeypatch.setattr(Generator, "change", lambda self, x: x * float("nan"))
    with pytest.raises(PictureError) as failure:
        make_translator(tmp_path, precision=precision, resize=resize).translate("a.png", draw(64, 64))
    assert str(failure.value) == f"The model gave no valid result for a.png.{remedy}"


# The change alone


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(300, 200), (33, 700)])
def test_no_change_leaves_every_detail_of_a_large_picture(tmp_path: Path, dtype: type, size: tuple[int, int]) -> None:
    pixels = draw(*size, dtype)
    result = make_translator(tmp_path, identity=True, resize="change").translate("a", pixels)
    assert result.dtype == dtype
    assert np.abs(squeezed(pixels) - result).max() <= 1


@pytest.mark.parametrize("size", [(32, 24), (20, 32), (5, 9)])
def test_at_the_training_size_and_below_the_change_is_the_whole_translation(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    pixels = draw(*size)
    whole, change = (make_translator(tmp_path, resize=resize).translate("a", pixels) for resize in (None, "change"))
    assert np.array_equal(whole, change)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(blocks=1, channels=4, long_skip=True),
        Architecture(blocks=1, channels=4, long_skip=True, grey_A=True),
        Architecture(blocks=1, channels=4, long_skip=True, grey_B=True),
        Architecture(generator="unet", halvings=5, channels=4, long_skip=True),
    ],
    ids=["resnet", "grey to colour", "colour to grey", "unet"],
)
def test_the_change_is_computed_at_the_training_size_and_enlarged(tmp_path: Path, architecture: Architecture) -> None:
    """Against the same in a few lines that need the memory of it all; 64 x 48 is 32 x 24, which needs no padding."""
    translator = make_translator(tmp_path, architecture=architecture, resize="change")
    generator: AnyGenerator = translator._generator
    pixels = draw(90, 128)
    grey = architecture.grey_A
    with torch.inference_mode():
        small = torch.from_numpy(scaled_frame(Frame(pixels), SIZE).pixels.copy())
        height, width = small.shape[:2]
        multiple = architecture.multiple
        padded = np.pad(small.numpy(), ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
        change = generator.change(to_tensor(padded, CPU, grey=grey))[..., :height, :width]
        assert change.abs().max() > 0.2
        enlarged = F.interpolate(change, size=(90, 128), mode="bicubic", align_corners=False)
        expected = torch.tanh(skipped(to_tensor(pixels, CPU, grey=grey), change.shape[1]) + enlarged)
    levels = expected[0].add(1).mul(127.5).round().expand(3, -1, -1).permute(1, 2, 0).numpy()
    assert np.abs(translator.translate("a", pixels) - levels).max() <= 1


def test_strips_leave_no_seams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = draw(150, 130)
    whole = make_translator(tmp_path, resize="change").translate("a", pixels)
    monkeypatch.setattr(translator_module, "_STRIP_BYTES", 12 * 130 * 7)
    strips = make_translator(tmp_path, resize="change").translate("a", pixels)
    assert np.array_equal(whole, strips)


@pytest.mark.parametrize(("rows", "height"), [(4, 9), (7, 7), (32, 1000), (1, 20)])
def test_enlarged_rows_are_those_of_torch(rows: int, height: int) -> None:
    torch.manual_seed(1)
    picture = torch.randn(3, rows, 5)
    expected = F.interpolate(picture[None], size=(height, 5), mode="bicubic", align_corners=False)
    middle = height // 2
    got = torch.cat([_enlarged_rows(picture, 0, middle, height), _enlarged_rows(picture, middle, height, height)], 2)
    assert torch.allclose(got, expected, atol=1e-5)


def test_a_model_without_the_long_skip_has_no_change_to_enlarge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="long skip") as failure:
        make_translator(tmp_path, architecture=Architecture(blocks=1, channels=4), resize="change")
    assert failure.value.field == "resize"
    make_translator(tmp_path, architecture=Architecture(blocks=1, channels=4)).translate("a", draw(8, 8))
    require_long_skip(make_translator(tmp_path)._info)


def test_the_change_of_a_huge_picture_needs_no_memory_for_its_layers(tmp_path: Path) -> None:
    translator = make_translator(tmp_path, resize="change", memory_gb=0.0001)
    translator.require_memory("a.png", (20_000, 20_000))
    assert translator.translate("a.png", draw(200, 300)).shape == (200, 300, 3)


# Stopping


@pytest.mark.parametrize("way", ["whole", "streamed", "change"])
def test_a_tick_may_end_a_translation_at_any_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    class StopNowError(Exception):
        pass

    monkeypatch.setattr(translator_module, "STREAMED_FROM_PIXELS", 10**9 if way == "whole" else 1)
    translator = make_translator(tmp_path, resize="change" if way == "change" else None)

    def stop_after(count: int) -> Callable[[], None]:
        calls = iter(range(count))

        def tick() -> None:
            if next(calls, None) is None:
                raise StopNowError

        return tick

    pixels = draw(400, 500)
    whole = translator.translate("a", pixels)
    for count in range(5):
        with pytest.raises(StopNowError):
            translator.translate("a", pixels, stop_after(count))
    assert np.array_equal(translator.translate("a", pixels), whole)


# Several at once


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(blocks=2, channels=8),
        Architecture(blocks=1, channels=4, long_skip=True, grey_A=True),
        Architecture(generator="unet", halvings=5, channels=4),
        Architecture(blocks=1, channels=4, norm="batch"),
    ],
    ids=["resnet", "grey", "unet", "batch norm"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_several_pictures_at_once_are_those_translated_alone_level_for_level_of_8_bits(
    tmp_path: Path, architecture: Architecture, dtype: type
) -> None:
    translator = make_translator(tmp_path, architecture=architecture)
    pictures = [draw(37, 50, dtype, seed) for seed in range(3)]
    together = translator.translate_together(pictures, depth=8 * pictures[0].itemsize)
    for pixels, result in zip(pictures, together, strict=True):
        assert result.dtype == dtype
        alone = translator.translate("a", pixels, depth=8 * pixels.itemsize)
        assert np.abs(result.astype(int) - alone).max() <= (0 if dtype is np.uint8 else 3)


def test_several_at_once_are_as_many_as_the_memory_holds_and_one_where_that_is_as_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = Architecture(blocks=1, channels=4, long_skip=True)
    needed = needed_memory(architecture, 64, 48, "fp32").whole
    assert make_translator(tmp_path, memory_gb=1.0).together(draw(48, 64)) == 1
    monkeypatch.setattr(translator_module, "MOST_TOGETHER", {"cpu": 8})
    assert make_translator(tmp_path, memory_gb=1.0).together(draw(48, 64)) == 8
    assert make_translator(tmp_path, memory_gb=3.5 * needed / 1e9).together(draw(48, 64)) == 3
    assert make_translator(tmp_path, memory_gb=0.5 * needed / 1e9).together(draw(48, 64)) == 1
    assert make_translator(tmp_path, memory_gb=1.0, resize="change").together(draw(48, 64)) == 1


# Precision


def test_fp32_is_within_a_level_of_torchs_own_layers_in_double(tmp_path: Path) -> None:
    translator = make_translator(tmp_path, architecture=Architecture(blocks=2, channels=8))
    pixels = draw(40, 48)
    with torch.inference_mode():
        exact = make_generator(Architecture(blocks=2, channels=8), "a2b").double().eval()
        exact.load_state_dict(translator._generator.state_dict())
        x: torch.Tensor = to_tensor(pixels, CPU).double()
        for layer in exact.model:
            x = layer(x)
    levels = x.tanh()[0].add(1).mul(127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(translator.translate("a", pixels) - levels).max() <= 1


def test_weights_of_a_narrower_precision_are_made_once_and_give_what_autocast_gives(tmp_path: Path) -> None:
    for norm in ("instance", "batch"):
        architecture = Architecture(blocks=2, channels=8, norm=norm)
        translator = make_translator(tmp_path, architecture=architecture, precision="bf16")
        pixels = draw(40, 48)
        result = translator.translate("a", pixels)
        narrow = translator._generator_in("bf16")
        translator.translate("a", pixels)
        assert translator._generator_in("bf16") is narrow and narrow.model[1].weight.dtype == torch.bfloat16
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            x = to_tensor(pixels, CPU).contiguous(memory_format=torch.channels_last)
            expected = translator._generator(x)[0].add(1).mul(127.5).round().permute(1, 2, 0).numpy()
        assert np.array_equal(result, expected)
