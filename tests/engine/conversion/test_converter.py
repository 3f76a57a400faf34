"""Whole folders are converted and mirrored, sources stay untouched, and what is done is not done again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from engine import convert
from engine.config import ConvertJob, Direction
from engine.conversion import converter, plan, start, waiting
from engine.conversion import translator as translator_module
from engine.errors import ConfigError, DataError, ModelFileError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    FilesFound,
    FileSkipped,
    Preparing,
)
from engine.ranks import Ranks
from tests.engine.conversion.batches import (
    contents,
    draw,
    expected,
    make_job,
    needs_permissions,
    of_kind,
    size_of,
    tree,
    write_unusual,
)

pytestmark = pytest.mark.usefixtures("one_thread", "in_threads")


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
    monkeypatch.setattr(waiting, "HEARTBEAT_SECONDS", 0.01)


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


def test_a_gpu_gets_as_many_processes_as_there_are_cores_to_feed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert converter._worker_count(torch.device("cpu")) == 3
    assert converter._worker_count(torch.device("cuda")) == 11
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert converter._worker_count(torch.device("cpu")) == converter._worker_count(torch.device("cuda")) == 2


def test_kernels_of_a_gpu_are_compiled_while_the_model_is_loaded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, has_begun, may_end = [], threading.Event(), threading.Event()

    class Beside(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            may_end.set()
            super().shutdown(wait=wait)

    def compile_ahead(name: str, device: torch.device) -> None:
        compiled.append((name, device))
        has_begun.set()
        assert may_end.wait(60)

    def load(*_: object) -> None:
        assert has_begun.wait(60)
        raise ModelFileError("Enough.")

    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(converter, "choose_device", lambda name: gpu)
    monkeypatch.setattr(start, "ThreadPoolExecutor", Beside)
    monkeypatch.setattr(converter, "compile_ahead", compile_ahead)
    monkeypatch.setattr(converter, "load_generator", load)
    with pytest.raises(ModelFileError, match="Enough"):
        list(convert(make_job(model, tmp_path, draw(tmp_path / "a.png"), device="cuda", precision="bf16")))
    # What was not begun when the conversion ended is not begun any more.
    assert len(compiled) == 1
    assert compiled[0][1] == gpu
