"""Whole folders are converted and mirrored, sources stay untouched, and one bad file stops nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from engine import convert
from engine.config import ConvertJob, Direction, TrainConfig
from engine.conversion import converter
from engine.conversion.model_file import write_model
from engine.errors import ConfigError, DataError, EngineError, ModelFileError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    Preparing,
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
    monkeypatch.setattr(converter, "compute_threads", lambda: 1)


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


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


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


def test_nothing_is_ever_overwritten(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"precious")
    run(tmp_path / "in")
    events = run(tmp_path / "in")
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
    draw(tmp_path / "in" / "a.gif")
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
def test_grey_domains_take_luma_and_give_three_equal_channels(
    tmp_path: Path, grey_A: bool, grey_B: bool, direction: Direction
) -> None:
    model = write_unusual(tmp_path / "grey.safetensors", tmp_path, grey_A=grey_A, grey_B=grey_B)
    picture = draw(tmp_path / "a.png")
    list(convert(make_job(model, tmp_path, picture, direction=direction)))
    now = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert now.shape == (14, 20, 3)
    assert (now == now[..., :1]).all()  # Either side is grey, and these generators change nothing.
    with Image.open(picture) as source:
        luma, mean = np.asarray(source.convert("L")), np.asarray(source).mean(-1)
    of_source = grey_A if direction == "a2b" else grey_B
    assert np.abs(expected(luma if of_source else mean) - now[..., 0]).max() <= 1


def test_a_direction_that_the_model_does_not_have_is_a_sentence(tmp_path: Path) -> None:
    model = write_unusual(tmp_path / "one.safetensors", tmp_path, ("b2a",), name_A="Reds", name_B="Blues")
    picture = draw(tmp_path / "a.png")
    with pytest.raises(ModelFileError, match=r"cannot convert Reds to Blues.*Blues to Reds \(b2a\)"):
        list(convert(make_job(model, tmp_path, picture)))
    assert not (tmp_path / "out").exists()
    assert len(of_kind(list(convert(make_job(model, tmp_path, picture, direction="b2a"))), Converted)) == 1


def test_a_u_net_needs_less_memory_than_a_resnet_of_its_width(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = 1024 * 1024
    monkeypatch.setattr(converter, "available_memory", lambda device: pixels * 90)
    picture = draw(tmp_path / "a.png", (1024, 1024))
    assert len(of_kind(run(picture), FileFailed)) == 1
    model = write_unusual(tmp_path / "unet.safetensors", tmp_path, generator="unet", halvings=5)
    assert len(of_kind(list(convert(make_job(model, tmp_path, picture))), Converted)) == 1


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


def test_processes_on_one_machine_share_its_memory(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    be_rank: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(converter, "available_memory", lambda device: 900 * 900 * 120)
    picture = draw(tmp_path / "a.png", (900, 900))
    assert len(of_kind(run(picture), Converted)) == 1
    be_rank(0, 2)
    failure = of_kind(run(picture), FileFailed)[0]
    assert isinstance(failure, FileFailed)
    assert "is too large" in failure.reason


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
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "available_memory", lambda device: 200_000_000)
    draw(tmp_path / "in" / "large.png", (1800, 1600))
    draw(tmp_path / "in" / "small.png")
    events = run(tmp_path / "in")
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert failure.reason.startswith("large.png is too large: 1800 x 1600 pixels")
    assert "200 MB are free" in failure.reason
    remedy = failure.reason.partition("--resize training, --resize ")[2].rstrip(").")
    assert f"the training size, or a longest side of {remedy} px" in failure.reason
    assert tree(tmp_path / "out") == ["small.png"]
    again = run(tmp_path / "in" / "large.png", resize=int(remedy))
    assert len(of_kind(again, Converted)) == 1


def test_a_picture_too_large_to_decode_is_refused_unread(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "available_memory", lambda device: 1_000_000)
    monkeypatch.setattr(converter, "read_picture", lambda path: pytest.fail("it was decoded"))
    events = run(draw(tmp_path / "a.png", (400, 400)), resize=8)
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert "too large to open" in failure.reason


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_fails_the_picture_and_the_batch_goes_on(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    forward = Generator.forward

    def fail_once(self: Generator, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] == 40:
            raise error
        return forward(self, x)

    monkeypatch.setattr(Generator, "forward", fail_once)
    draw(tmp_path / "in" / "a.png", (40, 40))
    draw(tmp_path / "in" / "b.png")
    events = run(tmp_path / "in")
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["a.png"]
    assert "memory ran out" in next(e.reason for e in events if isinstance(e, FileFailed))
    assert tree(tmp_path / "out") == ["b.png"]


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
    everything = sorted(path.name for path in (tmp_path / "out").rglob("*")) if (tmp_path / "out").exists() else []
    assert everything == reported


def test_a_picture_that_takes_long_can_be_stopped_between_two_layers(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "_HEARTBEAT_SECONDS", 0.02)
    layers = []

    def slow(self: torch.nn.ReLU, x: torch.Tensor) -> torch.Tensor:
        layers.append(x.shape)
        time.sleep(0.3)
        return x

    monkeypatch.setattr(torch.nn.ReLU, "forward", slow)
    work = convert(make_job(model, tmp_path, draw(tmp_path / "a.png")))
    for event in work:
        if isinstance(event, Preparing) and event.text == "Translating a.png" and layers:
            break
    work.close()
    there_are = sum(isinstance(module, torch.nn.ReLU) for module in tiny_generator().modules())
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


def test_a_full_disk_stops_the_job_with_a_sentence_and_leaves_no_halves(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        draw(tmp_path / "in" / f"{number}.png")
    whole = converter.write_new

    def full(path: Path, data: bytes, *, sync: bool = False) -> None:
        if ".0.png" not in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        whole(path, data, sync=sync)

    monkeypatch.setattr(converter, "write_new", full)
    events: list[ConvertEvent] = []
    with pytest.raises(DataError, match="no space left") as failure:
        events.extend(convert(make_job(model, tmp_path, tmp_path / "in")))
        pytest.fail("it did not stop")
    assert failure.value.field == "to"
    assert str(tmp_path / "out") in str(failure.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.png"]


def test_a_single_failure_of_the_disk_is_reported_and_the_batch_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        draw(tmp_path / "in" / f"{number}.png")
    whole = converter.publish_new

    def fail_sometimes(temporary: Path, target: Path) -> Path:
        if target.name in ("1.png", "2.png", "4.png", "5.png"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(temporary, target)

    monkeypatch.setattr(converter, "publish_new", fail_sometimes)
    events = list(convert(make_job(model, tmp_path, tmp_path / "in")))
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["1.png", "2.png", "4.png", "5.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "3.png"]


def test_an_output_folder_that_vanishes_ends_the_job_and_is_not_made_again(model: Path, tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / "in" / f"{number}.png")
    failures = []
    with pytest.raises(EngineError, match="not there"):
        for event in convert(make_job(model, tmp_path, tmp_path / "in")):
            if isinstance(event, ConvertPlanned):
                (tmp_path / "out").rmdir()
            if isinstance(event, FileFailed):
                failures.append(event)
    assert len(failures) == 3
    assert not (tmp_path / "out").exists()


def test_precision_is_measured_with_the_threads_that_will_work(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def choose(precision: str, device: torch.device, generator: str) -> str:
        threads.append(torch.get_num_threads())
        return "fp32"

    monkeypatch.setattr(converter, "choose_precision", choose)
    torch.set_num_threads(2)
    Image.new("RGB", (16, 16)).save(tmp_path / "picture.png")
    list(convert(ConvertJob(model=model, sources=(tmp_path / "picture.png",), to=tmp_path / "out", direction="a2b")))
    assert threads == [1]
    assert torch.get_num_threads() == 2
