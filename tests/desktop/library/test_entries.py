from __future__ import annotations

import dataclasses
from datetime import date

import pytest
from PySide6.QtGui import QColor

from cyclegan_desktop.library.entries import read_entry, read_library
from engine.events import DirectionQuality, QualityMeasured
from engine.model.architecture import Architecture
from engine.training.quality import append_quality
from engine.training.upkeep import About, disk_use, write_about


def test_a_training_tells_its_story(tmp_path, make_run):
    run = make_run(tmp_path / "run", step=5)
    entry = read_entry(run)
    assert (entry.kind, entry.path, entry.model) == ("run", run, run / "model.safetensors")
    assert (entry.name_A, entry.name_B, entry.preset, entry.size) == ("Apples", "Oranges", "quick", 64)
    assert (entry.step, entry.total_steps) == (5, 20)
    assert entry.day is not None
    assert entry.can_resume
    assert entry.can_convert
    assert [sheet.pixelColor(0, 0) for sheet in entry.sheets] == [QColor("red"), QColor("blue")]
    assert entry.thumbnail().size().toTuple() == (36, 16)


def test_a_training_tells_its_best_score_its_name_and_its_room(tmp_path, make_run, make_model):
    run = make_run(tmp_path / "run", step=5)
    quality = DirectionQuality("a2b", (64,), (3.0,), (8.0,), (1.0,), 0.1)
    append_quality(run, QualityMeasured(4, 2.0, (quality, dataclasses.replace(quality, direction="b2a")), True, 4))
    make_model(run / "best.safetensors", steps="4")
    write_about(run, About("Second try", "Better."))
    entry = read_entry(run)
    assert (entry.best_score, entry.best_step, entry.model) == (3.0, 4, run / "best.safetensors")
    assert (entry.name, entry.note, entry.seconds) == ("Second try", "Better.", 2.5)
    assert entry.disk == disk_use(run)
    assert entry.disk.total > 0
    assert set(entry.freeable) == {"checkpoints", "moments", "samples"}


def test_a_complete_training_is_not_resumed(tmp_path, make_run):
    entry = read_entry(make_run(tmp_path / "run", step=20))
    assert entry.is_complete
    assert not entry.can_resume
    assert entry.can_convert


def test_a_training_that_a_cap_has_ended_can_be_resumed(tmp_path, make_run):
    entry = read_entry(make_run(tmp_path / "run", step=8, max_steps=8))
    assert (entry.step, entry.total_steps) == (8, 20)
    assert entry.can_resume and not entry.is_complete


def test_a_training_before_its_first_save_is_listed_too(tmp_path, make_run):
    entry = read_entry(make_run(tmp_path / "run", is_saved=False))
    assert entry.kind == "run"
    assert not entry.can_convert
    assert entry.thumbnail().isNull()


def test_a_model_of_one_direction_says_which_and_what_it_is_made_of(tmp_path, make_model):
    story = {"directions": '["b2a"]', "discriminators": '{"kind": "pixel"}', "format_version": "2"}
    entry = read_entry(make_model(tmp_path / "a.safetensors", **story))
    assert (entry.directions, entry.has_discriminators) == (("b2a",), True)
    assert entry.architecture == Architecture(blocks=3, channels=32, long_skip=True)


def test_a_training_says_what_its_networks_are_made_of_before_it_has_a_model(tmp_path, make_run):
    entry = read_entry(make_run(tmp_path / "run", is_saved=False))
    assert entry.architecture == Architecture(blocks=3, channels=32, long_skip=True, resize_conv=True)
    assert entry.directions == ("a2b", "b2a")


def test_a_model_file_tells_its_story(tmp_path, make_model):
    model = make_model(tmp_path / "a.safetensors", note="Painted by Anna.")
    entry = read_entry(model)
    assert (entry.kind, entry.model, entry.step, entry.total_steps) == ("model", model, 1500, 0)
    assert (entry.name_A, entry.name_B, entry.day, entry.note) == (
        "Summer",
        "Winter",
        date(2026, 3, 1),
        "Painted by Anna.",
    )
    assert not entry.can_resume


def test_a_model_file_with_a_strange_date_is_listed_without_one(tmp_path, make_model):
    assert read_entry(make_model(tmp_path / "a.safetensors", date="yesterday")).day is None


def test_what_is_gone_is_listed_as_missing(tmp_path):
    entry = read_entry(tmp_path / "gone")
    assert entry.kind == "missing"
    assert not (entry.can_convert or entry.can_resume)


@pytest.mark.parametrize("config", [b"{", b"{}", b'{"format_version": 1}', b'{"format_version": 999}'])
def test_a_damaged_training_is_listed_with_the_reason(tmp_path, config):
    (tmp_path / "config.json").write_bytes(config)
    entry = read_entry(tmp_path)
    assert entry.kind == "unreadable"
    assert str(tmp_path) in entry.problem


def test_a_file_that_is_no_model_is_listed_with_the_reason(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"not a model")
    entry = read_entry(file)
    assert entry.kind == "unreadable"
    assert str(file) in entry.problem


def test_a_sheet_that_is_no_picture_is_left_out(tmp_path, make_run):
    run = make_run(tmp_path / "run")
    sheets = sorted((run / "samples").iterdir())
    sheets[0].write_bytes(b"no picture")
    assert len(read_entry(run).sheets) == 1
    sheets[1].write_bytes(b"no picture")
    assert read_entry(run).sheets == ()


def test_the_library_holds_what_is_known_what_is_found_and_the_starter(tmp_path, make_run, make_model):
    runs = tmp_path / "Trainings"
    found, hidden, known = (make_run(runs / name) for name in ("found", "hidden", "known"))
    (runs / "not a run").mkdir()
    (runs / "file.txt").write_text("x")
    gone = tmp_path / "gone.safetensors"
    starter = make_model(tmp_path / "starter.safetensors")
    entries = list(read_library([gone, known], runs, [hidden], starter))
    assert [(entry.path, entry.kind) for entry in entries] == [
        (gone, "missing"),
        (known, "run"),
        (found, "run"),
        (starter, "starter"),
    ]


def test_the_starter_is_listed_once_also_when_it_was_used(tmp_path, make_model):
    starter = make_model(tmp_path / "starter.safetensors")
    entries = list(read_library([starter], tmp_path / "none", [], starter))
    assert [entry.kind for entry in entries] == ["starter"]


def test_without_a_starter_and_runs_there_is_nothing(tmp_path):
    assert list(read_library([], tmp_path / "none", [], tmp_path / "none.safetensors")) == []
