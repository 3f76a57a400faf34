from __future__ import annotations

import os
from pathlib import Path

import pytest

from cyclegan_desktop.conversion.sources import FolderDone, Found, NoPictures, NotThere, look_for_pictures


def test_a_folder_gives_its_pictures_with_subfolders_and_counts_the_rest(pictures: Path):
    *found, done = look_for_pictures([pictures])
    assert [event.root for event in found] == [pictures] * 2
    names = [path.relative_to(pictures).as_posix() for event in found for path in event.pictures]
    assert names == ["a.png", "b.gif", "bad.png", "sub/c.png"]
    assert done == FolderDone(pictures, 4, 2, ())


def test_files_and_folders_keep_their_order(pictures: Path, tmp_path: Path):
    first, last = tmp_path / "first.png", tmp_path / "last.JPG"
    first.touch()
    last.touch()
    events = list(look_for_pictures([first, pictures / "sub", last]))
    assert [type(event) for event in events] == [Found, Found, FolderDone, Found]
    assert events[0] == Found((first,), None) and events[-1] == Found((last,), None)


def test_single_files_that_are_no_pictures_are_named_together(pictures: Path):
    for name in ("model.pth", "no-ending"):
        (pictures / name).touch()
    others = tuple(pictures / name for name in ("notes.txt", "model.pth", "no-ending"))
    events = list(look_for_pictures([others[0], pictures / "bad.png", *others[1:]]))
    assert events == [Found((pictures / "bad.png",), None), NoPictures(others)]


def test_what_is_not_there_is_said_and_the_rest_is_found(pictures: Path, tmp_path: Path):
    events = list(look_for_pictures([tmp_path / "gone.png", pictures / "a.png", tmp_path / "a.png" / "b", Path("\0")]))
    missing = [event for event in events if isinstance(event, NotThere)]
    assert [event.path.name for event in missing] == ["gone.png", "b", "\0"]
    assert Found((pictures / "a.png",), None) in events


def test_many_pictures_come_in_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("cyclegan_desktop.conversion.sources._CHUNK", 3)
    for number in range(7):
        (tmp_path / f"{number}.png").touch()
    *found, done = look_for_pictures([tmp_path])
    assert [len(event.pictures) for event in found] == [3, 3, 1]
    assert done == FolderDone(tmp_path, 7, 0, ())


def test_paths_are_made_absolute_without_following_links(monkeypatch: pytest.MonkeyPatch, pictures: Path):
    link = pictures.parent / "link"
    link.symlink_to(pictures, target_is_directory=True)
    monkeypatch.chdir(pictures.parent)
    found = next(iter(look_for_pictures([Path("link") / os.curdir])))
    assert isinstance(found, Found)
    assert found.root == link and found.pictures[0] == link / "a.png"
