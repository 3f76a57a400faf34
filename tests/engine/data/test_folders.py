"""Pictures are found wherever they lie, and folders that make no training are refused with a sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine.data.folders import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    check_training_folders,
    find_domains,
    is_within,
    natural_key,
    scan_folder,
    video_sentence,
    walk_folder,
)
from engine.errors import DataError

needs_permissions = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user"
)
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in scan_folder(folder).pictures]


def test_subfolders_count_and_order_is_natural(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("10.png", "9.PNG", "a2.jpg", "A10.jpg", "a1.jpg", "sub/2.webp", "sub/01.tif")))
    assert names(tmp_path) == ["9.PNG", "10.png", "a1.jpg", "a2.jpg", "A10.jpg", "sub/01.tif", "sub/2.webp"]


def test_other_files_are_counted_and_hidden_ones_are_not(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.png", "notes.txt", "no_suffix", "b.eps", "sub/c.pdf")))
    touch(*(tmp_path / name for name in (".DS_Store", "._a.png", ".hidden/b.png", "Thumbs.db", "desktop.ini")))
    touch(tmp_path / "__MACOSX" / "a.png", tmp_path / ".a.png.part-0123abcd")
    scan = scan_folder(tmp_path)
    assert [path.name for path in scan.pictures] == ["a.png"]
    assert scan.other_files == 4


def test_a_hidden_folder_itself_may_be_scanned(tmp_path: Path) -> None:
    touch(tmp_path / ".hidden" / "a.png")
    assert len(scan_folder(tmp_path / ".hidden").pictures) == 1


def test_formats_that_call_other_programs_are_no_pictures() -> None:
    assert not PICTURE_SUFFIXES & {".eps", ".ps", ".pdf", ".wmf", ".emf"}
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"} <= PICTURE_SUFFIXES


@needs_links
def test_loops_of_links_end_and_each_folder_counts_once(tmp_path: Path) -> None:
    touch(tmp_path / "z" / "a.png")
    (tmp_path / "z" / "up").symlink_to(tmp_path)
    (tmp_path / "a_link").symlink_to(tmp_path / "z")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert names(tmp_path) == ["z/a.png"]


@needs_links
def test_linked_pictures_and_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.png", tmp_path / "b.png")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "b.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "here" / "broken.png").symlink_to(tmp_path / "gone.png")
    assert names(tmp_path / "here") == ["b.png", "folder/a.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert scan_folder(tmp_path).pictures == ()


@needs_permissions
def test_a_subfolder_that_cannot_be_read_is_named_and_the_rest_is_found(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "locked" / "b.png")
    (tmp_path / "locked").chmod(0)
    try:
        scan = scan_folder(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert len(scan.pictures) == 1
    assert scan.unreadable_folders == (tmp_path / "locked",)


def test_a_folder_that_vanishes_while_it_is_walked_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.png", tmp_path / "b" / "2.png")
    walk = walk_folder(tmp_path)
    next(walk)
    (tmp_path / "a" / "1.png").unlink()
    (tmp_path / "a").rmdir()
    rest = list(walk)
    assert [content.readable for content in rest] == [False, True]


def test_scanning_what_is_no_folder_names_it_and_the_field(tmp_path: Path) -> None:
    touch(tmp_path / "file.png")
    for path, words in ((tmp_path / "gone", "There is no folder"), (tmp_path / "file.png", "is a file")):
        with pytest.raises(DataError, match=words) as failure:
            scan_folder(path, field="folder_A")
        assert str(path) in str(failure.value)
        assert failure.value.field == "folder_A"
    with pytest.raises(DataError, match="There is no folder"):
        scan_folder(tmp_path / "file.png" / "below")
    with pytest.raises(DataError, match="is no name"):
        scan_folder(Path("a\0b"))


def test_natural_keys_of_any_two_paths_can_be_compared() -> None:
    paths = [Path(text) for text in ("1", "a", "a1", "1a", "a/1", "1/a", "", "٣", "²", "A")]
    backwards = paths[::-1]
    assert sorted(paths, key=natural_key) == sorted(backwards, key=natural_key)


def test_domains_are_found_in_any_case_and_test_folders_only_with_pictures(tmp_path: Path) -> None:
    for name in ("TrainA", "trainb", "testA", "testB"):
        (tmp_path / name).mkdir()
    touch(tmp_path / "testB" / "sub" / "a.png", tmp_path / "testA" / "notes.txt")
    domains = find_domains(tmp_path)
    assert domains is not None
    assert (domains.train_A.name, domains.train_B.name) == ("TrainA", "trainb")
    assert domains.test_A is None
    assert domains.test_B == tmp_path / "testB"


def test_a_folder_without_both_domains_has_none(tmp_path: Path) -> None:
    (tmp_path / "trainA").mkdir()
    assert find_domains(tmp_path) is None
    touch(tmp_path / "trainB")
    assert find_domains(tmp_path) is None
    assert find_domains(tmp_path / "gone") is None


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    folder_A, folder_B = tmp_path / "A", tmp_path / "B"
    touch(*(folder / name for folder in (folder_A, folder_B) for name in ("1.png", "2.png")))
    return folder_A, folder_B


def refused(folder_A: Path, folder_B: Path, run: Path) -> DataError:
    with pytest.raises(DataError) as failure:
        check_training_folders(folder_A, folder_B, run)
    return failure.value


def test_two_good_folders_are_accepted_and_nothing_is_made(two: tuple[Path, Path], tmp_path: Path) -> None:
    scan_A, scan_B = check_training_folders(*two, tmp_path / "runs" / "new")
    assert (len(scan_A.pictures), len(scan_B.pictures)) == (2, 2)
    assert not (tmp_path / "runs").exists()


def test_folders_that_cannot_be_learnt_from_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    folder_A, _ = two
    run = tmp_path / "run"
    gone, empty, texts, one = (tmp_path / name for name in ("gone", "empty", "texts", "one"))
    empty.mkdir()
    touch(texts / "a.txt", texts / "b.txt", one / "1.png")
    for folder, words in ((gone, "no folder"), (empty, "is empty"), (texts, "2 files"), (one, "only one picture")):
        error = refused(folder_A, folder, run)
        assert words in str(error)
        assert str(folder) in str(error)
        assert error.field == "folder_B"
        assert refused(folder, folder_A, run).field == "folder_A"


def test_the_same_folder_twice_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    folder_A, _ = two
    error = refused(folder_A, folder_A.parent / "B" / ".." / "A", tmp_path / "run")
    assert "same folder" in str(error)
    assert error.field == "folder_B"


@needs_links
def test_the_same_folder_by_another_name_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(two[0])
    assert "same folder" in str(refused(two[0], tmp_path / "alias", tmp_path / "run"))


def test_a_folder_inside_the_other_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    touch(two[0] / "sub" / "1.png", two[0] / "sub" / "2.png")
    for pair in ((two[0], two[0] / "sub"), (two[0] / "sub", two[0])):
        assert "lies inside" in str(refused(*pair, tmp_path / "run"))


def test_a_run_among_the_pictures_is_refused(two: tuple[Path, Path]) -> None:
    error = refused(*two, two[1] / "runs" / "new")
    assert "among the pictures" in str(error)
    assert error.field == "run"


def test_a_run_folder_that_is_taken_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    touch(run / "something.txt")
    assert "is not empty" in str(refused(*two, run))
    touch(run / "config.json")
    error = refused(*two, run)
    assert "already holds a training" in str(error)
    assert error.field == "run"
    touch(tmp_path / "file")
    assert "cannot be a folder" in str(refused(*two, tmp_path / "file"))
    assert refused(*two, tmp_path / "file" / "below").field == "run"


def test_an_empty_run_folder_is_fine(two: tuple[Path, Path], tmp_path: Path) -> None:
    touch(tmp_path / "run" / ".DS_Store")
    check_training_folders(*two, tmp_path / "run")


@needs_permissions
def test_a_run_that_cannot_be_written_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    error = refused(*two, tmp_path / "locked" / "run")
    assert "permission" in str(error)
    assert error.field == "run"


def test_is_within_sees_through_dots_and_missing_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert is_within(tmp_path / "a", tmp_path / "a")
    assert is_within(tmp_path / "a" / "new" / "deep", tmp_path / "a")
    assert is_within(tmp_path / "b" / ".." / "a" / "x", tmp_path / "a")
    assert not is_within(tmp_path / "ab", tmp_path / "a")
    assert not is_within(tmp_path, tmp_path / "a")
    assert not is_within(tmp_path / "gone", tmp_path / "gone")


def test_heic_pictures_are_found_so_that_they_can_be_named(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIF", "c.hif", "film.mov"):
        (tmp_path / name).write_bytes(b"x")
    scan = scan_folder(tmp_path)
    assert [path.name for path in scan.pictures] == ["a.heic", "b.HEIF", "c.hif"]
    assert scan.other_files == 1


def test_a_video_gets_a_sentence_with_a_remedy() -> None:
    assert not VIDEO_SUFFIXES & PICTURE_SUFFIXES
    assert Path("film.MP4").suffix.lower() in VIDEO_SUFFIXES
    sentence = video_sentence(Path("holiday/film.mp4"))
    assert sentence.startswith("film.mp4 is a video")
    assert "PNG" in sentence
