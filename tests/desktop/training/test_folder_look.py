from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cyclegan_desktop.training.folder_look import PicturesFound, Thumbnail, look_at, suggest_names
from engine.data.folders import Domains, FolderScan
from engine.errors import DataError

MakePictures = Callable[[Path, int], Path]


def test_a_folder_gives_its_contents_and_some_thumbnails(tmp_path: Path, make_pictures: MakePictures) -> None:
    folder = make_pictures(tmp_path / "apples", 20)
    make_pictures(folder / "more", 3)
    (folder / "notes.txt").touch()
    events = list(look_at(folder, 8))
    assert isinstance(events[0], PicturesFound)
    scan = next(event for event in events if isinstance(event, FolderScan))
    assert len(scan.pictures) == 23
    assert scan.other_files == 1
    thumbnails = [event for event in events if isinstance(event, Thumbnail)]
    assert len(thumbnails) == 8
    assert max(thumbnails[0].picture.shape[:2]) == 8


def test_a_folder_of_trainA_and_trainB_gives_both_sides(tmp_path: Path, make_pictures: MakePictures) -> None:
    for name in ("trainA", "trainB", "testA", "testB"):
        make_pictures(tmp_path / name, 2)
    (event,) = look_at(tmp_path, 8)
    assert event == Domains(*(tmp_path / name for name in ("trainA", "trainB", "testA", "testB")))


def test_damaged_pictures_have_no_thumbnail(tmp_path: Path, make_pictures: MakePictures) -> None:
    folder = make_pictures(tmp_path / "apples", 5)
    for number in range(5):
        (folder / f"bad{number}.png").write_bytes(b"no picture")
    assert sum(isinstance(event, Thumbnail) for event in look_at(folder, 8)) == 5


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        list(look_at(tmp_path / "nothing", 8))


@pytest.mark.parametrize(
    ("folder_A", "folder_B", "names"),
    [
        ("apple2orange/trainA", "apple2orange/trainB", ("Apple", "Orange")),
        ("apple2orange_64/trainA", "apple2orange_64/trainB", ("Apple", "Orange")),
        ("horse_to_zebra-256px/trainA", "horse_to_zebra-256px/trainB", ("Horse", "Zebra")),
        ("summer2winter_yosemite/trainA", "summer2winter_yosemite/trainB", ("Summer", "Winter yosemite")),
        ("2020/trainA", "2020/trainB", ("", "")),
        ("my_apples", "oranges", ("My apples", "Oranges")),
        ("one/photos", "two/photos", ("", "")),
        ("apples", None, ("Apples", "")),
        ("x" * 200, "y", ("X" + "x" * 59, "Y")),
    ],
)
def test_names_are_taken_from_the_folders(folder_A: str, folder_B: str | None, names: tuple[str, str]) -> None:
    assert suggest_names(Path(folder_A), None if folder_B is None else Path(folder_B)) == names
