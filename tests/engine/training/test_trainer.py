from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import TrainConfig
from engine.conversion.model_file import read_model_info
from engine.errors import DataError, DivergedError, EngineError, RunError
from engine.events import (
    LOSS_NAMES,
    Notice,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.model.cyclegan import CycleGAN
from engine.tensor_file import read_tensors
from engine.training import trainer
from engine.training.trainer import resume, train

MakeConfig = Callable[..., TrainConfig]
ALL_STEPS = 12


def events_of(kind: type, events: list[TrainEvent]) -> list:
    return [event for event in events if isinstance(event, kind)]


def close_after(events: Iterator[TrainEvent], step: int) -> None:
    """Close the generator at the report of a step, as a stop does."""
    for event in events:
        if isinstance(event, StepReport) and event.step >= step:
            break
    events.close()


def final_state(run: Path) -> dict[str, torch.Tensor]:
    newest = max((run / "checkpoints").glob("*.safetensors"))
    return read_tensors(newest)[0]


def assert_same_state(one: Path, other: Path) -> None:
    first, second = final_state(one), final_state(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report after each step, not by the clock."""
    monkeypatch.setattr(trainer, "_REPORT_SECONDS", 0.0)


@pytest.mark.usefixtures("every_step")
def test_a_training_leaves_a_run_that_people_and_tools_can_read(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    events = list(train(config))

    started = events_of(TrainStarted, events)[0]
    assert (started.total_steps, started.steps_per_epoch, started.count_A, started.count_B) == (ALL_STEPS, 6, 6, 5)
    reports = events_of(StepReport, events)
    assert [report.step for report in reports] == list(range(1, ALL_STEPS + 1))
    assert [report.epoch for report in reports] == [1] * 6 + [2] * 6
    assert [report.learning_rate for report in reports] == [2e-4] * 6 + [1e-4] * 6
    assert reports[-1].seconds_left == 0
    assert events[-1] == TrainFinished(ALL_STEPS, "complete", config.run / "model.safetensors", events[-1].seconds)

    document = json.loads((config.run / "config.json").read_text())
    assert document["config"]["size"] == 32
    assert document["pictures"]["train_A"] == [f"{number:03}.png" for number in range(6)]
    with (config.run / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "epoch", "seconds", "lr", *LOSS_NAMES]
    assert [int(row["step"]) for row in rows] == list(range(1, ALL_STEPS + 1))
    info = read_model_info(config.run)
    assert (info.name_A, info.name_B, info.steps) == ("Reds", "Blues", ALL_STEPS)
    assert "Finished at step 12" in (config.run / "log.txt").read_text()


def test_samples_show_both_directions_and_say_that_they_are_trained_on(tiny_config: MakeConfig) -> None:
    drawn = events_of(SamplesDrawn, list(train(tiny_config())))
    assert {event.step for event in drawn} >= {0, ALL_STEPS}
    for event in drawn:
        assert not event.held_out
        assert {sample.direction for sample in event.samples} == {"a2b", "b2a"}
        for sample in event.samples:
            assert sample.original.shape == sample.translated.shape == sample.back.shape == (128, 128, 3)
            assert sample.original.dtype == np.uint8
        for file in event.files:
            with Image.open(file) as sheet:
                assert sheet.size == (3 * 128 + 2 * 4, 4 * 128 + 3 * 4)


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("stops", [(1,), (5,), (6,), (3, 4, 11)])
def test_a_stopped_and_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    tiny_config: MakeConfig, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    list(train(tiny_config(run=tmp_path / "whole")))
    close_after(train(tiny_config()), stops[0])
    for stop in stops[1:]:
        close_after(resume(tmp_path / "run"), stop)
    events = list(resume(tmp_path / "run"))
    assert not events_of(Notice, events)
    assert events_of(TrainStarted, events)[0].step == stops[-1]
    assert_same_state(tmp_path / "whole", tmp_path / "run")
    with (tmp_path / "run" / "losses.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, ALL_STEPS + 1))


@pytest.mark.usefixtures("every_step")
def test_stopping_before_the_first_step_leaves_a_training_that_can_be_resumed(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    list(train(tiny_config(run=tmp_path / "whole")))
    events = train(tiny_config())
    while not isinstance(next(events), TrainStarted):
        pass
    events.close()
    list(resume(tmp_path / "run"))
    assert_same_state(tmp_path / "whole", tmp_path / "run")


def test_stopping_while_preparing_leaves_nothing_behind(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    events = train(config)
    next(events)
    events.close()
    assert not config.run.exists()


def test_a_cap_on_steps_ends_the_training_and_a_larger_one_goes_on(tiny_config: MakeConfig, tmp_path: Path) -> None:
    list(train(tiny_config(run=tmp_path / "whole")))
    config = tiny_config(max_steps=5)
    assert list(train(config))[-1].reason == "max_steps"
    assert list(resume(config.run, max_steps=8))[-1].step == 8
    # The cap is reached, so a plain resume goes on to the end and says so.
    events = list(resume(config.run))
    assert "cap of 8 steps" in events_of(Notice, events)[0].text
    assert events[-1].reason == "complete"
    assert_same_state(tmp_path / "whole", config.run)


def test_a_cap_that_is_not_reached_is_kept_on_resume(tiny_config: MakeConfig) -> None:
    config = tiny_config(max_steps=9)
    close_after(train(config), 1)
    assert list(resume(config.run))[-1].step == 9


def test_a_complete_training_says_how_to_train_on(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    list(train(config))
    with pytest.raises(RunError, match=r"complete.*--epochs 3"):
        list(resume(config.run))
    assert list(resume(config.run, epochs=2))[-1].step == 18


def test_a_cap_on_minutes_ends_the_sitting(tiny_config: MakeConfig) -> None:
    events = list(train(tiny_config(epochs=10_000, max_minutes=0.02)))
    assert events[-1].reason == "max_minutes"
    assert 0 < events[-1].step < 60_000


def test_a_second_trainer_is_kept_out_while_the_first_is_at_work(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    events = train(config)
    while not isinstance(next(events), TrainStarted):
        pass
    with pytest.raises(RunError, match="being trained by another"):
        list(resume(config.run))
    events.close()
    assert list(resume(config.run))[-1].step == ALL_STEPS


def test_a_new_training_in_an_existing_run_is_refused_with_the_way_to_resume_it(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    list(train(config))
    before = {path: path.read_bytes() for path in config.run.rglob("*") if path.is_file()}
    with pytest.raises(EngineError, match="--resume"):
        list(train(config))
    assert before == {path: path.read_bytes() for path in config.run.rglob("*") if path.is_file()}


def test_a_folder_with_other_files_is_not_trained_into(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    config.run.mkdir()
    (config.run / "diary.txt").write_text("mine")
    with pytest.raises(EngineError, match="empty"):
        list(train(config))
    assert [path.name for path in config.run.iterdir()] == ["diary.txt"]


@pytest.mark.usefixtures("every_step")
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    list(train(tiny_config(run=tmp_path / "whole")))
    config = tiny_config()
    close_after(train(config), 4)
    close_after(resume(config.run), 8)
    newest = config.run / "checkpoints" / "step_00000008.safetensors"
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    events = list(resume(config.run))
    notice = events_of(Notice, events)[0].text
    assert "step_00000008.safetensors" in notice and "from step 4" in notice
    assert events_of(TrainStarted, events)[0].step == 4
    assert_same_state(tmp_path / "whole", config.run)
    with (config.run / "losses.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, ALL_STEPS + 1))


@pytest.mark.usefixtures("every_step")
def test_a_crash_before_the_first_save_by_the_clock_can_be_resumed(tiny_config: MakeConfig, tmp_path: Path) -> None:
    list(train(tiny_config(run=tmp_path / "whole")))
    config = tiny_config()
    events = train(config)
    for event in events:
        if isinstance(event, StepReport) and event.step == 3:
            break
    # A crash closes no generator: what is on disk at this moment is all there is.
    crashed = tmp_path / "crashed"
    shutil.copytree(config.run, crashed)
    events.close()
    assert events_of(TrainStarted, list(resume(crashed)))[0].step == 0
    assert_same_state(tmp_path / "whole", crashed)


@pytest.mark.usefixtures("every_step")
def test_damaged_checkpoints_take_no_place_among_those_that_are_kept(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    close_after(train(config), 3)
    close_after(resume(config.run), 6)
    for step in (3, 6):
        (config.run / "checkpoints" / f"step_{step:08d}.safetensors").write_bytes(b"nothing")
    for step in (1, 2):
        close_after(resume(config.run), step)
    kept = sorted(path.name for path in (config.run / "checkpoints").glob("*.safetensors"))
    assert kept == [f"step_{step:08d}.safetensors" for step in (0, 1, 2)]
    assert not events_of(Notice, list(resume(config.run)))


def test_a_refused_resume_changes_nothing(tiny_config: MakeConfig) -> None:
    config = tiny_config(epochs=5, max_steps=18)
    list(train(config))
    before = {path: path.read_bytes() for path in config.run.rglob("*") if path.is_file()}
    for changes in ({"epochs": 2, "decay_epochs": 0}, {"max_steps": 4}):
        with pytest.raises(RunError):
            list(resume(config.run, **changes))
    assert before == {path: path.read_bytes() for path in config.run.rglob("*") if path.is_file()}


def test_the_total_that_a_complete_training_is_told_to_take_is_large_enough(tiny_config: MakeConfig) -> None:
    config = tiny_config(epochs=3)
    list(train(config))
    with pytest.raises(RunError, match="complete") as caught:
        list(resume(config.run, epochs=1))
    epochs = int(str(caught.value).rpartition("--epochs ")[2].removesuffix("."))
    assert list(resume(config.run, epochs=epochs))[-1].step > 24


def test_a_run_begun_with_relative_paths_is_resumed_from_anywhere(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    close_after(train(tiny_config(folder_A=Path("A"), folder_B=Path("B"), run=Path("run"))), 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert list(resume(tmp_path / "run"))[-1].step == ALL_STEPS


def test_without_a_whole_checkpoint_the_sentence_names_them(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    list(train(config))
    for path in (config.run / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(RunError, match="None of the checkpoints"):
        list(resume(config.run, epochs=5))


def test_the_last_three_checkpoints_are_kept(tiny_config: MakeConfig) -> None:
    config = tiny_config(save_minutes=1e-9)
    events = list(train(config))
    assert [event.step for event in events_of(Saved, events)] == list(range(ALL_STEPS + 1))
    kept = sorted(path.name for path in (config.run / "checkpoints").iterdir())
    assert kept == [f"step_{step:08d}.safetensors" for step in (10, 11, 12)]


def test_a_full_disk_at_a_save_is_told_and_costs_nothing(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = trainer.save_checkpoint, []

    def full_once(*arguments: object, **values: object) -> Path:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*arguments, **values)

    monkeypatch.setattr(trainer, "save_checkpoint", full_once)
    monkeypatch.setattr(trainer, "_DISK_RETRY_SECONDS", 0.0)
    events = list(train(tiny_config(save_minutes=1e-9)))
    assert "no space left" in events_of(Notice, events)[0].text
    assert events[-1].step == ALL_STEPS


def test_losses_and_samples_that_cannot_be_written_do_not_end_the_training(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    config = tiny_config()
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_sheet", full)
        patch.setattr(trainer.Run, "append_losses", full)
        events = list(train(config))
    notices = [event.text for event in events_of(Notice, events)]
    assert len(notices) == 1 and "no space left" in notices[0]
    assert events[-1].step == ALL_STEPS


def test_a_disk_that_is_full_from_the_start_is_an_error_with_a_sentence(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer, "save_checkpoint", full)
    with pytest.raises(RunError, match="no space left"):
        list(train(tiny_config()))


def test_a_cap_below_the_steps_taken_names_both(tiny_config: MakeConfig) -> None:
    config = tiny_config(max_steps=5)
    list(train(config))
    with pytest.raises(RunError, match="already taken 5 steps, and the cap is 3"):
        list(resume(config.run, max_steps=3))


def _poison(monkeypatch: pytest.MonkeyPatch, at_step: int) -> None:
    real = CycleGAN.step

    def step(self: CycleGAN, real_A: torch.Tensor, real_B: torch.Tensor, **values: float) -> object:
        if values["first_number"] == at_step:
            real_A = real_A / 0
        return real(self, real_A, real_B, **values)

    monkeypatch.setattr(CycleGAN, "step", step)


@pytest.mark.usefixtures("every_step")
def test_a_model_that_diverged_is_not_saved(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    close_after(train(config), 3)
    before = final_state(config.run)
    with monkeypatch.context() as patch:
        _poison(patch, 6)
        with pytest.raises(DivergedError, match="not a finite number"):
            list(resume(config.run))
    after = final_state(config.run)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert list(resume(config.run))[-1].step == ALL_STEPS


def test_a_stop_between_divergence_and_its_report_saves_nothing_either(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    monkeypatch.setattr(trainer, "_REPORT_SECONDS", 0.0)
    _poison(monkeypatch, 0)
    monkeypatch.setattr(trainer.math, "isfinite", lambda value: True)
    with pytest.raises(DivergedError, match="not saved"):
        close_after(train(config), 1)
    assert [path.name for path in (config.run / "checkpoints").iterdir()] == ["step_00000000.safetensors"]


def test_pictures_that_vanish_end_the_training_saved_with_a_sentence(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "cache_bytes", lambda device: 0)
    monkeypatch.setattr(trainer, "_REPORT_SECONDS", 0.0)
    config = tiny_config(epochs=100)
    with pytest.raises(DataError, match="can be read any more"):
        for event in train(config):
            if isinstance(event, StepReport) and event.step == 2:
                for path in config.folder_B.iterdir():
                    path.unlink()
    assert int(max((config.run / "checkpoints").iterdir()).stem.removeprefix("step_")) >= 2


def test_an_unreadable_picture_among_good_ones_is_named_and_left_out(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    broken = config.folder_A / "001.png"
    broken.write_bytes(broken.read_bytes()[:60])
    events = list(train(config))
    assert "001.png" in events_of(Notice, events)[0].text
    assert events[-1].step == ALL_STEPS


def test_two_percent_are_held_out_where_there_are_enough_and_the_preset_allows(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    for name in ("A", "B"):
        for number in range(6, 100):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / name / f"{number:03}.png")
    pictures = trainer.find_pictures(tiny_config())
    assert pictures.held_out
    assert (len(pictures.train_A), len(pictures.sample_A)) == (98, 2)
    assert not set(pictures.train_A) & set(pictures.sample_A)
    assert trainer.find_pictures(tiny_config(seed=1)).sample_A != pictures.sample_A
    assert trainer.find_pictures(tiny_config()).sample_A == pictures.sample_A
    everything = trainer.find_pictures(tiny_config(hold_out=False))
    assert not everything.held_out and len(everything.train_A) == 100


def test_test_folders_are_the_held_out_pictures(tiny_config: MakeConfig, tmp_path: Path) -> None:
    for name in ("testA", "testB"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "held.png")
    pictures = trainer.find_pictures(tiny_config(test_A=tmp_path / "testA", test_B=tmp_path / "testB"))
    assert pictures.held_out
    assert pictures.sample_A == (tmp_path / "testA" / "held.png",)
    assert len(pictures.train_A) == 6


def test_another_precision_on_resume_is_stored_and_said_not_to_be_exact(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    close_after(train(config), 1)
    events = list(resume(config.run, precision="bf16"))
    assert "not bit for bit" in events_of(Notice, events)[0].text
    assert events_of(TrainStarted, events)[0].precision == "bf16"
    assert json.loads((config.run / "config.json").read_text())["choices"]["precision"] == "bf16"


def test_on_other_hardware_the_choices_are_made_anew(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    close_after(train(config), 1)
    monkeypatch.setattr(trainer, "hardware_name", lambda device: "cpu: another one")
    events = list(resume(config.run))
    assert "not bit for bit" in events_of(Notice, events)[0].text


def test_a_moved_run_can_be_resumed(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config()
    close_after(train(config), 1)
    moved = config.run.rename(tmp_path / "elsewhere")
    assert list(resume(moved))[-1].model == moved / "model.safetensors"


def test_out_of_memory_becomes_a_sentence_with_remedies(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(CycleGAN, "step", step)
    with pytest.raises(EngineError, match="smaller picture size"):
        list(train(tiny_config()))


def test_float_settings_survive_a_resume(tiny_config: MakeConfig) -> None:
    config = tiny_config(learning_rate=1e-3, lambda_identity=0.0)
    close_after(train(config), 1)
    list(resume(config.run))
    stored = TrainConfig.from_json(json.loads((config.run / "config.json").read_text())["config"])
    assert stored == dataclasses.replace(config, max_minutes=None)
