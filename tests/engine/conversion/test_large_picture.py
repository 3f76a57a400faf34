"""A picture larger than memory is translated as if memory were endless, keeps its ceiling and leaves no files."""

from __future__ import annotations

import errno
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from engine.conversion import large_picture
from engine.conversion.large_picture import CeilingTooLowError, SpillSpaceError, needed_memory, translate_streamed
from engine.conversion.strips import Stored
from engine.data.source_file import Pixels
from engine.device import ChosenPrecision, autocast
from engine.model.architecture import Architecture
from engine.model.generator import AnyGenerator, init_weights, make_generator
from engine.model.picture_tensors import to_picture, to_tensor

CPU = torch.device("cpu")

ENOUGH = 1_000_000_000
"""A ceiling that nothing here comes near."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """On a busy machine a second thread makes tiny networks many times slower."""
    torch.set_num_threads(1)


def small(**values: Any) -> Architecture:
    return Architecture(**{"blocks": 2, "halvings": 5, "channels": 4, **values})


def made(architecture: Architecture) -> AnyGenerator:
    """With weights that let every layer matter."""
    generator = make_generator(architecture, "a2b").eval()
    random = torch.Generator().manual_seed(3)
    init_weights(generator, random, "xavier", 1.0)
    for layer in generator.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(generator=random)
            layer.running_var.uniform_(0.5, 2.0, generator=random)
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, 0.0, 0.2, generator=random)
    return generator


def picture(height: int, width: int, *, deep: bool = False) -> Pixels:
    random = np.random.default_rng((height, width))
    if deep:
        return random.integers(0, 65536, (height, width, 3), dtype=np.uint16)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def streamed(
    generator: AnyGenerator,
    pixels: Pixels,
    spill: Path,
    *,
    memory: int = ENOUGH,
    precision: ChosenPrecision = "fp32",
    grey: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> Pixels:
    return translate_streamed(
        generator, pixels, device=CPU, precision=precision, grey=grey, memory=memory, spill=spill, tick=tick
    )


def whole(
    generator: AnyGenerator, pixels: Pixels, multiple: int, precision: ChosenPrecision = "fp32", *, grey: bool = False
) -> Pixels:
    """The ordinary way."""
    height, width = pixels.shape[:2]
    below, beside = (max(8, math.ceil(side / multiple) * multiple) - side for side in (height, width))
    padded = np.pad(pixels, ((0, below), (0, beside), (0, 0)), mode="edge")
    with torch.inference_mode(), autocast(CPU, precision):
        result = generator(to_tensor(padded, CPU, grey=grey))[..., :height, :width]
    return to_picture(result, bits=8 * pixels.dtype.itemsize)


def furthest(one: Pixels, other: Pixels) -> float:
    """The largest difference on the scale of [-1, 1]."""
    assert one.shape == other.shape and one.dtype == other.dtype
    return float(np.abs(one.astype(float) - other.astype(float)).max() * 2 / np.iinfo(one.dtype).max)


def least_ceiling(architecture: Architecture, pixels: Pixels, precision: ChosenPrecision = "fp32") -> int:
    return needed_memory(architecture, pixels.shape[1], pixels.shape[0], precision).least


RESNETS = [
    {},
    {"norm": "batch", "dropout": True},
    {"norm": "none", "long_skip": True},
    {"long_skip": True},
    {"resize_conv": True},
    {"resize_conv": True, "long_skip": True, "dropout": True},
    {"resize_conv": True, "norm": "none"},
    {"grey_A": True},
    {"grey_A": True, "long_skip": True},
    {"grey_B": True},
    {"grey_B": True, "long_skip": True, "norm": "batch"},
    {"grey_A": True, "grey_B": True},
]
UNETS = [
    {"generator": "unet"},
    {"generator": "unet", "norm": "batch", "dropout": True},
    {"generator": "unet", "norm": "none", "long_skip": True},
    {"generator": "unet", "halvings": 6, "dropout": True},
    {"generator": "unet", "grey_A": True, "long_skip": True},
    {"generator": "unet", "grey_B": True},
]


@pytest.mark.parametrize("values", RESNETS + UNETS, ids=lambda values: "-".join(map(str, values.values())) or "plain")
@pytest.mark.parametrize("size", [(61, 45), (5, 83), (70, 3)], ids=str)
def test_strips_give_what_the_whole_picture_gives(values: dict[str, Any], size: tuple[int, int], tmp_path: Path):
    architecture = small(**values)
    generator = made(architecture)
    pixels = picture(*size, deep=True)
    expected = whole(generator, pixels, architecture.multiple, grey=architecture.grey_A)
    lowest = least_ceiling(architecture, pixels)
    # Strips of one row, of a few rows, and of all rows.
    for memory in (lowest, lowest + 200_000, ENOUGH):
        result = streamed(generator, pixels, tmp_path, memory=memory, grey=architecture.grey_A)
        assert furthest(result, expected) < 1e-4
    assert np.ptp(expected) > 1000


def test_eight_bits_stay_eight_bits_and_differ_by_a_level_at_most(tmp_path: Path):
    architecture = small()
    generator = made(architecture)
    pixels = picture(50, 39)
    result = streamed(generator, pixels, tmp_path, memory=least_ceiling(architecture, pixels))
    assert result.dtype == np.uint8
    assert np.abs(result.astype(int) - whole(generator, pixels, 4)).max() <= 1


def test_the_smallest_pictures_are_enlarged_as_for_the_whole_way(tmp_path: Path):
    # Without instance norm, which makes noise of a single colour.
    generator = made(small(norm="none"))
    for size in ((1, 1), (1, 9), (2, 1)):
        pixels = picture(*size, deep=True)
        assert furthest(streamed(generator, pixels, tmp_path), whole(generator, pixels, 4)) < 1e-4


@pytest.mark.parametrize("values", [{}, {"resize_conv": True, "long_skip": True}, {"norm": "batch"}], ids=str)
def test_bf16_is_as_close_to_fp32_as_the_whole_way_is(values: dict[str, Any], tmp_path: Path):
    architecture = small(channels=8, **values)
    generator = made(architecture)
    pixels = picture(64, 52, deep=True)
    exact = whole(generator, pixels, 4).astype(float)
    ordinary, strips = (
        np.abs(result - exact)
        for result in (whole(generator, pixels, 4, "bf16"), streamed(generator, pixels, tmp_path, precision="bf16"))
    )
    assert ordinary.mean() > 0
    assert strips.mean() < 1.1 * ordinary.mean()
    assert strips.max() < 1.5 * ordinary.max()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_ceiling_changes_no_pixel(precision: ChosenPrecision, tmp_path: Path):
    architecture = small(channels=8)
    generator = made(architecture)
    pixels = picture(80, 64, deep=True)
    lowest = least_ceiling(architecture, pixels, precision)
    results = [
        streamed(generator, pixels, tmp_path, memory=memory, precision=precision)
        for memory in (lowest, lowest + 500_000, ENOUGH)
    ]
    for result in results[:-1]:
        assert furthest(result, results[-1]) < (1e-5 if precision == "fp32" else 0.02)


@pytest.mark.parametrize(("precision", "threads"), [("fp32", 1), ("bf16", 2)])
def test_a_large_picture_takes_every_core_in_bf16_which_leaves_its_result_as_it_was(
    precision: ChosenPrecision, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    generator = made(small(channels=8))
    pixels = picture(80, 64, deep=True)
    expected = streamed(generator, pixels, tmp_path, precision=precision)
    monkeypatch.setattr(large_picture, "_ALL_THREADS_FROM_PIXELS", 0)
    monkeypatch.setattr(large_picture, "all_threads", lambda: 2)
    seen = set()
    result = streamed(generator, pixels, tmp_path, precision=precision, tick=lambda: seen.add(torch.get_num_threads()))
    assert seen == {threads}
    assert torch.get_num_threads() == 1
    # Not to the bit on every processor there is.
    assert furthest(result, expected) < (1e-5 if precision == "fp32" else 0.02)


def test_a_picture_that_is_mapped_from_a_file_is_taken_as_it_is(tmp_path: Path):
    generator = made(small())
    pixels = picture(33, 47)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert np.array_equal(streamed(generator, mapped, tmp_path), streamed(generator, pixels, tmp_path))


# Memory


class LiveTensors(TorchDispatchMode):
    """Adds up the memory of the tensors that live at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._seen = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._seen[leaf] = True
        held = {}
        for tensor in self._seen:
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
        self.most = max(self.most, sum(held.values()))
        return result


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "values",
    [{}, {"resize_conv": True, "long_skip": True}, {"norm": "none"}, {"generator": "unet"}],
    ids=lambda values: "-".join(map(str, values.values())) or "plain",
)
def test_what_lives_at_once_stays_under_the_ceiling(
    values: dict[str, Any], precision: ChosenPrecision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Tensors alone are counted here, and pieces of statistics.
    monkeypatch.setattr(large_picture, "_HEAP_FACTOR", 1)
    monkeypatch.setattr(large_picture, "_LIBRARY_BYTES", 600_000)
    needed_memory.cache_clear()
    architecture = small(channels=8, blocks=1, **values)
    generator = made(architecture)
    # One strip a row, then strips that fill the ceiling alone, then stored features that fill it with them.
    for height, width, share in ((64, 160, 0.0), (64, 160, 0.5), (192, 320, 2.0)):
        pixels = picture(height, width)
        needed = needed_memory(architecture, width, height, precision)
        memory = needed.least + int(share * needed.stored)
        with LiveTensors() as live:
            streamed(generator, pixels, tmp_path, memory=memory, precision=precision)
        assert live.most <= memory
    needed_memory.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak memory")
def test_the_whole_process_stays_under_the_ceiling(tmp_path: Path):
    script = f"""
from pathlib import Path
import numpy as np, torch
from engine.conversion.large_picture import needed_memory, translate_streamed
from engine.model.architecture import Architecture
from engine.model.generator import make_generator
def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
torch.set_num_threads(1)
architecture = Architecture(blocks=1, channels=16, resize_conv=True)
generator = make_generator(architecture, "a2b").eval()
def run(pixels):
    return translate_streamed(generator, pixels, device=torch.device("cpu"), precision="fp32", grey=False,
        memory=250_000_000, spill=Path({str(tmp_path)!r}), tick=lambda: None)
run(np.zeros((16, 16, 3), np.uint8))
pixels = np.random.default_rng(0).integers(0, 256, (1600, 1000, 3), dtype=np.uint8)
needed = needed_memory(architecture, 1000, 1600, "fp32")
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
result = run(pixels)
print(status("VmHWM") - before - result.nbytes, needed.least, needed.whole)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, stdout=subprocess.PIPE)
    peak, least, needed_whole = map(int, done.stdout.split())
    assert least < 250_000_000 < needed_whole
    assert peak < 250_000_000


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("channels", [8, 32, 64])
def test_patches_of_a_gpu_are_part_of_what_a_whole_picture_needs(channels: int, precision: ChosenPrecision):
    architecture = small(channels=channels, blocks=1)
    pixels, bytes_each = 320 * 160, {"fp32": 4, "bf16": 2}[precision]
    needed = needed_memory(architecture, 320, 160, precision, on_gpu=True).whole
    # 7 x 7 of 3 channels, filled up to eights, the features beside them, and the picture and its result.
    assert needed >= pixels * bytes_each * (152 + channels + 6)
    elsewhere = needed_memory(architecture, 320, 160, precision).whole
    assert needed == elsewhere if channels == 64 else needed >= elsewhere
    # 4 x 4 of stride 2, a quarter as many patches as pixels: nothing against a U-Net's features.
    unet = small(channels=64, generator="unet")
    assert needed_memory(unet, 256, 256, precision, on_gpu=True).whole == needed_memory(unet, 256, 256, precision).whole


def test_what_is_needed_is_known_before_the_start():
    architecture = small(channels=64, blocks=9)
    needed = needed_memory(architecture, 12_000, 8_000, "bf16")
    # Two features of 256 channels at a quarter of each side, 2 bytes a value.
    assert needed.stored == 2 * 256 * 3_000 * 2_000 * 2
    assert needed.least < 500_000_000 < 10_000_000_000 < needed.whole
    assert needed.disk(100_000_000_000) == 0
    assert needed.disk(needed.least) == needed.stored
    assert needed_memory(architecture, 12_000, 8_000, "fp32").stored == 2 * needed.stored
    # What streaming needs grows with the width alone.
    assert needed_memory(architecture, 12_000, 80_000, "bf16").least == needed.least


def test_a_ceiling_too_low_is_refused_with_numbers(tmp_path: Path):
    architecture = small()
    pixels = picture(40, 40)
    lowest = least_ceiling(architecture, pixels)
    ticks: list[int] = []
    with pytest.raises(CeilingTooLowError) as caught:
        streamed(made(architecture), pixels, tmp_path, memory=lowest - 1, tick=lambda: ticks.append(1))
    assert isinstance(caught.value, MemoryError)
    assert (caught.value.needed, caught.value.ceiling, ticks) == (lowest, lowest - 1, [])


# Disk


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every file that is opened to spill into."""
    opened: list[Any] = []
    keep_in_file = Stored.keep_in_file

    def keep(self: Stored, folder: Path) -> None:
        keep_in_file(self, folder)
        opened.append(self._file)

    monkeypatch.setattr(Stored, "keep_in_file", keep)
    return opened


def test_files_are_used_under_a_low_ceiling_only_and_are_gone_afterwards(tmp_path: Path, files: list[Any]):
    architecture = small()
    generator = made(architecture)
    pixels = picture(60, 60)
    streamed(generator, pixels, tmp_path, memory=ENOUGH)
    assert files == []
    streamed(generator, pixels, tmp_path, memory=least_ceiling(architecture, pixels))
    assert len(files) == 2
    assert all(file.closed for file in files)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_full_is_refused_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[Any]):
    architecture = small()
    pixels = picture(60, 60)
    needed = needed_memory(architecture, 60, 60, "fp32")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, needed.stored - 1))
    with pytest.raises(SpillSpaceError) as caught:
        streamed(made(architecture), pixels, tmp_path, memory=needed.least)
    assert caught.value.errno == errno.ENOSPC
    assert (caught.value.needed, caught.value.free) == (needed.stored, needed.stored - 1)
    assert files == []


class StoppedError(Exception):
    pass


def test_a_tick_that_raises_stops_at_once_and_leaves_nothing(tmp_path: Path, files: list[Any]):
    architecture = small()
    generator = made(architecture)
    pixels = picture(60, 60)
    ticks: list[int] = []
    streamed(generator, pixels, tmp_path, memory=least_ceiling(architecture, pixels), tick=lambda: ticks.append(1))
    for last in range(1, len(ticks), max(1, len(ticks) // 12)):
        count = 0

        def tick(last: int = last) -> None:
            nonlocal count
            count += 1
            if count == last:
                raise StoppedError

        with pytest.raises(StoppedError):
            streamed(generator, pixels, tmp_path, memory=least_ceiling(architecture, pixels), tick=tick)
        assert count == last
    assert len(files) > 10 and all(file.closed for file in files)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed in another way there")
def test_a_killed_process_leaves_no_file(tmp_path: Path):
    script = f"""
import os, signal
from pathlib import Path
import numpy as np, torch
from engine.conversion.large_picture import needed_memory, translate_streamed
from engine.conversion.strips import Stored
from engine.model.architecture import Architecture
from engine.model.generator import make_generator
write = Stored.write
def write_and_die(self, start, strip):
    write(self, start, strip)
    if self._file is not None and os.fstat(self._file.fileno()).st_size:
        os.kill(os.getpid(), signal.SIGKILL)
Stored.write = write_and_die
architecture = Architecture(blocks=1, channels=4)
translate_streamed(make_generator(architecture, "a2b").eval(), np.zeros((60, 60, 3), np.uint8),
    device=torch.device("cpu"), precision="fp32", grey=False,
    memory=needed_memory(architecture, 60, 60, "fp32").least, spill=Path({str(tmp_path)!r}), tick=lambda: None)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_no_number_is_told(tmp_path: Path):
    generator = made(small())
    with torch.no_grad():
        next(generator.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError):
        streamed(generator, picture(20, 20), tmp_path)
