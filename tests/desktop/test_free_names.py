from __future__ import annotations

from pathlib import Path

from cyclegan_desktop.free_names import free_path


def test_a_name_is_one_on_every_system_and_not_taken_yet(tmp_path: Path) -> None:
    path = free_path(tmp_path, " A/C: <day> and Night. ", ".json")
    assert path == tmp_path / "A-C- -day- and Night.json"
    path.touch()
    again = free_path(tmp_path, "A/C: <day> and Night", ".json")
    assert again.name == "A-C- -day- and Night (2).json"
    again.touch()
    assert free_path(tmp_path, "A/C: <day> and Night", ".json").name == "A-C- -day- and Night (3).json"


def test_a_long_name_is_cut_between_letters_and_keeps_number_and_suffix(tmp_path: Path) -> None:
    for ending in (".json", " (2).json", " (3).json"):
        path = free_path(tmp_path, "é" * 200, ".json")
        letters = path.name.removesuffix(ending)
        assert path.name.endswith(ending)
        assert set(letters) == {"é"}
        assert 254 <= len(path.name.encode()) <= 255
        path.touch()


def test_a_folder_whose_path_is_too_long_holds_nothing() -> None:
    folder = Path("/", "x" * 300)
    assert free_path(folder, "a", ".json") == folder / "a.json"
