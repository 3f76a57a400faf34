"""Files appear whole or not at all, and nothing is overwritten that should stay."""

from __future__ import annotations

import errno
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine import files
from engine.files import (
    disk_sentence,
    move_over,
    move_to_free_name,
    publish_new,
    require_writable,
    temporary_beside,
    write_atomically,
    write_new,
)

needs_permissions = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user"
)


def full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_written_data_replaces_the_old_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_file_and_leaves_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError) as failure:
        write_atomically(path, b"new")
    assert failure.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "gone" / "a", b"")


def test_temporary_names_are_hidden_and_short_enough(tmp_path: Path) -> None:
    temporary = temporary_beside(tmp_path / ("ä" * 120 + ".png"))
    assert temporary.name.startswith(".")
    assert temporary.parent == tmp_path
    temporary.write_bytes(b"")


def test_write_new_refuses_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_new(path, b"new")
    assert path.read_bytes() == b"old"


def no_links(*arguments: object, **options: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("links", [True, False])
def test_publishing_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(files.os, "link", no_links)
    names = []
    for number in range(3):
        temporary = temporary_beside(tmp_path / "a.png")
        temporary.write_text(str(number))
        names.append(publish_new(temporary, tmp_path / "a.png").name)
    assert names == ["a.png", "a (1).png", "a (2).png"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict(zip(names, "012", strict=True))


def test_publishing_onto_a_folder_takes_the_next_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    temporary = temporary_beside(tmp_path / "a")
    temporary.write_bytes(b"x")
    assert publish_new(temporary, tmp_path / "a").name == "a (1)"


def test_a_long_name_is_shortened_to_fit_its_number(tmp_path: Path) -> None:
    target = tmp_path / ("a" * 251 + ".png")
    target.write_bytes(b"old")
    temporary = temporary_beside(target)
    temporary.write_bytes(b"new")
    final = publish_new(temporary, target)
    assert final.read_bytes() == b"new"
    assert final.name.endswith(" (1).png")


@pytest.mark.parametrize("links", [True, False])
def test_many_threads_publish_under_different_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(files.os, "link", no_links)

    def publish(number: int) -> str:
        temporary = temporary_beside(tmp_path / "a.txt")
        temporary.write_text(str(number))
        return publish_new(temporary, tmp_path / "a.txt").read_text()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(publish, range(40)), key=int) == [str(number) for number in range(40)]
    assert sorted(int(path.read_text()) for path in tmp_path.iterdir()) == list(range(40))


@pytest.mark.parametrize("links", [True, False])
def test_a_move_to_a_taken_name_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(files.os, "link", no_links)
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    with pytest.raises(FileExistsError):
        move_to_free_name(tmp_path / "new", tmp_path / "old")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"new": "new", "old": "old"}


def test_a_move_over_a_file_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    move_over(tmp_path / "new", tmp_path / "old")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "new"}


def test_a_failed_move_gives_the_name_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "link", no_links)
    with pytest.raises(FileNotFoundError):
        publish_new(tmp_path / "gone", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_require_writable_looks_at_the_nearest_folder_and_leaves_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []


def test_require_writable_refuses_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        require_writable(tmp_path / "file")
    with pytest.raises(OSError):
        require_writable(tmp_path / "file" / "below")


@needs_permissions
def test_require_writable_refuses_a_folder_without_permission(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        require_writable(locked / "new")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EROFS, "can only be read"),
        (errno.EACCES, "no permission"),
        (errno.EEXIST, "already there"),
        (errno.ENOENT, "is not there"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_disk_errors_become_sentences_with_path_and_remedy(number: int, words: str) -> None:
    sentence = disk_sentence(OSError(number, os.strerror(number)), Path("/pictures/a.png"))
    assert words in sentence
    assert str(Path("/pictures/a.png")) in sentence
    assert "hoose" in sentence or "heck" in sentence


def test_an_error_without_words_still_becomes_a_sentence() -> None:
    assert "OSError" in disk_sentence(OSError(), Path("a"))
