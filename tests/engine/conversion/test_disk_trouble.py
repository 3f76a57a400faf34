"""A full disk is waited for, and a broken one ends the job."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import convert
from engine.conversion import batch, converter, disk_trouble, file_work, start, waiting
from engine.conversion import translator as translator_module
from engine.conversion.ledger import Ledger
from engine.conversion.space import RESERVE_BYTES
from engine.errors import DataError, EngineError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    Notice,
    Preparing,
    WaitingForSpace,
)
from tests.engine.conversion.batches import draw, expected, make_job, of_kind, refuse, tree

pytestmark = pytest.mark.usefixtures("one_thread", "in_threads")


class Disk:
    """A disk of the results that has room for so many more of them, and then a room that a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, results: int) -> None:
        self.free = 10**12
        self.left = results
        self._write_new = file_work.write_new
        monkeypatch.setattr(file_work, "write_new", self.write_new)
        # Two that write would race for the last room.
        monkeypatch.setattr(start, "_LEAST_WORKERS", 1)
        for module in (converter, batch, disk_trouble):
            monkeypatch.setattr(module, "free_bytes", lambda folder: self.free)
        monkeypatch.setattr(disk_trouble, "_SPACE_SECONDS", 0.01)
        monkeypatch.setattr(disk_trouble, "_QUOTA_SECONDS", 0.05)
        monkeypatch.setattr(waiting, "HEARTBEAT_SECONDS", 0.01)

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
    for module in (converter, batch, disk_trouble):
        monkeypatch.setattr(module, "free_bytes", lambda folder: 10**12)
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
