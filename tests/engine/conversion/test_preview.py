"""One picture in several sizes, to be compared before a batch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import convert
from engine.config import ConvertJob, TrainConfig
from engine.conversion import translator
from engine.conversion.model_file import write_model
from engine.conversion.preview import PreviewEvent, SizeFailed, SizePreview, preview_sizes
from engine.errors import ModelFileError, PictureError
from engine.events import Converted, Preparing
from engine.model.generator import init_weights, make_generator


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model for A to B, trained at 32 px, whose changes are easily seen."""

    def make(*, long_skip: bool = True) -> Path:
        config = TrainConfig(
            folder_A=tmp_path,
            folder_B=tmp_path,
            run=tmp_path,
            size=32,
            load_size=32,
            blocks=1,
            channels=4,
            long_skip=long_skip,
        )
        generator = make_generator(config.architecture, "a2b")
        init_weights(generator, torch.Generator().manual_seed(1), gain=0.2)
        path = tmp_path / "model.safetensors"
        write_model(path, {"a2b": generator}, config, steps=1)
        return path

    return make


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Noise of 96 x 64 pixels."""
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(path)
    return path


def previews(events: list[PreviewEvent]) -> list[SizePreview]:
    return [event for event in events if isinstance(event, SizePreview)]


def test_the_quickest_comes_first_and_each_tells_its_own_size(make_model, picture) -> None:
    events = list(
        preview_sizes(
            make_model(), "a2b", picture, ways=(None, "training", "change", 48), device="cpu", longest_shown=40
        )
    )
    made = previews(events)
    assert [event.way for event in made] == ["training", "change", 48, None]
    assert [event.size for event in made] == [(32, 21), (96, 64), (48, 32), (96, 64)]
    assert [event.pixels.shape for event in made] == [(21, 32, 3), (27, 40, 3), (27, 40, 3), (27, 40, 3)]
    assert all(event.pixels.dtype == np.uint8 and event.seconds > 0 for event in made)
    counts = [(event.done, event.total) for event in events if isinstance(event, Preparing) and event.total]
    assert counts == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_what_is_shown_is_what_the_conversion_writes(make_model, picture, tmp_path, monkeypatch) -> None:
    # Each would measure which one is faster, and a busy machine may tell them differently.
    monkeypatch.setattr(translator, "choose_precision", lambda *_: "fp32")
    model = make_model()
    ways = (None, "training", "change")
    events = preview_sizes(model, "a2b", picture, ways=ways, device="cpu", longest_shown=4000)
    shown = {event.way: event.pixels for event in previews(list(events))}
    for way in ways:
        job = ConvertJob(
            model=model, sources=(picture,), to=tmp_path / str(way), direction="a2b", device="cpu", resize=way
        )
        (converted,) = (event for event in convert(job) if isinstance(event, Converted))
        written = np.asarray(Image.open(converted.target).convert("RGB"))
        np.testing.assert_array_equal(shown[way], written)
    assert np.abs(shown[None].astype(int) - shown["change"]).mean() > 1, "The sizes differ to be worth comparing."


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "L", "P"])
def test_every_kind_of_picture_is_shown_in_eight_bits_and_colour(make_model, tmp_path, mode) -> None:
    path = tmp_path / "source.png"
    if mode == "I;16":
        Image.fromarray(np.full((40, 50), 40_000, np.uint16)).save(path)
    else:
        Image.new(mode, (50, 40), 120 if mode in "LP" else (120, 90, 60, 128)).save(path)
    (made,) = previews(list(preview_sizes(make_model(), "a2b", path, ways=(None,), device="cpu")))
    assert made.pixels.shape == (40, 50, 3) and made.pixels.dtype == np.uint8
    assert made.size == (50, 40)


def test_a_size_that_cannot_be_had_says_so_and_the_others_come(make_model, picture) -> None:
    events = list(preview_sizes(make_model(long_skip=False), "a2b", picture, ways=("change", "training"), device="cpu"))
    (failed,) = (event for event in events if isinstance(event, SizeFailed))
    assert failed.way == "change" and "long skip" in failed.reason
    assert [event.way for event in previews(events)] == ["training"]


def test_too_little_memory_is_said_in_a_sentence(make_model, picture) -> None:
    events = list(preview_sizes(make_model(), "a2b", picture, ways=(None,), device="cpu", memory_gb=1e-6))
    (failed,) = (event for event in events if isinstance(event, SizeFailed))
    assert "noise.png" in failed.reason


def test_what_a_tick_raises_ends_it_in_the_middle_and_leaves_the_threads_as_they_were(make_model, picture) -> None:
    class StopNowError(Exception):
        pass

    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            raise StopNowError

    threads = torch.get_num_threads()
    seen: list[PreviewEvent] = []
    with pytest.raises(StopNowError):
        seen.extend(preview_sizes(make_model(), "a2b", picture, ways=(None,), device="cpu", tick=tick))
    assert ticks == 3 and not previews(seen)
    assert torch.get_num_threads() == threads


def test_what_cannot_be_used_at_all_is_an_error(make_model, picture, tmp_path) -> None:
    model = make_model()
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"bad\.jpg"):
        list(preview_sizes(model, "a2b", tmp_path / "bad.jpg", ways=(None,), device="cpu"))
    with pytest.raises(PictureError):
        list(preview_sizes(model, "a2b", tmp_path / "gone.jpg", ways=(None,), device="cpu"))
    with pytest.raises(ModelFileError):
        list(preview_sizes(model, "b2a", picture, ways=(None,), device="cpu"))


def test_its_events_can_be_known_without_torch() -> None:
    code = "import engine.conversion.preview, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
