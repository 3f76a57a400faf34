from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.config import PRESETS, preset_config
from engine.errors import ConfigError
from engine.presets import (
    PresetError,
    PresetExistsError,
    delete_preset,
    preset_named,
    read_presets,
    save_preset,
)

PLACES = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
CONFIG = preset_config("quick", **PLACES, epochs=7, gan_loss="hinge", device="cpu")


def test_a_saved_preset_gives_the_same_training(tmp_path: Path) -> None:
    own = save_preset(tmp_path / "Presets", "Oil on canvas", CONFIG, base="quick")
    assert json.loads(own.file.read_bytes()) == {
        "version": 1,
        "name": "Oil on canvas",
        "begins_from": "quick",
        "settings": {"epochs": 7, "gan_loss": "hinge"},
    }
    (read,) = read_presets(tmp_path / "Presets").presets
    assert read == own
    config = preset_config(read.preset, **PLACES, device="cpu")
    assert config.preset == "Oil on canvas"
    assert config.to_json() == {**CONFIG.to_json(), "preset": "Oil on canvas"}


def test_another_size_keeps_the_proportion_of_the_crops_of_an_own_preset(tmp_path: Path) -> None:
    config = preset_config("quick", **PLACES, size=128)
    own = save_preset(tmp_path, "Large", config, base="quick")
    assert preset_config(own.preset, **PLACES, size=256).load_size == 288


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "nul", 'what? "this" <one>', "ö" * 60, "x.json", " ."[1:]])
def test_names_that_are_no_file_names_are_kept_all_the_same(tmp_path: Path, name: str) -> None:
    own = save_preset(tmp_path / "Presets", name, CONFIG, base="quick")
    assert own.file.parent == tmp_path / "Presets"
    assert [other.preset.name for other in read_presets(tmp_path / "Presets").presets] == [name]
    assert preset_named(name, tmp_path / "Presets") == own.preset


def test_two_names_of_one_file_are_two_presets(tmp_path: Path) -> None:
    first, second = (save_preset(tmp_path, name, CONFIG, base="quick") for name in ("a/b", "a:b"))
    assert first.file != second.file
    assert len(read_presets(tmp_path).presets) == 2


def test_a_preset_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    save_preset(tmp_path, "Oils", CONFIG, base="quick")
    other = preset_config("standard", **PLACES, size=128)
    with pytest.raises(PresetExistsError, match="Oils"):
        save_preset(tmp_path, "OILS", other, base="standard")
    assert read_presets(tmp_path).presets[0].preset.values["epochs"] == 7
    save_preset(tmp_path, "OILS", other, base="standard", replace=True)
    (own,) = read_presets(tmp_path).presets
    assert (own.preset.name, own.preset.values["size"]) == ("OILS", 128)


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 61, "quick", "Standard", "SEASON AND LIGHT"])
def test_a_name_that_makes_no_sense_or_is_one_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        save_preset(tmp_path, name, CONFIG, base="quick")
    assert caught.value.field == "preset"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"warp_drive": 9}},
        {"settings": {"folder_A": "/elsewhere"}},
        {"settings": {"size": 3}},
        {"settings": []},
        {"begins_from": "none"},
        {"name": "quick"},
        {"name": 7},
        {"version": 99},
    ],
)
def test_a_damaged_file_costs_itself_only_and_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    good = save_preset(tmp_path, "Good", CONFIG, base="quick")
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({**json.loads(good.file.read_bytes()), "name": "Bad", **change}))
    found = read_presets(tmp_path)
    assert [own.preset.name for own in found.presets] == ["Good"]
    assert len(found.problems) == 1
    assert str(bad) in found.problems[0]


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 50_000, b"[]", b'{"name": "x"}'])
def test_a_file_that_is_nothing_of_ours_costs_itself_only(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "odd.json").write_bytes(data)
    (tmp_path / "notes.txt").write_text("not looked at")
    (tmp_path / "folder.json").mkdir()
    found = read_presets(tmp_path)
    assert not found.presets
    assert len(found.problems) == 2


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert not read_presets(tmp_path / "nowhere").problems


def test_a_deleted_preset_is_gone_and_may_be_gone_already(tmp_path: Path) -> None:
    own = save_preset(tmp_path, "Oils", CONFIG, base="quick")
    delete_preset(own)
    delete_preset(own)
    assert not read_presets(tmp_path).presets


def test_a_preset_is_found_by_its_name_or_its_file(tmp_path: Path) -> None:
    own = save_preset(tmp_path, "Oils", CONFIG, base="quick")
    assert preset_named("quick", tmp_path) == "quick"
    assert preset_named("oils", tmp_path) == own.preset
    assert preset_named(str(own.file), tmp_path / "elsewhere") == own.preset
    with pytest.raises(PresetError, match=r"choose quick, .* and Oils"):
        preset_named("Watercolours", tmp_path)


def test_every_preset_of_ours_says_what_it_is_for() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert 20 <= len(preset.summary) <= 120 and preset.summary.endswith(".")
        assert preset_config(name, **PLACES).preset == name
    groups = [preset.group for preset in PRESETS.values()]
    assert groups == sorted(groups, key=["purpose", "memory", "compare"].index)
