"""Whole folders are converted and mirrored, sources stay untouched, and one bad file stops nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from engine import convert
from engine.config import ConvertJob, Direction, TrainConfig
from engine.conversion import converter, file_work, plan
from engine.conversion import translator as translator_module
from engine.conversion.ledger import LEDGER_NAME, LOCK_NAME, Ledger
from engine.conversion.model_file import write_model
from engine.conversion.space import RESERVE_BYTES
from engine.conversion.translator import Translator
from engine.data.source_file import Pixels
from engine.data.workers import WorkerDiedError, Workers, WorkerTimeoutError
from engine.errors import ConfigError, DataError, EngineError, ModelFileError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    FilesFound,
    FileSkipped,
    Notice,
    Preparing,
    WaitingForSpace,
)
from engine.model.architecture import Architecture
from engine.model.generator import Generator, make_generator
from engine.ranks import Ranks

needs_permissions = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user"
)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a second thread makes tiny networks many times slower."""
    monkeypatch.setattr(converter, "all_threads", lambda: 1)


class InThreads:
    """Stands in for the processes, which would take half a second a test and see nothing of what a test replaces."""

    def __init__(self, count: int, time_limit: float) -> None:
        self._pool = ThreadPoolExecutor(count)

    def start(self) -> None:
        pass

    def submit(self, function: Callable[..., object], *args: object) -> Future[object]:
        return self._pool.submit(function, *args)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> InThreads:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture(autouse=True)
def _in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converter, "Workers", InThreads)


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch, _in_threads: None) -> None:
    """For tests that mean the real thing."""
    monkeypatch.setattr(converter, "Workers", Workers)


def tiny_generator() -> Generator:
    """Turns every picture into 90% of its contrast around grey: the long skip without a change."""
    generator = Generator(Architecture(blocks=1, channels=2, long_skip=True))
    with torch.no_grad():
        for weights in generator.parameters():
            weights.normal_(0.0, 0.02)
    generator.start_as_identity()
    return generator


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose b2a gives black pictures."""
    G_AB, G_BA = tiny_generator(), tiny_generator()
    last = G_BA.model[-1]
    with torch.no_grad():
        last.bias.fill_(-9.0)
    config = TrainConfig(
        folder_A=tmp_path,
        folder_B=tmp_path,
        run=tmp_path,
        name_A="Reds",
        name_B="Blues",
        size=32,
        load_size=32,
        blocks=1,
        channels=2,
        long_skip=True,
    )
    path = tmp_path / "model.safetensors"
    write_model(path, {"a2b": G_AB, "b2a": G_BA}, config, steps=1)
    return path


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Callable[..., list[ConvertEvent]]:
    """Converts to `out` on the CPU in fp32 and gives back the events."""

    def convert_all(*sources: Path, **values: object) -> list[ConvertEvent]:
        return list(convert(make_job(model, tmp_path, *sources, **values)))

    return convert_all


def make_job(model: Path, tmp_path: Path, *sources: Path, **values: object) -> ConvertJob:
    defaults: dict[str, object] = {
        "model": model,
        "sources": sources,
        "to": tmp_path / "out",
        "direction": "a2b",
        "device": "cpu",
        "precision": "fp32",
    }
    return ConvertJob(**{**defaults, **values})


def draw(path: Path, size: tuple[int, int] = (20, 14), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4])
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def tree(folder: Path) -> list[str]:
    """Every file but the ledger and its lock: what is left of an unfinished one shows."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in files if name not in (LEDGER_NAME, LOCK_NAME)]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns) for name in tree(folder)}


def of_kind(events: list[ConvertEvent], kind: type) -> list[ConvertEvent]:
    return [event for event in events if isinstance(event, kind)]


def expected(pixels: np.ndarray) -> np.ndarray:
    return np.rint((0.9 * (pixels / 127.5 - 1) + 1) * 127.5).astype(int)


# What comes out


def test_a_folder_is_mirrored_and_every_picture_is_translated_at_its_own_size(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    source = tmp_path / "in"
    for name in ("a.png", "sub/b.png", "sub/deep/c.png", "2.png", "10.png"):
        draw(source / name)
    (source / "notes.txt").write_text("no picture")
    before = contents(source)
    events = run(source)
    assert tree(tmp_path / "out") == ["10.png", "2.png", "a.png", "sub/b.png", "sub/deep/c.png"]
    for name in tree(tmp_path / "out"):
        was, now = (np.asarray(Image.open(folder / name)) for folder in (source, tmp_path / "out"))
        assert np.abs(expected(was) - now).max() <= 1
    assert contents(source) == before
    planned = of_kind(events, ConvertPlanned)[0]
    assert [path.name for path in planned.sources] == ["2.png", "10.png", "a.png", "b.png", "c.png"]
    assert planned.other_files == 1
    assert (planned.to, planned.precision) == (tmp_path / "out", "fp32")
    finished = events[-1]
    assert isinstance(finished, ConvertFinished)
    assert (finished.converted, finished.failed, finished.other_files) == (5, 0, 1)


def test_events_come_in_order_and_name_source_and_target(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    for number in range(7):
        draw(tmp_path / "in" / f"{number}.png")
    events = run(tmp_path / "in")
    kinds = [type(event) for event in events]
    assert kinds[0] is Preparing
    assert kinds.index(ConvertPlanned) < kinds.index(ConvertingFile)
    for kind in (ConvertingFile, Converted):
        assert [event.index for event in of_kind(events, kind)] == list(range(7))
    for done in of_kind(events, Converted):
        assert done.target == tmp_path / "out" / done.source.name
        begun = next(e for e in events if isinstance(e, ConvertingFile) and e.index == done.index)
        assert events.index(begun) < events.index(done)
        assert done.seconds > 0


def test_the_direction_chooses_the_generator(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    picture = draw(tmp_path / "a.png")
    run(picture, direction="b2a")
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).max() == 0


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (3, 500), (500, 3), (8, 8), (9, 12), (33, 41)])
def test_odd_sizes_keep_their_size(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], size: tuple[int, int]
) -> None:
    picture = draw(tmp_path / "a.png", size)
    run(picture)
    was, now = (np.asarray(Image.open(path)) for path in (picture, tmp_path / "out" / "a.png"))
    assert now.shape == was.shape
    assert np.abs(expected(was) - now).max() <= 1


def test_two_folders_get_subfolders_also_when_they_share_a_name(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    sources = [tmp_path / name for name in ("x/pictures", "y/Pictures", "z/pears")]
    for source in sources:
        draw(source / "sub" / "a.png")
    draw(tmp_path / "single.png")
    run(*sources, tmp_path / "single.png")
    assert tree(tmp_path / "out") == [
        "Pictures (2)/sub/a.png",
        "pears/sub/a.png",
        "pictures/sub/a.png",
        "single.png",
    ]


def test_files_below_a_root_keep_their_subfolder(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    files = [draw(tmp_path / name) for name in ("one/sub/a.png", "one/b.png", "two/c.png", "loose/d.png")]
    run(*files[:2], files[3], roots=(tmp_path / "one",))
    assert tree(tmp_path / "out") == ["b.png", "d.png", "sub/a.png"]
    shutil.rmtree(tmp_path / "out")
    run(*files, roots=(tmp_path / "one", tmp_path / "two"))
    assert tree(tmp_path / "out") == ["d.png", "one/b.png", "one/sub/a.png", "two/c.png"]


def test_a_picture_given_twice_is_converted_once(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    picture = draw(tmp_path / "in" / "a.png")
    events = run(picture, tmp_path / "in", picture.parent / ".." / "in" / "a.png", tmp_path / "in")
    assert len(of_kind(events, Converted)) == 1
    assert tree(tmp_path / "out") == ["a.png"]


def test_nothing_is_overwritten_unless_asked_for(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"precious")
    run(tmp_path / "in")
    events = run(tmp_path / "in", again=True)
    assert (tmp_path / "out" / "a.png").read_bytes() == b"precious"
    assert tree(tmp_path / "out") == ["a (1).png", "a (2).png", "a.png"]
    done = of_kind(events, Converted)[0]
    assert isinstance(done, Converted)
    assert done.target.name == "a (2).png"


def test_results_that_differ_in_their_ending_only_do_not_collide(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    for name in ("a.bmp", "a.jpg", "a.png"):
        draw(tmp_path / "in" / name)
    events = run(tmp_path / "in", format="png")
    names = [(event.source.name, event.target.name) for event in events if isinstance(event, Converted)]
    assert names == [("a.bmp", "a.png"), ("a.jpg", "a (1).png"), ("a.png", "a (2).png")]


def test_formats_that_cannot_be_written_become_png_and_say_so(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    draw(tmp_path / "in" / "a.ppm")
    done = of_kind(run(tmp_path / "in"), Converted)[0]
    assert isinstance(done, Converted)
    assert done.target.name == "a.png"
    assert "Saved as PNG" in done.notes[0]


def test_exif_profile_orientation_and_transparency_are_kept(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Somebody"
    image = Image.new("RGBA", (20, 10), (200, 100, 50, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    (tmp_path / "in").mkdir()
    image.save(tmp_path / "in" / "a.png", exif=exif)
    run(tmp_path / "in")
    result = Image.open(tmp_path / "out" / "a.png")
    assert result.mode == "RGBA"
    assert result.size == (10, 20)
    assert result.getpixel((9, 0))[3] == 0
    assert result.getexif()[ExifTags.Base.Artist] == "Somebody"
    assert result.getexif()[ExifTags.Base.Orientation] == 1


@pytest.mark.parametrize(
    ("resize", "size"), [(None, (80, 40)), ("training", (32, 16)), (60, (60, 30)), (500, (80, 40))]
)
def test_resizing_scales_the_longest_side_down(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], resize: object, size: tuple[int, int]
) -> None:
    run(draw(tmp_path / "a.png", (80, 40)), resize=resize)
    with Image.open(tmp_path / "out" / "a.png") as result:
        assert result.size == size


def write_unusual(
    path: Path, tmp_path: Path, directions: tuple[Direction, ...] = ("a2b", "b2a"), **values: object
) -> Path:
    """A model whose generators have the long skip and change nothing."""
    config = TrainConfig(
        **{"folder_A": tmp_path, "folder_B": tmp_path, "run": tmp_path, "size": 64, "load_size": 64, "channels": 2,
           "blocks": 1, "long_skip": True, **values}
    )  # fmt: skip
    generators = {direction: make_generator(config.architecture, direction) for direction in directions}
    for generator in generators.values():
        generator.start_as_identity()
    write_model(path, generators, config, steps=1)
    return path


@pytest.mark.parametrize("size", [(1, 1), (20, 14), (64, 64), (65, 33)])
def test_a_u_net_gets_the_sides_that_it_needs_and_the_result_its_own(tmp_path: Path, size: tuple[int, int]) -> None:
    model = write_unusual(tmp_path / "unet.safetensors", tmp_path, generator="unet", halvings=6)
    picture = draw(tmp_path / "a.png", size)
    events = list(convert(make_job(model, tmp_path, picture)))
    assert len(of_kind(events, Converted)) == 1
    was, now = (np.asarray(Image.open(path)) for path in (picture, tmp_path / "out" / "a.png"))
    assert now.shape == was.shape
    assert np.abs(expected(was) - now).max() <= 1


@pytest.mark.parametrize(("grey_A", "grey_B"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("direction", ["a2b", "b2a"])
def test_grey_domains_take_luma_and_results_of_grey_ones_have_one_channel(
    tmp_path: Path, grey_A: bool, grey_B: bool, direction: Direction
) -> None:
    model = write_unusual(tmp_path / "grey.safetensors", tmp_path, grey_A=grey_A, grey_B=grey_B)
    picture = draw(tmp_path / "a.png")
    list(convert(make_job(model, tmp_path, picture, direction=direction)))
    now = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    to_grey = grey_B if direction == "a2b" else grey_A
    assert now.shape == ((14, 20) if to_grey else (14, 20, 3))
    now = now.reshape(14, 20, -1)
    assert (now == now[..., :1]).all()  # Either side is grey, and these generators change nothing.
    with Image.open(picture) as source:
        luma, mean = np.asarray(source.convert("L")), np.asarray(source).mean(-1)
    of_source = grey_A if direction == "a2b" else grey_B
    assert np.abs(expected(luma if of_source else mean) - now[..., 0]).max() <= 1


def test_a_video_is_refused_politely_and_the_rest_goes_on(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"frames")
    events = run(tmp_path / "film.mp4", draw(tmp_path / "a.png"))
    assert "film.mp4 is a video" in of_kind(events, FileFailed)[0].reason
    assert tree(tmp_path / "out") == ["a.png"]


def test_a_direction_that_the_model_does_not_have_is_a_sentence(tmp_path: Path) -> None:
    model = write_unusual(tmp_path / "one.safetensors", tmp_path, ("b2a",), name_A="Reds", name_B="Blues")
    picture = draw(tmp_path / "a.png")
    with pytest.raises(ModelFileError, match=r"cannot convert Reds to Blues.*Blues to Reds \(b2a\)"):
        list(convert(make_job(model, tmp_path, picture)))
    assert not (tmp_path / "out").exists()
    assert len(of_kind(list(convert(make_job(model, tmp_path, picture, direction="b2a"))), Converted)) == 1


# What a file may hold


def test_every_frame_of_an_animation_is_converted_and_keeps_its_time(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], in_processes: None
) -> None:
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]
    images = [Image.new("RGB", (24, 18), colour) for colour in colours]
    images[0].save(
        tmp_path / "a.png", save_all=True, append_images=images[1:], duration=[100, 250, 400], default_image=False
    )
    done = of_kind(run(tmp_path / "a.png"), Converted)[0]
    with Image.open(done.target) as result:
        assert result.n_frames == 3
        for number, colour in enumerate(colours):
            result.seek(number)
            assert result.info["duration"] == [100, 250, 400][number]
            assert np.abs(expected(np.array(colour)) - result.convert("RGB").getpixel((5, 5))).max() <= 1
    assert tree(tmp_path / "out") == ["a.png"]
    done = of_kind(run(tmp_path / "a.png", frames="first"), Converted)[0]
    assert done.notes == ("Only the first of 3 frames was converted.",)
    with Image.open(done.target) as result:
        assert getattr(result, "n_frames", 1) == 1


@pytest.mark.parametrize("resize", [None, "training"])
def test_pages_keep_their_own_sizes_and_transparency(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], resize: object
) -> None:
    pages = [Image.new("RGBA", size, (200, 100, 50, 255)) for size in ((64, 20), (20, 64), (8, 8))]
    pages[1].putpixel((3, 3), (0, 0, 0, 0))
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    done = of_kind(run(tmp_path / "a.tiff", resize=resize), Converted)[0]
    sizes = [(64, 20), (20, 64), (8, 8)] if resize is None else [(32, 10), (10, 32), (8, 8)]
    with Image.open(done.target) as result:
        found = []
        for number in range(result.n_frames):
            result.seek(number)
            found.append(result.size)
            pixel = result.convert("RGBA").getpixel((7, 7))
            assert np.abs(expected(np.array([200, 100, 50])) - pixel[:3]).max() <= 1
            if number == 1 and resize is None:
                assert result.convert("RGBA").getpixel((3, 3))[3] == 0
    assert found == sizes
    assert tree(tmp_path / "out") == ["a.tiff"]


def test_16_bits_in_are_16_bits_out(tmp_path: Path, run: Callable[..., list[ConvertEvent]], in_processes: None) -> None:
    ramp = np.linspace(0, 65535, 100 * 80).astype(np.uint16).reshape(80, 100)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    run(tmp_path / "a.png", precision="auto")
    data = (tmp_path / "out" / "a.png").read_bytes()
    assert data[24] == 16  # The bits of a channel in a PNG's heading.
    with Image.open(tmp_path / "out" / "a.png") as result:
        assert result.size == (100, 80)


def test_the_change_alone_keeps_the_size_and_says_what_models_have_none(
    model: Path, tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    picture = draw(tmp_path / "a.png", (200, 150))
    run(picture, resize="change")
    was, now = (np.asarray(Image.open(path)) for path in (picture, tmp_path / "out" / "a.png"))
    assert np.abs(expected(was) - now).max() <= 1
    plain = write_unusual(tmp_path / "plain.safetensors", tmp_path, long_skip=False)
    with pytest.raises(ConfigError, match="long skip") as failure:
        list(convert(make_job(plain, tmp_path, picture, resize="change", to=tmp_path / "other")))
    assert failure.value.field == "resize"
    assert not (tmp_path / "other").exists()


# Names


def test_the_model_of_a_training_is_known_by_the_trainings_name(model: Path, tmp_path: Path) -> None:
    training = tmp_path / "reds.v1"
    training.mkdir()
    shutil.copy(model, training / "model.safetensors")
    draw(tmp_path / "in" / "photo.png")
    for number, given in enumerate((training, training / "model.safetensors")):
        to = tmp_path / f"out{number}"
        events = list(convert(make_job(given, tmp_path, tmp_path / "in", to=to, name="{name} {model}")))
        assert isinstance(events[-1], ConvertFinished)
        assert (to / "photo reds.v1.png").exists()


def test_names_follow_the_template(model: Path, tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.jpg"):
        draw(tmp_path / "in" / name)
    model = model.rename(tmp_path / "colours.safetensors")
    list(convert(make_job(model, tmp_path, tmp_path / "in", name="{index} {name} {direction} {model}")))
    assert tree(tmp_path / "out") == ["0001 a Reds to Blues colours.png", "sub/0002 b Reds to Blues colours.jpg"]


def test_a_name_that_is_taken_is_skipped_before_any_work_where_that_is_asked_for(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"precious")
    read = []
    whole = converter.decode
    monkeypatch.setattr(converter, "decode", lambda *args: read.append(args[0].name) or whole(*args))
    events = run(tmp_path / "in", if_exists="skip")
    skipped = of_kind(events, FileSkipped)
    assert [(e.index, e.target, e.is_result) for e in skipped] == [(0, tmp_path / "out" / "a.png", False)]
    assert read == ["b.png"]
    assert (tmp_path / "out" / "a.png").read_bytes() == b"precious"
    assert tree(tmp_path / "out") == ["a.png", "b.png"]
    assert (events[-1].converted, events[-1].skipped, events[-1].failed) == (1, 1, 0)


@pytest.mark.parametrize("format", ["png", "jpg", "tiff", "keep"])
def test_what_is_there_already_is_skipped_unread_in_any_format(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    for name in ("a.png", "b.jpeg", "c.bmp", "c.jpg"):
        draw(tmp_path / "in" / name)
    run(tmp_path / "in", format=format, if_exists="skip")
    before = contents(tmp_path / "out")
    monkeypatch.setattr(converter, "decode", lambda *args: pytest.fail("it was read"))
    events = run(tmp_path / "in", format=format, if_exists="skip", again=True)
    assert sorted(event.target.name for event in of_kind(events, FileSkipped)) == tree(tmp_path / "out")
    assert contents(tmp_path / "out") == before and len(before) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="makes a symbolic link")
@pytest.mark.parametrize("if_exists", ["rename", "skip", "overwrite"])
def test_two_names_that_the_disk_takes_for_one_are_two_results(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], if_exists: str
) -> None:
    for folder in ("Caf\u00e9", "cafe\u0301"):
        draw(tmp_path / "in" / folder / f"{len(folder)}.png").rename(tmp_path / "in" / folder / "a.png")
    if len(list((tmp_path / "in").iterdir())) < 2:
        pytest.skip("this disk takes them for one, too")
    (tmp_path / "out" / "Caf\u00e9").mkdir(parents=True)
    (tmp_path / "out" / "cafe\u0301").symlink_to("Caf\u00e9")  # Stands in for a disk that does so.
    events = run(tmp_path / "in", if_exists=if_exists)
    assert sorted(event.target.name for event in of_kind(events, Converted)) == ["a (1).png", "a.png"]
    for event in of_kind(events, Converted):
        was, now = (np.asarray(Image.open(path)) for path in (event.source, event.target))
        assert np.abs(expected(was) - now).max() <= 1
    again = run(tmp_path / "in", if_exists="overwrite", again=True)
    assert sorted(event.target.name for event in of_kind(again, Converted)) == ["a (1).png", "a.png"]


def test_a_name_that_turns_out_to_be_taken_is_skipped_then(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    draw(tmp_path / "in" / "a.ppm")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"precious")
    events = run(tmp_path / "in", if_exists="skip")
    assert [(e.index, e.target, e.is_result) for e in of_kind(events, FileSkipped)] == [
        (0, tmp_path / "out" / "a.png", False)
    ]
    assert tree(tmp_path / "out") == ["a.png"]
    assert (tmp_path / "out" / "a.png").read_bytes() == b"precious"


@pytest.mark.parametrize("if_exists", ["rename", "skip", "overwrite"])
def test_two_sources_with_one_name_for_their_results_both_have_one(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], if_exists: str
) -> None:
    for name in ("a.bmp", "a.jpg", "a.png"):
        draw(tmp_path / "in" / name)
    for again in (False, True):
        events = run(tmp_path / "in", format="png", if_exists=if_exists, again=again)
        if again and if_exists == "skip":
            assert len(of_kind(events, FileSkipped)) == 3
    names = ["a (1).png", "a (2).png", "a.png"]
    more = [f"a ({number}).png" for number in (3, 4, 5)] if if_exists == "rename" else []
    assert tree(tmp_path / "out") == sorted(names + more)
    by_name = {"a.png": "a.bmp", "a (1).png": "a.jpg", "a (2).png": "a.png"}
    for result, source in by_name.items():
        was, now = (np.asarray(Image.open(p)) for p in (tmp_path / "in" / source, tmp_path / "out" / result))
        assert np.abs(expected(was) - now).max() <= 1


def test_overwriting_replaces_what_is_there_but_never_a_source(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    sources = [draw(tmp_path / "in" / name) for name in ("a.png", "b.png", "c.png")]
    (out / "a.png").write_bytes(b"old")
    draw(out / "d.png")
    os.link(sources[0], out / "b.png")
    if sys.platform != "win32":
        (out / "c.png").symlink_to(sources[2])
    before = contents(tmp_path / "in")
    inside = (out / "d.png").read_bytes()
    events = run(*sources, out / "d.png", if_exists="overwrite")
    assert contents(tmp_path / "in") == before
    assert (out / "d.png").read_bytes() == inside
    done = {event.source.name: event for event in of_kind(events, Converted)}
    assert done["a.png"].target == out / "a.png" and done["a.png"].notes == ()
    assert size_of(out / "a.png") == (20, 14)
    for name in ("b", "c", "d") if sys.platform != "win32" else ("b", "d"):
        assert done[f"{name}.png"].target == out / f"{name} (1).png"
        other = "another picture of this batch, or its result" if name == "b" else "the picture itself"
        assert done[f"{name}.png"].notes == (f"Saved as {name} (1).png: {name}.png is {other}.",)
    assert (out / "b.png").samefile(sources[0])


# Doing only what is missing


def test_the_same_job_again_does_only_what_is_missing(
    model: Path, tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    for number in range(5):
        draw(tmp_path / "in" / f"{number}.png")
    run(tmp_path / "in")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "1.png").unlink()
    draw(tmp_path / "in" / "3.png", (30, 30))
    draw(tmp_path / "in" / "5.png")
    events = run(tmp_path / "in")
    assert [event.source.name for event in of_kind(events, Converted)] == ["1.png", "3.png", "5.png"]
    skipped = of_kind(events, FileSkipped)
    assert [(event.index, event.target.name, event.is_result) for event in skipped] == [
        (0, "0.png", True), (2, "2.png", True), (4, "4.png", True)
    ]  # fmt: skip
    assert "Converted before" in skipped[0].reason
    begun = [event.index for event in of_kind(events, ConvertingFile)]
    assert begun == [1, 3, 5]
    outcomes = [event.index for event in events if isinstance(event, Converted | FileSkipped)]
    assert outcomes == list(range(6))
    assert (events[-1].converted, events[-1].skipped) == (3, 3)
    assert tree(tmp_path / "out") == ["0.png", "1.png", "2.png", "3 (1).png", "3.png", "4.png", "5.png"]
    after = contents(tmp_path / "out")
    assert {name: after[name] for name in before if name != "1.png" and name[0] != "."} == {
        name: value for name, value in before.items() if name != "1.png" and name[0] != "."
    }


def test_looking_for_what_is_done_gives_chances_to_stop(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "_HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(Ledger, "result_of", lambda self, source: time.sleep(0.3))
    events = run(draw(tmp_path / "a.png"))
    assert len([e for e in of_kind(events, Preparing) if e.text == "Looking whether a.png is done already"]) > 3


def test_what_a_result_could_not_keep_is_told_again_when_it_is_skipped(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    draw(tmp_path / "in" / "a.png")
    clear = Image.open(tmp_path / "in" / "a.png").convert("RGBA")
    clear.putalpha(100)
    clear.save(tmp_path / "in" / "a.png")
    first, again = (run(tmp_path / "in", format="jpg") for _ in range(2))
    (converted,) = (event for event in first if isinstance(event, Converted))
    (skipped,) = (event for event in again if isinstance(event, FileSkipped))
    assert skipped.notes == converted.notes == ("JPEG cannot be transparent; transparent parts became white.",)


def test_a_large_picture_holds_up_no_result_before_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / "in" / name)
    told = threading.Event()
    translate = converter.Translator.translate

    def slow(self: converter.Translator, name: str, *args: object, **values: object) -> object:
        assert name == "a.png" or told.wait(30), "a.png was not told while b.png was at work"
        return translate(self, name, *args, **values)

    monkeypatch.setattr(converter.Translator, "translate", slow)
    for event in convert(make_job(model, tmp_path, tmp_path / "in")):
        if isinstance(event, Converted) and event.source.name == "a.png":
            told.set()
    assert tree(tmp_path / "out") == ["a.png", "b.png"]


def test_other_settings_or_another_model_convert_again(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    picture = draw(tmp_path / "a.png")
    run(picture)
    for change in ({"direction": "b2a"}, {"resize": 16}, {"again": True}, {"name": "{name} x"}):
        assert len(of_kind(run(picture, **change), Converted)) == 1
    assert len(of_kind(run(picture), FileSkipped)) == 1
    other = write_unusual(tmp_path / "other.safetensors", tmp_path)
    assert len(of_kind(list(convert(make_job(other, tmp_path, picture))), Converted)) == 1


def test_two_conversions_into_one_folder_at_once_are_refused(model: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    first = convert(make_job(model, tmp_path, tmp_path / "in"))
    while not isinstance(next(first), ConvertPlanned):
        pass
    with pytest.raises(DataError, match="Another window or command") as failure:
        list(convert(make_job(model, tmp_path, tmp_path / "in")))
    assert failure.value.field == "to"
    assert len(of_kind(list(first), Converted)) == 1


KILLED = """
import sys
from pathlib import Path
from engine.config import ConvertJob
from engine.conversion import converter
converter.all_threads = lambda: 1
model, source, to = map(Path, sys.argv[1:])
from engine import convert
job = ConvertJob(model=model, sources=(source,), to=to, direction="a2b", device="cpu", precision="fp32")
for event in convert(job):
    print(type(event).__name__, flush=True)
"""


def test_a_kill_leaves_whole_results_and_the_next_run_makes_what_is_missing_once(
    model: Path, tmp_path: Path, run: Callable[..., list[ConvertEvent]], in_processes: None
) -> None:
    for number in range(30):
        draw(tmp_path / "in" / f"{number}.png", (200, 100))
    arguments = [str(model), str(tmp_path / "in"), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(Path(converter.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        seen = 0
        while seen < 9:
            line = program.stdout.readline()
            assert line, "it ended too early"
            seen += line.strip() == "Converted"
        program.kill()
    results = [name for name in tree(tmp_path / "out") if name.endswith(".png")]
    assert 9 <= len(results) < 30
    for name in results:
        Image.open(tmp_path / "out" / name).load()
    before = contents(tmp_path / "out")
    events = run(tmp_path / "in")
    assert len(of_kind(events, FileSkipped)) == len(results)
    assert len(of_kind(events, Converted)) == 30 - len(results)
    assert tree(tmp_path / "out") == sorted(f"{number}.png" for number in range(30))
    after = contents(tmp_path / "out")
    assert all(after[name] == before[name] for name in results)


# Watching


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_LOOKING_SECONDS", 0.02)
    monkeypatch.setattr(plan, "_SETTLED_SECONDS", 0.05)
    monkeypatch.setattr(converter, "_HEARTBEAT_SECONDS", 0.01)


def watch(job: ConvertJob, steps: list[Callable[[], object]], outcomes: int, seconds: float = 60) -> list[ConvertEvent]:
    """Goes through the steps, one each time all is quiet, and stops after so many outcomes and a look around."""
    events: list[ConvertEvent] = []
    deadline = time.monotonic() + seconds
    work = convert(job)
    quiet = 0
    for event in work:
        assert time.monotonic() < deadline, "what was waited for never came"
        if isinstance(event, Preparing):
            quiet += event.text == "Watching for new pictures"
            if quiet >= 10 and steps:
                quiet = 0
                steps.pop(0)()
            elif quiet >= 20 and len([e for e in events if isinstance(e, Converted | FileFailed)]) >= outcomes:
                break
            continue
        quiet = 0
        events.append(event)
    work.close()
    return events


@pytest.mark.usefixtures("_hasty")
def test_pictures_that_come_while_watching_are_converted(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    draw(source / "a.png")
    steps = [
        lambda: draw(source / "b.png"),
        lambda: [draw(source / "sub" / "c.png"), (source / "no picture.txt").write_text("x")],
    ]
    events = watch(make_job(model, tmp_path, source, watch=True), steps, 3)
    assert [[path.name for path in event.sources] for event in of_kind(events, FilesFound)] == [["b.png"], ["c.png"]]
    assert [(event.index, event.source.name) for event in of_kind(events, Converted)] == [
        (0, "a.png"), (1, "b.png"), (2, "c.png")
    ]  # fmt: skip
    assert of_kind(events, ConvertFinished) == []
    assert tree(tmp_path / "out") == ["a.png", "b.png", "sub/c.png"]


@pytest.mark.usefixtures("_hasty")
def test_an_empty_folder_can_be_watched_and_a_file_alone_cannot(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    steps = [lambda: draw(tmp_path / "in" / "a.png")]
    events = watch(make_job(model, tmp_path, tmp_path / "in", watch=True), steps, 1)
    assert of_kind(events, ConvertPlanned)[0].sources == ()
    assert tree(tmp_path / "out") == ["a.png"]
    with pytest.raises(DataError, match="Watching needs a folder") as failure:
        list(convert(make_job(model, tmp_path, tmp_path / "in" / "a.png", watch=True)))
    assert failure.value.field == "sources"


@pytest.mark.usefixtures("_hasty")
def test_while_watching_a_bad_file_is_tried_again_only_when_it_has_changed(model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "in" / "a.png"
    bad.parent.mkdir()
    bad.write_bytes(b"bad")
    steps = [lambda: None, lambda: draw(bad)]
    events = watch(make_job(model, tmp_path, tmp_path / "in", watch=True), steps, 2)
    assert [(type(e), e.index) for e in events if isinstance(e, FileFailed | Converted)] == [
        (FileFailed, 0), (Converted, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(("if_exists", "names"), [("rename", ["a (1).png", "a.png"]), ("overwrite", ["a.png"])])
@pytest.mark.usefixtures("_hasty")
def test_while_watching_a_changed_picture_is_converted_anew(
    model: Path, tmp_path: Path, if_exists: str, names: list[str]
) -> None:
    picture = draw(tmp_path / "in" / "a.png")
    steps = [lambda: draw(picture, (40, 40))]
    watch(make_job(model, tmp_path, tmp_path / "in", watch=True, if_exists=if_exists), steps, 2)
    assert tree(tmp_path / "out") == names
    assert size_of(tmp_path / "out" / names[0]) == (40, 40)


def test_a_file_that_is_still_being_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    job = make_job(tmp_path / "m", tmp_path, tmp_path / "in", watch=True)
    now = 100.0
    monkeypatch.setattr(plan.time, "monotonic", lambda: now)

    def finished(work: object) -> object:
        try:
            while True:
                next(work)
        except StopIteration as end:
            return end.value

    folder_watch = plan.FolderWatch(job, finished(plan.make_plan(job)))

    def look() -> list[str]:
        return [task.source.name for task in finished(folder_watch.look())]

    file = tmp_path / "in" / "a.png"
    file.write_bytes(b"1")
    assert look() == []
    now += 1.9
    assert look() == []
    file.write_bytes(b"12")
    now += 0.2
    assert look() == []
    now += 1.9
    assert look() == []
    now += 0.2
    assert look() == ["a.png"]
    now += 10
    assert look() == []


# In processes


def test_in_processes_a_batch_with_bad_files_loses_nothing_but_these(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], in_processes: None, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    for number in range(12):
        draw(source / f"{number}.png", (40, 30))
    (source / "3.png").write_bytes(b"")
    (source / "7.png").write_bytes((source / "6.png").read_bytes()[:900])
    before = contents(source)
    events = run(source)
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["3.png", "7.png"]
    assert [e.index for e in events if isinstance(e, FileFailed | Converted)] == list(range(12))
    assert len(tree(tmp_path / "out")) == 10
    assert contents(source) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("converted", [1, 4])
def test_in_processes_a_stop_leaves_exactly_the_reported_results(
    model: Path, tmp_path: Path, in_processes: None, converted: int
) -> None:
    for number in range(8):
        draw(tmp_path / "in" / f"{number}.png")
    work = convert(make_job(model, tmp_path, tmp_path / "in"))
    reported: list[str] = []
    for event in work:
        if isinstance(event, Converted):
            reported.append(event.target.name)
            if len(reported) == converted:
                break
    work.close()
    assert tree(tmp_path / "out") == reported


# Several processes


@pytest.fixture
def be_rank(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Makes this process one of several that torchrun started, which does not wait for the others."""

    def be(rank: int, count: int) -> None:
        settings = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
        for name, value in {**settings, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(converter, "joined_ranks", lambda: nullcontext(Ranks()))

    return be


@pytest.mark.parametrize("count", [2, 3, 9])
def test_processes_share_the_pictures_and_each_is_converted_once(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], be_rank: Callable[[int, int], None], count: int
) -> None:
    source = tmp_path / "in"
    for number in range(7):
        draw(source / f"{number}.png")
    (source / "notes.txt").write_text("no picture")
    done: list[str] = []
    others = 0
    for rank in range(count):
        be_rank(rank, count)
        events = run(source)
        mine = [event.source.name for event in events if isinstance(event, Converted)]
        planned, finished = of_kind(events, ConvertPlanned)[0], events[-1]
        assert [path.name for path in planned.sources] == mine == [f"{n}.png" for n in range(rank, 7, count)]
        assert isinstance(finished, ConvertFinished) and finished.converted == len(mine)
        done += mine
        others += finished.other_files
    assert sorted(done) == [f"{number}.png" for number in range(7)] == tree(tmp_path / "out")
    assert others == 1


@pytest.mark.skipif(sys.platform == "win32", reason="PyTorch for Windows has no torchrun that works by itself")
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch knows no other processes")
def test_a_failure_in_one_process_does_not_end_the_others(model: Path, tmp_path: Path) -> None:
    """The first has nothing but bad pictures, and is done long before the second."""
    source = tmp_path / "in"
    good = [f"{number:02}.png" for number in range(1, 26, 2)]
    for number, name in enumerate(good):
        draw(source / name, (600, 600))
        (source / f"{2 * number:02}.png").write_bytes(b"bad")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--to", str(tmp_path / "out"), "--direction", "a2b", "--device", "cpu", "--precision", "fp32", "--json"]
    done = subprocess.run(
        [*torchrun, "-m", "engine", "convert", str(model), str(source), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 1
    assert tree(tmp_path / "out") == good
    events = [json.loads(line) for line in done.stdout.splitlines()]
    finished = [(event["converted"], event["failed"]) for event in events if event["event"] == "ConvertFinished"]
    assert sorted(finished) == [(0, len(good)), (len(good), 0)]


# What goes wrong with a picture


def test_a_bad_file_does_not_stop_the_batch(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    source = tmp_path / "in"
    for name in ("a.png", "c.png", "e.png"):
        draw(source / name)
    (source / "b.png").write_bytes(b"")
    draw(source / "d.jpg", (200, 200))
    (source / "d.jpg").write_bytes((source / "d.jpg").read_bytes()[:3000])
    events = run(source)
    failures = [(event.index, event.source.name) for event in events if isinstance(event, FileFailed)]
    assert failures == [(1, "b.png"), (3, "d.jpg")]
    assert "is empty" in events[events.index(next(e for e in events if isinstance(e, FileFailed)))].reason
    assert tree(tmp_path / "out") == ["a.png", "c.png", "e.png"]
    outcomes = [event.index for event in events if isinstance(event, Converted | FileFailed)]
    assert outcomes == [0, 1, 2, 3, 4]
    finished = events[-1]
    assert isinstance(finished, ConvertFinished)
    assert (finished.converted, finished.failed) == (3, 2)


def test_sources_that_are_not_there_fail_by_name_beside_good_ones(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    events = run(tmp_path / "gone.png", draw(tmp_path / "a.png"), tmp_path / "gone_too")
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["gone.png", "gone_too"]
    assert all("is not there" in e.reason for e in events if isinstance(e, FileFailed))
    assert tree(tmp_path / "out") == ["a.png"]


def test_a_source_that_vanishes_while_at_work_fails_by_name(model: Path, tmp_path: Path) -> None:
    for number in range(9):
        draw(tmp_path / "in" / f"{number}.png")
    events: list[ConvertEvent] = []
    for event in convert(make_job(model, tmp_path, tmp_path / "in")):
        events.append(event)
        if isinstance(event, ConvertPlanned):
            (tmp_path / "in" / "8.png").unlink()
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["8.png"]
    assert len(of_kind(events, Converted)) == 8


@needs_permissions
def test_a_subfolder_that_cannot_be_read_is_a_named_failure(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "locked").mkdir(mode=0)
    try:
        events = run(tmp_path / "in")
    finally:
        (tmp_path / "in" / "locked").chmod(0o700)
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["locked"]
    assert len(of_kind(events, Converted)) == 1


def test_a_picture_too_large_for_the_memory_is_refused_by_name_with_a_size_that_fits(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    draw(tmp_path / "in" / "large.png", (1800, 1600))
    draw(tmp_path / "in" / "small.png")
    events = run(tmp_path / "in", memory_gb=0.004)
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert failure.reason.startswith("large.png is too large: 1800 x 1600 pixels")
    assert tree(tmp_path / "out") == ["small.png"]
    fitting = failure.reason.rpartition("--resize ")[2].rstrip(").")
    again = run(tmp_path / "in" / "large.png", resize=int(fitting), memory_gb=0.004)
    assert len(of_kind(again, Converted)) == 1


def test_a_large_picture_is_decoded_when_all_before_it_are_written_and_looked_at_first(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "_free_memory", lambda: 32 * 12 * 400 * 300)
    for name in ("a.png", "b.png", "d.png"):
        draw(tmp_path / "in" / name)
    draw(tmp_path / "in" / "c.png", (500, 400))
    decoded: list[tuple[str, object]] = []
    whole = file_work.decode

    def decode(path: Path, frames: str, most: int, longest: int | None, memory: float | None, file: Path) -> object:
        if memory is None:
            decoded.append((path.name, tree(tmp_path / "out")))
        return whole(path, frames, most, longest, memory, file)

    monkeypatch.setattr(converter, "decode", decode)
    events = run(tmp_path / "in")
    assert [event.index for event in of_kind(events, Converted)] == [0, 1, 2, 3]
    assert decoded == [("c.png", ["a.png", "b.png"])]


def test_a_picture_too_large_to_decode_is_refused_unread(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "available_memory", lambda device: 1_000_000)
    monkeypatch.setattr(file_work, "fingerprint", lambda path: pytest.fail("it was read"))
    events = run(draw(tmp_path / "a.png", (400, 400)), resize=8)
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert "too large to open" in failure.reason


def test_pictures_above_the_ceiling_are_refused(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    draw(tmp_path / "in" / "a.png", (1200, 1000))
    draw(tmp_path / "in" / "b.png", (1000, 1000))
    events = run(tmp_path / "in", max_megapixels=1)
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["a.png"]
    assert tree(tmp_path / "out") == ["b.png"]


def test_running_out_of_memory_even_in_strips_fails_the_picture_and_the_batch_goes_on(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Generator.forward

    def fail_once(self: Generator, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] == 40:
            raise MemoryError
        return forward(self, x)

    def fail(*_: object, **__: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Generator, "forward", fail_once)
    monkeypatch.setattr(translator_module, "translate_streamed", fail)
    draw(tmp_path / "in" / "a.png", (40, 40))
    draw(tmp_path / "in" / "b.png")
    events = run(tmp_path / "in")
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["a.png"]
    assert "memory ran out" in next(e.reason for e in events if isinstance(e, FileFailed))
    assert tree(tmp_path / "out") == ["b.png"]


@pytest.mark.parametrize("step", ["decode", "write"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (WorkerTimeoutError("It took longer than 9 s."), "longer than 9 s .*--time-limit"),
        (WorkerDiedError("Its process ended."), "crashed, or ran out of memory"),
        (MemoryError(), "memory ran out for b.png"),
        (KeyError("missing"), r"fault of this program \(KeyError: 'missing'\)"),
    ],
)
def test_what_happens_to_the_process_of_a_picture_happens_to_that_picture_alone(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: Exception,
    words: str,
) -> None:
    whole = getattr(converter, step)

    def fail_for_b(*args: object) -> object:
        source = args[0] if step == "decode" else args[1].path
        if source.name == "b.png":
            raise error
        return whole(*args)

    monkeypatch.setattr(converter, step, fail_for_b)
    for name in ("a.png", "b.png", "c.png"):
        draw(tmp_path / "in" / name)
    events = run(tmp_path / "in", time_limit=9)
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert failure.source.name == "b.png" and "b.png" in failure.reason
    assert re.search(words, failure.reason)
    assert tree(tmp_path / "out") == ["a.png", "c.png"]


def test_processes_that_cannot_be_started_are_one_sentence_for_the_whole_job(
    model: Path, tmp_path: Path, in_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        draw(tmp_path / "in" / f"{number}.png")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    events: list[ConvertEvent] = []
    with pytest.raises(EngineError, match=r"No process could be started: .*/nowhere/python"):
        events.extend(convert(make_job(model, tmp_path, tmp_path / "in")))
    assert of_kind(events, FileFailed) == []
    assert tree(tmp_path / "out") == []


def test_a_bug_in_the_generator_is_not_hidden(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Generator, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Generator, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        run(draw(tmp_path / "a.png"))


def test_results_that_are_no_numbers_fail_the_picture(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Generator, "forward", lambda self, x: x * float("nan"))
    events = run(draw(tmp_path / "a.png"))
    assert "no valid result for a.png" in next(e.reason for e in events if isinstance(e, FileFailed))
    assert tree(tmp_path / "out") == []


# What cannot be begun


@pytest.mark.parametrize(
    ("field", "words"),
    [("empty", "no pictures"), ("texts", "but 1 other files"), ("gone", "is not there"), ("gone.png", "is not there")],
)
def test_nothing_to_convert_is_an_error_beside_the_sources(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], field: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    with pytest.raises(DataError, match=words) as failure:
        run(tmp_path / field)
    assert str(tmp_path / field) in str(failure.value)
    assert failure.value.field == "sources"
    assert not (tmp_path / "out").exists()


def test_an_output_folder_in_a_source_folder_is_refused(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    source = tmp_path / "in"
    picture = draw(source / "a.png")
    for to in (source, source / "out", tmp_path / "x" / ".." / "in" / "out"):
        for sources, roots in (((source,), ()), ((picture,), (source,))):
            with pytest.raises(DataError, match="lies in the source folder") as failure:
                run(*sources, to=to, roots=roots)
            assert failure.value.field == "to"
    assert tree(source) == ["a.png"]


def test_results_never_land_in_a_source_folder_that_lies_in_the_output_folder(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    album = tmp_path / "album"
    draw(album / "apples" / "a.png")
    draw(album / "pears" / "b.png")
    with pytest.raises(DataError, match="belongs to the source folder") as failure:
        run(album / "apples", album / "pears", to=album)
    assert failure.value.field == "to"
    assert tree(album) == ["apples/a.png", "pears/b.png"]
    run(album / "apples", to=album)
    assert tree(album) == ["a.png", "apples/a.png", "pears/b.png"]


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    (tmp_path / "file").write_text("x")
    for to in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataError) as failure:
            run(draw(tmp_path / "a.png"), to=to)
        assert failure.value.field == "to"
        assert str(tmp_path / "file") in str(failure.value)


@needs_permissions
def test_an_output_folder_without_permission_is_refused(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(DataError, match="permission") as failure:
        run(draw(tmp_path / "a.png"), to=tmp_path / "locked" / "out")
    assert failure.value.field == "to"


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    no_model = draw(tmp_path / "a.png")
    with pytest.raises(ModelFileError):
        list(convert(make_job(no_model, tmp_path, no_model)))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    with pytest.raises(ConfigError):
        run(draw(tmp_path / "a.png"), device="cuda")


# Stopping, and disks that fail


@pytest.mark.parametrize("events_before", range(1, 24))
def test_stopping_anywhere_leaves_exactly_the_reported_results(model: Path, tmp_path: Path, events_before: int) -> None:
    for number in range(8):
        draw(tmp_path / "in" / f"{number}.png")
    work = convert(make_job(model, tmp_path, tmp_path / "in"))
    events = [next(work) for _ in range(min(events_before, 19))]
    if events_before > 19:
        time.sleep(0.01 * (events_before - 19))  # Lets the encoders get further than was reported.
    work.close()
    assert list(work) == []
    reported = sorted(event.target.name for event in events if isinstance(event, Converted))
    everything = tree(tmp_path / "out") if (tmp_path / "out").exists() else []
    assert everything == reported


def test_a_picture_that_takes_long_can_be_stopped_between_two_layers(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "_HEARTBEAT_SECONDS", 0.02)
    layers = []
    convolve = torch.nn.Conv2d.forward

    def slow(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        layers.append(x.shape)
        time.sleep(0.3)
        return convolve(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", slow)
    work = convert(make_job(model, tmp_path, draw(tmp_path / "a.png")))
    for event in work:
        if isinstance(event, Preparing) and event.text == "Translating a.png" and layers:
            break
    work.close()
    there_are = sum(isinstance(module, torch.nn.Conv2d) for module in tiny_generator().modules())
    assert len(layers) < there_are
    assert tree(tmp_path / "out") == []


def test_no_yield_stands_inside_a_torch_context(model: Path, tmp_path: Path) -> None:
    for number in range(4):
        draw(tmp_path / "in" / f"{number}.png")
    for _ in convert(make_job(model, tmp_path, tmp_path / "in", precision="bf16")):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")


def test_time_of_the_consumer_is_not_counted(model: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    watch = time.perf_counter()
    events = []
    for event in convert(make_job(model, tmp_path, tmp_path / "in")):
        events.append(event)
        time.sleep(0.2)
    finished = events[-1]
    assert isinstance(finished, ConvertFinished)
    assert finished.seconds < time.perf_counter() - watch - 0.2 * (len(events) - 1)


class Disk:
    """A disk of the results that has room for so many more of them, and then a room that a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, results: int) -> None:
        self.free = 10**12
        self.left = results
        self._write_new = file_work.write_new
        monkeypatch.setattr(file_work, "write_new", self.write_new)
        monkeypatch.setattr(converter, "free_bytes", lambda folder: self.free)
        monkeypatch.setattr(converter, "_SPACE_SECONDS", 0.01)
        monkeypatch.setattr(converter, "_QUOTA_SECONDS", 0.05)
        monkeypatch.setattr(converter, "_HEARTBEAT_SECONDS", 0.01)

    def write_new(self, path: Path, data: bytes, *, sync: bool = False) -> None:
        assert sync
        if self.left <= 0:
            self.free = min(self.free, 10)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        self.left -= 1
        self._write_new(path, data, sync=sync)


def test_a_full_disk_pauses_the_job_which_goes_on_by_itself_when_there_is_room(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        draw(tmp_path / "in" / f"{number}.png")
    disk = Disk(monkeypatch, 3)
    events: list[ConvertEvent] = []
    waited = 0
    for event in convert(make_job(model, tmp_path, tmp_path / "in")):
        events.append(event)
        if isinstance(event, Preparing) and event.text == "Waiting for space on the disk":
            waited += 1
            assert tree(tmp_path / "out") == ["0.png", "1.png", "2.png"]
            if waited == 5:
                disk.left, disk.free = 100, 10**12
    assert waited >= 5
    told = of_kind(events, WaitingForSpace)
    assert len(told) == 1
    assert str(tmp_path / "out") in told[0].text and "goes on by itself" in told[0].text
    assert [event.target.name for event in of_kind(events, Converted)] == [f"{n}.png" for n in range(9)]
    for name in tree(tmp_path / "out"):
        was, now = (np.asarray(Image.open(folder / name)) for folder in (tmp_path / "in", tmp_path / "out"))
        assert np.abs(expected(was) - now).max() <= 1


def test_little_space_is_waited_for_before_the_disk_is_full(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, 100)
    disk.free = RESERVE_BYTES - 1
    told: list[WaitingForSpace] = []
    for event in convert(make_job(model, tmp_path, draw(tmp_path / "a.png"))):
        if isinstance(event, WaitingForSpace):
            told.append(event)
            assert tree(tmp_path / "out") == []
            disk.free = RESERVE_BYTES
    assert len(told) == 1
    assert tree(tmp_path / "out") == ["a.png"]


def test_a_quota_that_tells_nothing_is_tried_now_and_then(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, 0)
    disk.free = 5  # Stays above what the disk would say: the test's own rule makes it no smaller.
    monkeypatch.setattr(converter, "free_bytes", lambda folder: 10**12)
    tries = 0
    whole = disk.write_new

    def count(path: Path, data: bytes, *, sync: bool = False) -> None:
        nonlocal tries
        tries += 1
        disk.left = tries > 4
        whole(path, data, sync=sync)

    monkeypatch.setattr(file_work, "write_new", count)
    events = list(convert(make_job(model, tmp_path, draw(tmp_path / "a.png"))))
    assert tries == 5
    assert len(of_kind(events, WaitingForSpace)) == 1
    assert tree(tmp_path / "out") == ["a.png"]


def test_the_wait_for_space_can_be_stopped(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        draw(tmp_path / "in" / f"{number}.png")
    Disk(monkeypatch, 2)
    work = convert(make_job(model, tmp_path, tmp_path / "in"))
    for event in work:
        if isinstance(event, Preparing) and event.text == "Waiting for space on the disk":
            break
    work.close()
    assert tree(tmp_path / "out") == ["0.png", "1.png"]
    monkeypatch.undo()


def test_too_little_space_is_said_before_the_start(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "in" / "a.png", (600, 500))
    assert of_kind(run(tmp_path / "in"), Notice) == []
    monkeypatch.setattr(converter, "free_bytes", lambda folder: RESERVE_BYTES + 900_000)
    events = run(tmp_path / "in", again=True)
    notice = of_kind(events, Notice)[0]
    assert re.search(rf"^About [\d.]+ [KM]B will be written to {tmp_path}/out, where 33 MB are free\.$", notice.text)
    kinds = [type(event) for event in events]
    assert kinds.index(ConvertPlanned) < kinds.index(Notice) < kinds.index(ConvertingFile)


def test_a_single_failure_of_the_disk_is_reported_and_the_batch_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        draw(tmp_path / "in" / f"{number}.png")
    whole = Ledger.publish

    def fail_sometimes(self: Ledger, source: Path, *args: object, **values: object) -> Path | None:
        if source.name in ("1.png", "2.png", "4.png", "5.png"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(self, source, *args, **values)

    monkeypatch.setattr(Ledger, "publish", fail_sometimes)
    events = list(convert(make_job(model, tmp_path, tmp_path / "in")))
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["1.png", "2.png", "4.png", "5.png"]
    assert tree(tmp_path / "out") == ["0.png", "3.png"]


def test_three_failures_of_the_disk_in_a_row_end_the_job(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        draw(tmp_path / "in" / f"{number}.png")

    def fail(self: Ledger, source: Path, *args: object, **values: object) -> Path | None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Ledger, "publish", fail)
    events: list[ConvertEvent] = []
    with pytest.raises(DataError, match="The conversion stopped") as failure:
        events.extend(convert(make_job(model, tmp_path, tmp_path / "in")))
        pytest.fail("it did not stop")
    assert failure.value.field == "to"
    assert tree(tmp_path / "out") == []


def test_a_file_in_the_way_of_a_folder_fails_what_belongs_there_by_name(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    for number in range(4):
        draw(tmp_path / "in" / "a" / "deep" / f"{number}.png")
        draw(tmp_path / "in" / "b" / f"{number}.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"precious")
    events = run(tmp_path / "in")
    reasons = {event.reason for event in of_kind(events, FileFailed)}
    assert reasons == {
        f"{tmp_path}/out/a is a file, where a folder for results belongs. Rename it, or choose another output folder."
    }
    assert tree(tmp_path / "out") == ["a", *(f"b/{number}.png" for number in range(4))]
    assert (events[-1].converted, events[-1].failed) == (4, 4)


def refuse(monkeypatch: pytest.MonkeyPatch, part: str, code: int) -> None:
    """Have the disk refuse folders with this in their names."""
    whole = Path.mkdir

    def mkdir(self: Path, *args: object, **values: object) -> None:
        if part in str(self):
            raise OSError(code, os.strerror(code), str(self))
        whole(self, *args, **values)

    monkeypatch.setattr(Path, "mkdir", mkdir)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("if_exists", ["rename", "skip"])
def test_a_folder_of_which_the_disk_refuses_the_name_gets_another_one(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch, if_exists: str
) -> None:
    for number in range(5):
        draw(tmp_path / "in" / "2019: trip" / "day 1" / f"{number}.png")
    refuse(monkeypatch, ": ", errno.EINVAL)
    events = run(tmp_path / "in", if_exists=if_exists)
    folder = tmp_path / "out" / "2019_ trip" / "day 1"
    refused = tmp_path / "out" / "2019: trip" / "day 1"
    assert [event.target for event in of_kind(events, Converted)] == [folder / f"{n}.png" for n in range(5)]
    notes = {event.notes for event in of_kind(events, Converted)}
    assert notes == {(f"Saved in {folder}: its disk refuses the name of {refused}.",)}
    assert len(of_kind(run(tmp_path / "in", if_exists=if_exists), FileSkipped)) == 5


@pytest.mark.parametrize("code", [errno.ENAMETOOLONG, errno.EACCES, errno.EINVAL])
def test_a_folder_that_cannot_be_made_fails_its_pictures_and_no_others(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    for number in range(4):
        draw(tmp_path / "in" / "bad" / f"{number}.png")
        draw(tmp_path / "in" / "good" / f"{number}.png")
    refuse(monkeypatch, "bad", code)
    events = run(tmp_path / "in")
    assert len(of_kind(events, FileFailed)) == 4
    assert all(str(tmp_path / "out" / "bad") in event.reason for event in of_kind(events, FileFailed))
    assert tree(tmp_path / "out") == [f"good/{number}.png" for number in range(4)]


def draw_frames(path: Path, count: int, size: tuple[int, int] = (20, 14)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [Image.new("RGB", size, (number, 0, 0)) for number in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def test_frames_without_room_fail_their_file_and_the_batch_goes_on(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_frames(tmp_path / "in" / "a.gif", 20)
    draw(tmp_path / "in" / "b.png")
    monkeypatch.setattr(file_work, "free_bytes", lambda folder: RESERVE_BYTES + 9000)
    events = run(tmp_path / "in")
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["a.gif"]
    assert of_kind(events, WaitingForSpace) == []
    assert tree(tmp_path / "out") == ["b.png"]


@pytest.mark.parametrize("step", ["frames", "strips"])
def test_what_fills_the_disk_by_itself_fails_and_the_batch_goes_on(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """There is room again whenever what was spilled is removed, so waiting for it would never end."""
    tries = 0

    def fail(self: object, frame: object, *args: object, **values: object) -> None:
        nonlocal tries
        if step == "strips" and frame != "a.gif":
            return whole(self, frame, *args, **values)
        tries += 1
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    where, name = (file_work.FrameStack, "append") if step == "frames" else (translator_module.Translator, "translate")
    whole = getattr(where, name)
    monkeypatch.setattr(where, name, fail)
    draw_frames(tmp_path / "in" / "a.gif", 20)
    draw(tmp_path / "in" / "b.png")
    events = run(tmp_path / "in")
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert re.search(r"^a\.gif needs more on the disk of .*/out while it is translated", failure.reason)
    assert tries == 2
    assert tree(tmp_path / "out") == ["b.png"]


def test_an_output_folder_that_vanishes_ends_the_job_and_is_not_made_again(model: Path, tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / "in" / f"{number}.png")
    failures = []
    with pytest.raises(EngineError, match="not there"):
        for event in convert(make_job(model, tmp_path, tmp_path / "in")):
            if isinstance(event, ConvertPlanned):
                shutil.rmtree(tmp_path / "out")
            if isinstance(event, FileFailed):
                failures.append(event)
    assert len(failures) == 3
    assert not (tmp_path / "out").exists()


def test_a_conversion_has_threads_of_its_own_and_gives_back_those_before(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def choose(precision: str, device: torch.device, generator: str) -> str:
        threads.append(torch.get_num_threads())
        return "fp32"

    monkeypatch.setattr(translator_module, "choose_precision", choose)
    monkeypatch.setattr(converter, "all_threads", lambda: 1)
    torch.set_num_threads(2)
    Image.new("RGB", (16, 16)).save(tmp_path / "picture.png")
    list(convert(ConvertJob(model=model, sources=(tmp_path / "picture.png",), to=tmp_path / "out", direction="a2b")))
    assert threads == [1]
    assert torch.get_num_threads() == 2


# Several at once


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pictures are translated up to three at once, as on a GPU; grows by the sizes of the groups."""
    sizes: list[int] = []
    whole = Translator.translate_together

    def remember(self: Translator, pictures: list[Pixels], *rest: object, **named: object) -> list[Pixels]:
        sizes.append(len(pictures))
        return whole(self, pictures, *rest, **named)

    monkeypatch.setattr(translator_module, "MOST_TOGETHER", {"cpu": 3})
    monkeypatch.setattr(Translator, "translate_together", remember)
    return sizes


def _slow_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture takes so long that all others are decoded meanwhile."""
    whole, begun = Translator.translate, []

    def slow(self: Translator, *rest: object, **named: object) -> Pixels:
        if not begun:
            begun.append(True)
            time.sleep(0.5)
        return whole(self, *rest, **named)

    monkeypatch.setattr(Translator, "translate", slow)


def test_pictures_of_one_size_are_translated_together_and_each_is_what_it_is_alone(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    together: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(12):
        draw(tmp_path / "A" / f"{number:02d}.png", (40, 32) if number % 5 else (24, 24))
    _slow_first(monkeypatch)
    events = run(tmp_path / "A", to=tmp_path / "together")
    assert max(together) == 3
    order = [event.index for event in events if isinstance(event, Converted)]
    assert order == list(range(12))
    monkeypatch.setattr(translator_module, "MOST_TOGETHER", {})
    run(tmp_path / "A", to=tmp_path / "alone")
    for path in (tmp_path / "alone").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "together" / path.name).read_bytes()


def test_a_picture_that_fails_takes_none_of_those_beside_it_down(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    together: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(9):
        Image.new("RGB", (32, 32), (255, 255, 255) if number == 4 else (90, 90, 90)).save(tmp_path / f"{number}.png")
    whole = Generator.forward

    def refuse_white(self: Generator, x: torch.Tensor) -> torch.Tensor:
        return whole(self, x) * torch.where(x.mean((1, 2, 3), keepdim=True) > 0.9, float("nan"), 1.0)

    monkeypatch.setattr(Generator, "forward", refuse_white)
    _slow_first(monkeypatch)
    events = run(*(tmp_path / f"{number}.png" for number in range(9)))
    assert max(together) == 3
    assert [event.source.name for event in events if isinstance(event, FileFailed)] == ["4.png"]
    assert sum(isinstance(event, Converted) for event in events) == 8


def test_without_memory_for_several_each_is_translated_alone(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    together: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(6):
        draw(tmp_path / "A" / f"{number}.png")
    whole = Generator.forward

    def refuse_several(self: Generator, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, x)

    monkeypatch.setattr(Generator, "forward", refuse_several)
    _slow_first(monkeypatch)
    events = run(tmp_path / "A")
    assert together and sum(isinstance(event, Converted) for event in events) == 6


def test_a_gpu_gets_as_many_processes_as_there_are_cores_to_feed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert converter._worker_count(torch.device("cpu")) == 3
    assert converter._worker_count(torch.device("cuda")) == 11
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert converter._worker_count(torch.device("cpu")) == converter._worker_count(torch.device("cuda")) == 2
