"""Every result has a name of its own, and no source loses its."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import convert
from engine.conversion import batch
from engine.events import Converted, ConvertEvent, FileSkipped
from tests.engine.conversion.batches import contents, draw, expected, make_job, of_kind, refuse, size_of, tree

pytestmark = pytest.mark.usefixtures("one_thread", "in_threads")


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
    whole = batch.decode
    monkeypatch.setattr(batch, "decode", lambda *args: read.append(args[0].name) or whole(*args))
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
    monkeypatch.setattr(batch, "decode", lambda *args: pytest.fail("it was read"))
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
