from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from cyclegan_desktop.settings import RECENT_FOLDERS, VERSION, Settings


def write(path: Path, **values: object) -> Path:
    path.write_text(json.dumps({"version": VERSION, **values}), encoding="utf-8")
    return path


def test_the_first_start_has_defaults_and_writes_nothing(tmp_path):
    path = tmp_path / "none" / "settings.json"
    settings = Settings.load(path)
    assert settings == Settings(path)
    assert not path.parent.exists()


def test_the_default_places_are_the_systems_own(own_folders):
    settings = Settings.load()
    assert settings.path == own_folders / "settings.json"
    assert settings.runs_folder == own_folders / "CycleGAN Desktop" / "Trainings"


def test_everything_that_is_saved_comes_back(tmp_path):
    settings = Settings(
        tmp_path / "deep" / "settings.json",
        recent_folders=[tmp_path / "Äpfel", tmp_path / "\udcff undecodable"],
        library=[tmp_path / "run"],
        hidden=[tmp_path / "old"],
        runs_folder=tmp_path / "runs",
        output_folder=tmp_path / "out",
        last_model=tmp_path / "model.safetensors",
        last_direction="b2a",
        compare_mode="side",
        window_geometry="AdnQ",
        plot_smoothing=0.5,
        plot_log_scale=True,
    )
    settings.save()
    assert Settings.load(settings.path) == settings
    assert [file.name for file in settings.path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recent_folders", "not a list"),
        ("runs_folder", 5),
        ("runs_folder", ""),
        ("runs_folder", "with\0null"),
        ("output_folder", ["a"]),
        ("last_direction", "sideways"),
        ("last_direction", ["a2b"]),
        ("compare_mode", "blink"),
        ("compare_mode", ["side"]),
        ("window_geometry", 7),
        ("plot_smoothing", 1.0),
        ("plot_smoothing", -1),
        ("plot_smoothing", True),
        ("plot_smoothing", "0.5"),
        ("plot_smoothing", float("nan")),
        ("plot_smoothing", 10**400),
        ("plot_log_scale", 1),
    ],
)
def test_a_bad_value_keeps_its_default_and_is_named_in_the_log(tmp_path, caplog, name, value):
    path = write(tmp_path / "settings.json", **{name: value, "library": [str(tmp_path / "run")]})
    settings = Settings.load(path)
    assert getattr(settings, name) == getattr(Settings(path), name)
    assert settings.library == [tmp_path / "run"], "the good values are kept"
    assert name in caplog.text


def test_one_bad_path_costs_only_itself(tmp_path, caplog):
    path = write(tmp_path / "settings.json", library=[str(tmp_path / "a"), 3, "", str(tmp_path / "a"), str(tmp_path)])
    assert Settings.load(path).library == [tmp_path / "a", tmp_path]
    assert "3 is no path" in caplog.text


def test_an_unknown_setting_is_left_out(tmp_path, caplog):
    path = write(tmp_path / "settings.json", colour="pink", plot_log_scale=True)
    assert Settings.load(path) == Settings(path, plot_log_scale=True)
    assert "colour" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b'"text"', b"\xff\xfe\x00", b'{"version": 99, "plot_smoothing": 0.1}', b"[" * 100_000],
)
def test_a_file_that_is_not_understood_is_kept_aside(tmp_path, caplog, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    settings = Settings.load(path)
    assert settings == Settings(path)
    settings.save()
    assert (tmp_path / "settings.unreadable.json").read_bytes() == content
    assert Settings.load(path) == settings
    assert caplog.records[0].levelno == logging.WARNING


def test_a_folder_that_cannot_be_written_to_costs_only_the_saving(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    settings = Settings(tmp_path / "file" / "settings.json")
    settings.save()
    assert "could not be saved" in caplog.text


def test_a_folder_in_place_of_the_file_is_no_obstacle(tmp_path, caplog):
    path = tmp_path / "settings.json"
    path.mkdir()
    settings = Settings.load(path)
    settings.save()
    assert settings == Settings(path)
    assert "could not be saved" in caplog.text


def test_recent_folders_are_few_and_newest_first(tmp_path):
    settings = Settings(tmp_path / "settings.json")
    folders = [tmp_path / str(number) for number in range(RECENT_FOLDERS + 3)]
    for folder in [*folders, folders[5]]:
        settings.remember_folder(folder)
    assert settings.recent_folders[:2] == [folders[5], folders[-1]]
    assert len(settings.recent_folders) == len(set(settings.recent_folders)) == RECENT_FOLDERS
    assert Settings.load(settings.path).recent_folders == settings.recent_folders


def test_what_is_taken_off_the_list_stays_off_until_it_is_used_again(tmp_path):
    settings = Settings(tmp_path / "settings.json")
    run = tmp_path / "run"
    settings.remember_in_library(run)
    settings.forget_in_library(run)
    assert (settings.library, Settings.load(settings.path).hidden) == ([], [run])
    settings.remember_in_library(run)
    assert (settings.library, settings.hidden) == ([run], [])
