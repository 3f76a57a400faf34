"""What is found, where its result goes, and what is refused before anything is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from engine.config import ConvertJob
from engine.conversion import plan as plan_module
from engine.conversion.plan import FolderWatch, Plan, key_of, make_plan, own_share
from engine.errors import DataError


def job(tmp_path: Path, *sources: Path, **values: object) -> ConvertJob:
    defaults: dict[str, object] = {"model": tmp_path / "m", "to": tmp_path / "out", "direction": "a2b"}
    return ConvertJob(**{**defaults, "sources": sources, **values})


def finished(work: Generator[object, None, Any]) -> Any:
    try:
        while True:
            next(work)
    except StopIteration as end:
        return end.value


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def targets(plan: Plan, tmp_path: Path) -> list[str]:
    return [(task.folder / task.source.name).relative_to(tmp_path).as_posix() for task in plan.tasks]


def test_every_picture_has_a_number_and_the_folder_that_mirrors_its_own(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "sub/a.png", "notes.txt"):
        touch(tmp_path / "in" / name)
    plan = finished(make_plan(job(tmp_path, tmp_path / "in")))
    assert targets(plan, tmp_path) == ["out/2.png", "out/10.png", "out/sub/a.png"]
    assert [task.number for task in plan.tasks] == [1, 2, 3]
    assert plan.other_files == 1
    assert not (tmp_path / "out").exists()


def test_processes_share_a_plan_and_keep_its_numbers(tmp_path: Path) -> None:
    for number in range(5):
        touch(tmp_path / "in" / f"{number}.png")
    plan = finished(make_plan(job(tmp_path, tmp_path / "in")))
    shares = [own_share(plan, rank, 2) for rank in range(2)]
    assert [[task.number for task in share.tasks] for share in shares] == [[1, 3, 5], [2, 4]]
    assert [share.other_files for share in shares] == [plan.other_files, 0]


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("links need a permission there")
    touch(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in" / "self")
    assert targets(finished(make_plan(job(tmp_path, tmp_path / "in"))), tmp_path) == ["out/a.png"]


def test_an_output_folder_that_is_a_link_into_the_sources_is_seen_through(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("links need a permission there")
    touch(tmp_path / "in" / "sub" / "a.png")
    (tmp_path / "out").symlink_to(tmp_path / "in" / "sub", target_is_directory=True)
    with pytest.raises(DataError, match="lies in the source folder") as failure:
        finished(make_plan(job(tmp_path, tmp_path / "in")))
    assert failure.value.field == "to"


def test_a_video_given_by_itself_is_a_problem_and_in_a_folder_an_other_file(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "film.MP4")
    touch(tmp_path / "in" / "a.png")
    plan = finished(make_plan(job(tmp_path, tmp_path / "in", touch(tmp_path / "film.MP4"))))
    assert [bool(task.problem) for task in plan.tasks] == [False, True]
    assert "is a video" in plan.tasks[1].problem
    assert plan.other_files == 1


def test_long_looks_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_PREPARING_SECONDS", 0.0)
    for name in ("a/1.png", "b/2.png", "b/3.png"):
        touch(tmp_path / "in" / name)
    events = list(make_plan(job(tmp_path, tmp_path / "in")))
    assert [event.done for event in events] == [0, 1, 3]


# Watching


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(plan_module.time, "monotonic", lambda: now[0])
    return now


def watching(
    tmp_path: Path, clock: list[float], *sources: Path, rank: int = 0, count: int = 1, **values: object
) -> Any:
    """Looks, lets so much time pass, and looks again: what came."""
    settings = job(tmp_path, *sources, watch=True, **values)
    watch = FolderWatch(settings, finished(make_plan(settings)), rank, count)

    def look(seconds: float = 2.5) -> list[Any]:
        found = finished(watch.look())
        clock[0] += seconds
        return found + finished(watch.look())

    return look


def test_what_was_there_before_is_not_found_again_unless_it_changes(tmp_path: Path, clock: list[float]) -> None:
    old = touch(tmp_path / "in" / "a.png")
    look = watching(tmp_path, clock, tmp_path / "in")
    assert look() == []
    os.utime(old, ns=(1, 1))
    assert [task.source for task in look()] == [old]
    assert look() == []
    old.write_bytes(b"xyz")
    assert [task.source for task in look()] == [old]
    old.unlink()
    assert look() == []


def test_new_pictures_get_the_next_numbers_and_their_mirrored_folder(tmp_path: Path, clock: list[float]) -> None:
    touch(tmp_path / "in" / "a.png")
    look = watching(tmp_path, clock, tmp_path / "in")
    for name in ("z/10.png", "z/9.png", "b.txt"):
        touch(tmp_path / "in" / name)
    found = look()
    assert [(task.source.name, task.number) for task in found] == [("9.png", 2), ("10.png", 3)]
    assert {task.folder for task in found} == {tmp_path / "out" / "z"}


def test_a_picture_is_taken_when_it_has_stood_still(tmp_path: Path, clock: list[float]) -> None:
    (tmp_path / "in").mkdir()
    look = watching(tmp_path, clock, tmp_path / "in")
    file = touch(tmp_path / "in" / "a.png")
    assert look(1.9) == []
    file.write_bytes(b"longer")
    assert look(0.2) == [] and look(1.7) == []
    assert [task.source for task in look(0.2)] == [file]


def test_of_several_processes_each_takes_other_new_pictures(tmp_path: Path, clock: list[float]) -> None:
    (tmp_path / "in").mkdir()
    looks = [watching(tmp_path, clock, tmp_path / "in", rank=rank, count=3) for rank in range(3)]
    for number in range(20):
        touch(tmp_path / "in" / f"{number}.png")
    found = [[task.source.name for task in look()] for look in looks]
    assert all(found)
    assert sorted(name for names in found for name in names) == sorted(f"{number}.png" for number in range(20))


def test_no_new_result_is_written_into_a_source_folder_within_the_output_folder(
    tmp_path: Path, clock: list[float]
) -> None:
    touch(tmp_path / "album" / "apples" / "a.png")
    look = watching(tmp_path, clock, tmp_path / "album" / "apples", to=tmp_path / "album")
    touch(tmp_path / "album" / "apples" / "apples" / "b.png")
    found = look()
    assert "belongs to the source folder" in found[0].problem


def test_a_folder_that_is_gone_for_a_moment_is_no_news(tmp_path: Path, clock: list[float]) -> None:
    touch(tmp_path / "in" / "a.png")
    look = watching(tmp_path, clock, tmp_path / "in")
    (tmp_path / "in").rename(tmp_path / "away")
    assert look() == []
    (tmp_path / "away").rename(tmp_path / "in")
    assert look() == []


def test_looking_at_a_slow_disk_is_not_all_that_is_done(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "in" / "a.png")
    settings = job(tmp_path, tmp_path / "in", watch=True)
    watch = FolderWatch(settings, finished(make_plan(settings)))
    finished(watch.look())
    assert watch.pause == 1.0
    whole = plan_module.walk_folder

    def slow(folder: Path) -> Any:
        clock[0] += 4.0
        return whole(folder)

    monkeypatch.setattr(plan_module, "walk_folder", slow)
    finished(watch.look())
    assert watch.pause == 20.0


def test_two_ways_to_write_a_path_are_one(tmp_path: Path) -> None:
    assert key_of(tmp_path / "a" / ".." / "b") == key_of(tmp_path / "b")
    assert key_of(tmp_path / "a") != key_of(tmp_path / "b")
