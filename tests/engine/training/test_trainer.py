from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import TrainConfig
from engine.conversion.model_file import default_model, read_model_info, write_model
from engine.data import unpaired
from engine.data.picture_cache import CacheRoom
from engine.errors import ConfigError, DataError, DivergedError, EngineError, OutOfMemoryError, RunError
from engine.events import (
    LOSS_NAMES,
    Notice,
    Preparing,
    QualityMeasured,
    RolledBack,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.model import cyclegan
from engine.model.cyclegan import CycleGAN
from engine.tensor_file import read_tensors
from engine.training import preparing, reporter, sample_keeper, saver, sitting, steps, trainer
from engine.training.estimate import estimate
from engine.training.preparing import advice, find_pictures
from engine.training.quality import read_quality
from engine.training.run import Choices, Run, read_marks, read_run_summary
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


def run_choices(folder: Path) -> Choices:
    return Choices(**json.loads((folder / "config.json").read_bytes())["choices"])


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
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 0.0)


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
    assert events[-1] == TrainFinished(ALL_STEPS, "complete", default_model(config.run), events[-1].seconds)

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
@pytest.mark.parametrize(
    "options",
    [
        # Two steps an epoch, and rates so low that nothing gets better: the rate falls in the seventh and later.
        {"schedule": "plateau", "batch_size": 3, "epochs": 6, "decay_epochs": 4, "learning_rate": 1e-9},
        {"dropout": True},
        {"ema_decay": 0.9},
        {"batch_size": 2, "accumulate": 2, "epochs": 3, "decay_epochs": 3},
        {"grow_from": 16, "discriminator_layers": 2},
        {"diff_augment": True, "gradient_penalty": 0.1, "spectral_norm": True},
        {"generator": "unet", "halvings": 5, "norm": "batch"},
        {"grey_A": True},
        {"schedule": "cosine", "gan_loss": "hinge", "clip_gradient": 1.0, "jitter_in_decay": False},
    ],
    ids="-".join,
)
def test_with_every_option_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    tiny_config: MakeConfig, tmp_path: Path, options: dict[str, object]
) -> None:
    whole = list(train(tiny_config(run=tmp_path / "whole", **options)))
    end = whole[-1].step
    config = tiny_config(**options)
    close_after(train(config), end // 4)
    # Amid an epoch of the plateau, where it grows, and where the rate begins to fall.
    close_after(resume(config.run), 3 if "grow_from" in options else end // 2 + 3)
    events = list(resume(config.run))
    assert events[-1].step == end
    assert_same_state(tmp_path / "whole", config.run)
    rates = [[report.learning_rate for report in events_of(StepReport, each)] for each in (whole, events)]
    assert rates[1] == rates[0][-len(rates[1]) :]


@pytest.mark.usefixtures("every_step")
def test_on_a_plateau_the_rate_falls_and_stays_low_after_a_resume(tiny_config: MakeConfig) -> None:
    options = {"schedule": "plateau", "batch_size": 6, "epochs": 8, "decay_epochs": 0, "learning_rate": 1e-9}
    config = tiny_config(**options, flip=False, load_size=32)
    rates = [report.learning_rate for report in events_of(StepReport, list(train(config)))]
    # Nothing changes, so each epoch is as good as the first up to how its pictures are paired.
    assert rates == [pytest.approx(1e-9)] * 7 + [pytest.approx(2e-10)]
    (report,) = events_of(StepReport, list(resume(config.run, epochs=9)))
    assert report.learning_rate == pytest.approx(2e-10)


@pytest.mark.usefixtures("every_step")
def test_a_growing_training_sees_small_pictures_first_and_says_when_they_grow(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []
    real = CycleGAN.step

    def step(self: CycleGAN, real_A: torch.Tensor, real_B: torch.Tensor, **values: float) -> object:
        assert real_A.shape == real_B.shape
        assert real_A.abs().max() <= 1
        sizes.append(tuple(real_A.shape[-2:]))
        return real(self, real_A, real_B, **values)

    monkeypatch.setattr(CycleGAN, "step", step)
    events = list(train(tiny_config(grow_from=16, width=48, discriminator_layers=2)))
    assert sizes == [(16, 24)] * 3 + [(32, 48)] * 9
    (notice,) = events_of(Notice, events)
    assert "From step 3 on" in notice.text and "32 px" in notice.text


@pytest.mark.usefixtures("every_step")
def test_the_model_file_holds_the_averaged_generators(tiny_config: MakeConfig) -> None:
    config = tiny_config(ema_decay=0.9)
    list(train(config))
    state, (model, _) = final_state(config.run), read_tensors(config.run / "model.safetensors")
    for name in ("G_AB", "G_BA"):
        keys = [key.removeprefix(f"{name}.") for key in model if key.startswith(name)]
        assert keys
        assert all(torch.equal(model[f"{name}.{key}"], state[f"ema_{name}.{key}"]) for key in keys)
        assert not all(torch.equal(model[f"{name}.{key}"], state[f"{name}.{key}"]) for key in keys)


def test_a_training_that_starts_from_another_begins_with_its_networks(tiny_config: MakeConfig, tmp_path: Path) -> None:
    list(train(tiny_config(run=tmp_path / "first")))
    config = tiny_config(start_from=tmp_path / "first", seed=5)
    events = train(config)
    while not isinstance(next(events), Saved):
        pass
    state, first = final_state(config.run), final_state(tmp_path / "first")
    networks = [name for name in first if name.startswith(("G_", "D_"))]
    assert networks and all(torch.equal(state[name], first[name]) for name in networks)
    assert not any(name.startswith(("optimizer", "pool")) for name in state)
    events.close()
    # What it started from is not needed any more.
    shutil.rmtree(tmp_path / "first")
    assert list(resume(config.run))[-1].step == ALL_STEPS


@pytest.mark.parametrize("work", [train, estimate])
def test_a_model_made_otherwise_is_refused_with_the_flags_that_fit(
    tiny_config: MakeConfig, tmp_path: Path, work: Callable[[TrainConfig], Iterator[object]]
) -> None:
    list(train(tiny_config(run=tmp_path / "first", blocks=2, long_skip=True, max_steps=1)))
    config = tiny_config(start_from=tmp_path / "first", dropout=True)
    with pytest.raises(ConfigError, match=r"--blocks 2 --no-dropout --long-skip;") as caught:
        list(work(config))
    assert caught.value.field == "start_from"
    assert not config.run.exists()


@pytest.mark.parametrize("work", [train, estimate])
@pytest.mark.parametrize(
    ("made", "wanted", "flags"),
    [
        ({"spectral_norm": True}, {}, "--spectral-norm"),
        ({}, {"spectral_norm": True}, "--no-spectral-norm"),
        ({"discriminator_layers": 1}, {}, "--discriminator-layers 1"),
        ({"discriminator": "pixel", "discriminator_layers": 1}, {}, "--discriminator pixel"),
        ({"discriminator_channels": 6}, {}, "--discriminator-channels 6"),
        ({}, {"discriminator_channels": 6}, "--discriminator-channels 4"),
        ({"channels": 6}, {}, "--channels 6 --discriminator-channels 6"),
    ],
)
def test_discriminators_made_otherwise_are_refused_before_anything_is_measured(
    tiny_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[TrainConfig], Iterator[object]],
    made: dict[str, object],
    wanted: dict[str, object],
    flags: str,
) -> None:
    list(train(tiny_config(run=tmp_path / "first", max_steps=1, **made)))
    monkeypatch.setattr(preparing, "choose_device", lambda name: pytest.fail("it was measured"))
    config = tiny_config(start_from=tmp_path / "first", **wanted)
    with pytest.raises(ConfigError, match=f"train with {flags};") as caught:
        list(work(config))
    assert caught.value.field == "start_from"


def test_a_training_starts_from_another_with_its_settings_whatever_its_discriminators_are(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    list(train(tiny_config(run=tmp_path / "first", max_steps=1, discriminator="pixel", discriminator_channels=6)))
    # Layers that pixels do not have make no difference.
    settings = read_model_info(tmp_path / "first").settings | {"discriminator_layers": 2}
    config = tiny_config(start_from=tmp_path / "first", learning_rate=1e-9, max_steps=1, **settings)
    list(train(config))
    state, first = final_state(config.run), final_state(tmp_path / "first")
    assert torch.allclose(state["D_A.net.0.weight"], first["D_A.net.0.weight"], atol=1e-6)


def test_a_start_that_is_no_model_is_refused_beside_its_field(tiny_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    for path in (tmp_path / "notes.txt", tmp_path / "nowhere", tmp_path / (300 * "a"), tmp_path):
        with pytest.raises(ConfigError) as caught:
            list(train(tiny_config(start_from=path)))
        assert caught.value.field == "start_from"


def test_a_start_with_one_direction_only_is_refused(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config()
    model = CycleGAN(config, torch.device("cpu"))
    write_model(tmp_path / "one.safetensors", {"a2b": model.G_AB}, config, steps=1)
    with pytest.raises(ConfigError, match="only the direction Reds to Blues"):
        list(train(tiny_config(start_from=tmp_path / "one.safetensors")))


def test_what_is_worth_saying_is_said_at_the_start_and_only_then(tiny_config: MakeConfig) -> None:
    config = tiny_config(grey_A=True, max_steps=1)
    (notice,) = events_of(Notice, list(train(config)))
    assert "no identity loss" in notice.text
    assert not events_of(Notice, list(resume(config.run, max_steps=2)))
    pictures = find_pictures(tiny_config(run=config.run / "another"))
    assert "--diff-augment" in advice(tiny_config(epochs=50), pictures)[0]
    for quiet in (tiny_config(epochs=50, diff_augment=True), tiny_config(epochs=50, preset="paper"), tiny_config()):
        assert advice(quiet, pictures) == []
    # One small side is enough.
    lopsided = dataclasses.replace(pictures, train_B=100 * pictures.train_B)
    assert len(lopsided.train_B) >= 500
    assert "(here 6 and 500)" in advice(tiny_config(epochs=1), lopsided)[0]


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


def test_a_sitting_of_seconds_is_not_spent_on_measuring_what_it_begins_with(tiny_config: MakeConfig) -> None:
    config = tiny_config(epochs=10_000, max_minutes=0.02)
    events = list(train(config))
    assert [event.step for event in events_of(QualityMeasured, events)] == [events[-1].step]
    longer = resume(config.run, max_steps=events[-1].step + 1)
    assert [event.step for event in events_of(QualityMeasured, list(longer))] == [events[-1].step + 1]
    first = events_of(QualityMeasured, list(train(tiny_config(run=config.run.with_name("other"), max_steps=1))))[0]
    assert first.step == 0


def test_a_sitting_whose_time_goes_into_its_beginning_still_takes_a_step(tiny_config: MakeConfig) -> None:
    config = tiny_config(epochs=10_000, max_minutes=1e-9)
    for step in (1, 2):
        *_, end = train(config) if step == 1 else resume(config.run, max_minutes=1e-9)
        assert (end.step, end.reason) == (step, "max_minutes")


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
    told = re.search(r"--epochs (\d+)", str(caught.value))
    assert told is not None
    epochs = int(told[1])
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
    real, calls = saver.save_checkpoint, []

    def full_once(*arguments: object, **values: object) -> Path:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*arguments, **values)

    monkeypatch.setattr(saver, "save_checkpoint", full_once)
    monkeypatch.setattr(saver, "_DISK_RETRY_SECONDS", 0.0)
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
        patch.setattr(sample_keeper, "write_sheet", full)
        patch.setattr(Run, "append_losses", full)
        events = list(train(config))
    notices = [event.text for event in events_of(Notice, events)]
    assert len(notices) == 1 and "no space left" in notices[0]
    assert events[-1].step == ALL_STEPS


def test_a_disk_that_is_full_from_the_start_is_an_error_with_a_sentence(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saver, "save_checkpoint", full)
    with pytest.raises(RunError, match="no space left"):
        list(train(tiny_config()))


def test_a_cap_below_the_steps_taken_names_both(tiny_config: MakeConfig) -> None:
    config = tiny_config(max_steps=5)
    list(train(config))
    with pytest.raises(RunError, match="already taken 5 steps, and the cap is 3"):
        list(resume(config.run, max_steps=3))


def _poison(monkeypatch: pytest.MonkeyPatch, is_spoilt: Callable[[int], bool]) -> list[float]:
    """Let the pictures of some steps be infinite; returns the rates of all steps as they are taken."""
    real = CycleGAN.step
    rates: list[float] = []

    def step(self: CycleGAN, real_A: torch.Tensor, real_B: torch.Tensor, **values: float) -> object:
        rates.append(values["learning_rate"])
        return real(self, real_A / 0 if is_spoilt(len(rates)) else real_A, real_B, **values)

    monkeypatch.setattr(CycleGAN, "step", step)
    return rates


@pytest.mark.parametrize("seconds", [0.0, 1000.0], ids=["each-step-reported", "reported-together"])
def test_a_step_whose_numbers_are_not_finite_is_left_out_and_told(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(reporter, "REPORT_SECONDS", seconds)
    _poison(monkeypatch, lambda taken: taken == 6)
    config = tiny_config()
    events = list(train(config))
    assert events[-1].step == ALL_STEPS
    (notice,) = events_of(Notice, events)
    assert "1 step was left out" in notice.text
    for report in events_of(StepReport, events):
        assert all(np.isfinite(getattr(report.losses, name)) for name in LOSS_NAMES)


@pytest.mark.usefixtures("every_step")
def test_three_such_steps_in_a_row_go_back_to_the_last_checkpoint_with_half_the_rate(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    close_after(train(config), 4)
    rates = _poison(monkeypatch, lambda taken: 2 <= taken <= 4)
    events = list(resume(config.run))
    (back,) = events_of(RolledBack, events)
    assert (back.from_step, back.step, back.rate_factor) == (8, 4, 0.5)
    assert "went back to step 4" in back.text and back.text in (config.run / "log.txt").read_text()
    # Steps 5 to 8 at the scheduled rate, then the same steps and all others at half of it.
    assert rates == pytest.approx([2e-4] * 2 + [1e-4] * 2 + [1e-4] * 2 + [5e-5] * 6)
    assert events[-1].step == ALL_STEPS
    with (config.run / "losses.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, ALL_STEPS + 1))


@pytest.mark.usefixtures("every_step")
def test_the_lower_rate_is_kept_by_a_resume_even_if_nothing_was_saved_since(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    rates = _poison(monkeypatch, lambda taken: 2 <= taken <= 4)
    events = train(config)
    assert any(isinstance(event, RolledBack) for event in events)
    # As a crash would leave it.
    copy = shutil.copytree(config.run, config.run.with_name("copy"))
    events.close()
    rates.clear()
    close_after(resume(copy), 1)
    assert rates == [1e-4]


def test_numbers_that_stay_not_finite_end_the_training_with_remedies_and_what_is_on_disk_is_sound(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 0.0)
    close_after(train(config), 3)
    before = final_state(config.run)
    told: list[TrainEvent] = []
    with monkeypatch.context() as patch:
        _poison(patch, lambda taken: taken > 1)
        with pytest.raises(DivergedError, match="resume it with a lower learning rate"):
            for event in resume(config.run):
                told.append(event)
    assert [event.rate_factor for event in events_of(RolledBack, told)] == [0.5, 0.25, 0.125]
    after = final_state(config.run)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert list(resume(config.run))[-1].step == ALL_STEPS


@pytest.mark.usefixtures("every_step")
def test_going_back_now_and_then_is_no_reason_to_end(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(save_minutes=1e-9, epochs=5)
    # Four times three bad steps, each with good ones after it that get past where it failed.
    _poison(monkeypatch, lambda taken: taken % 9 in (6, 7, 8))
    events = list(train(config))
    assert len(events_of(RolledBack, events)) == 4
    assert events[-1].step == 36


def test_a_stop_after_weights_became_no_numbers_saves_nothing(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 0.0)
    real = CycleGAN.step

    def step(self: CycleGAN, *pictures: torch.Tensor, **values: float) -> object:
        losses = real(self, *pictures, **values)
        with torch.no_grad():
            next(self.G_BA.parameters()).fill_(float("nan"))
        return losses

    monkeypatch.setattr(CycleGAN, "step", step)
    with pytest.raises(DivergedError, match="not saved"):
        close_after(train(config), 1)
    assert [path.name for path in (config.run / "checkpoints").iterdir()] == ["step_00000000.safetensors"]


@pytest.mark.parametrize("save_minutes", [1e-9, 60.0])
def test_weights_that_became_no_numbers_are_not_saved_and_the_training_goes_back(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, save_minutes: float
) -> None:
    config = tiny_config(save_minutes=save_minutes)
    real, taken = CycleGAN.step, 0

    def step(self: CycleGAN, *pictures: torch.Tensor, **values: float) -> object:
        nonlocal taken
        taken += 1
        losses = real(self, *pictures, **values)
        if taken == ALL_STEPS:  # The very last, which is saved whatever the clock says.
            with torch.no_grad():
                next(self.G_BA.parameters()).fill_(float("nan"))
        return losses

    monkeypatch.setattr(CycleGAN, "step", step)
    events = list(train(config))
    (back,) = events_of(RolledBack, events)
    assert (back.from_step, back.rate_factor) == (ALL_STEPS, 0.5)
    assert "weights were not finite" in back.text
    assert isinstance(events[-1], TrainFinished)
    assert events[-1].step == ALL_STEPS
    assert all(torch.isfinite(value).all() for value in final_state(config.run).values() if value.is_floating_point())


@pytest.mark.usefixtures("every_step")
def test_a_stop_while_the_quality_is_measured_waits_for_none_of_the_rest_and_saves(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    events = train(config)
    last_step = 0
    for event in events:
        if isinstance(event, StepReport):
            last_step = event.step
        if isinstance(event, Preparing) and event.text == "Measuring the quality" and last_step:
            break
    events.close()
    assert read_run_summary(config.run).step >= last_step > 0
    assert all(measured.step < last_step for measured in read_quality(config.run))


@pytest.mark.usefixtures("every_step")
def test_what_is_fastest_can_be_measured_again_and_that_is_told_and_stored(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    close_after(train(config), 2)
    monkeypatch.setattr(preparing, "choose", lambda config: dataclasses.replace(run_choices(config.run), threads=3))
    kept = list(itertools.islice(resume(config.run), 3))
    assert not any("measured again" in event.text for event in events_of(Notice, kept))
    assert run_choices(config.run).threads != 3
    for module in (preparing, sitting):
        monkeypatch.setattr(module, "measures", lambda _config, _choices: True)
    again = list(resume(config.run, measure_again=True))
    assert any("last bits" in event.text for event in events_of(Notice, again))
    assert [event.can_measure_again for event in events_of(TrainStarted, again)] == [True]
    assert run_choices(config.run).threads == 3


@pytest.mark.usefixtures("every_step")
def test_where_nothing_is_chosen_by_measurement_measuring_again_says_so_and_changes_nothing(
    tiny_config: MakeConfig,
) -> None:
    config = tiny_config()  # So small a training has nothing to measure, just like one on a GPU.
    close_after(train(config), 2)
    before = run_choices(config.run)
    events = list(resume(config.run, measure_again=True))
    told = [event.text for event in events_of(Notice, events)]
    assert any("nothing to measure" in text for text in told)
    assert not any("last bits" in text for text in told)
    assert [event.can_measure_again for event in events_of(TrainStarted, events)] == [False]
    assert run_choices(config.run) == before


def test_a_complete_training_is_refused_before_anything_is_measured_again(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    list(train(config))
    measured = []
    monkeypatch.setattr(preparing, "measures", lambda _config, _choices: True)
    monkeypatch.setattr(trainer, "tuned", lambda *_: measured.append(True))
    with pytest.raises(RunError, match="complete"):
        list(resume(config.run, measure_again=True))
    assert not measured


def test_the_first_step_of_each_size_on_a_gpu_is_announced_with_what_it_does(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(grow_from=16, discriminator_layers=2)
    monkeypatch.setattr(steps, "_is_gpu", lambda _device: True)
    told = [event for event in train(config) if isinstance(event, Preparing | StepReport)]
    places = [place for place, event in enumerate(told) if isinstance(event, Preparing) and "GPU" in event.text]
    assert len(places) == 2
    assert not any(isinstance(event, StepReport) for event in told[: places[0]])
    assert isinstance(told[places[1] - 1], StepReport)


@pytest.mark.usefixtures("every_step")
def test_the_first_step_of_a_sitting_which_loads_libraries_counts_in_no_rate(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    for begin in (lambda: train(config), lambda: resume(config.run)):
        events = begin()
        reports = itertools.islice((event for event in events if isinstance(event, StepReport)), 3)
        first, *others = [event.steps_per_second for event in reports]
        events.close()
        assert first == 0
        assert all(rate > 0 for rate in others)


@pytest.mark.usefixtures("every_step")
def test_what_happened_is_marked_at_its_step(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    close_after(train(config), 4)
    _poison(monkeypatch, lambda taken: 2 <= taken <= 4)
    list(resume(config.run))
    marks = [(mark.step, mark.kind) for mark in read_marks(config.run)]
    assert marks == [
        *[(0, "begun"), (0, "saved"), (4, "saved")],
        *[(4, "resumed"), (4, "rolled_back"), (4, "saved"), (ALL_STEPS, "saved")],
    ]


def test_every_orderly_end_takes_its_note_back_and_a_kill_leaves_it(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tiny_config()
    events = train(config)
    for event in events:
        if isinstance(event, Saved):
            break
    killed = shutil.copytree(config.run, tmp_path / "killed", ignore=shutil.ignore_patterns(".lock"))
    assert read_run_summary(killed).was_interrupted and not read_run_summary(config.run).was_interrupted
    events.close()
    assert not read_run_summary(config.run).was_interrupted

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(CycleGAN, "step", fail)
        with pytest.raises(ZeroDivisionError):
            list(resume(config.run))
    assert not read_run_summary(config.run).was_interrupted
    list(resume(killed))
    assert not read_run_summary(killed).was_interrupted


def test_pictures_that_vanish_end_the_training_saved_with_a_sentence(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "cache_room", lambda device, run: CacheRoom(0))
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 0.0)
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


def test_a_tenth_is_held_out_where_there_are_enough_and_the_preset_allows(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    for name in ("A", "B"):
        for number in range(6, 100):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / name / f"{number:03}.png")
    pictures = find_pictures(tiny_config())
    assert pictures.held_out
    assert (len(pictures.train_A), len(pictures.sample_A)) == (90, 10)
    assert not set(pictures.train_A) & set(pictures.sample_A)
    assert find_pictures(tiny_config(seed=1)).sample_A != pictures.sample_A
    assert find_pictures(tiny_config()).sample_A == pictures.sample_A
    everything = find_pictures(tiny_config(hold_out=False))
    assert not everything.held_out and len(everything.train_A) == 100


def test_test_folders_are_the_held_out_pictures(tiny_config: MakeConfig, tmp_path: Path) -> None:
    for name in ("testA", "testB"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "held.png")
    pictures = find_pictures(tiny_config(test_A=tmp_path / "testA", test_B=tmp_path / "testB"))
    assert pictures.held_out
    assert pictures.sample_A == (tmp_path / "testA" / "held.png",)
    assert len(pictures.train_A) == 6


def test_pictures_left_out_are_neither_trained_on_nor_shown_and_stay(tiny_config: MakeConfig, tmp_path: Path) -> None:
    out = (tmp_path / "A" / "000.png", tmp_path / "A" / "001.png", tmp_path / "B" / "003.png")
    config = tiny_config(left_out=out, max_steps=1)
    pictures = find_pictures(config)
    used = {*pictures.train_A, *pictures.train_B, *pictures.sample_A, *pictures.sample_B}
    assert not used & set(out)
    assert (len(pictures.train_A), len(pictures.train_B)) == (4, 4)
    events = list(train(config))
    assert "2 pictures of Reds and 1 picture of Blues are left out" in events_of(Notice, events)[0].text
    assert all(path.exists() for path in out)
    stored = json.loads((config.run / "config.json").read_text())
    assert stored["config"]["left_out"] == {"folder_A": ["000.png", "001.png"], "folder_B": ["003.png"]}
    assert read_run_summary(config.run).config.left_out == config.left_out


def test_held_out_pictures_that_are_left_out_are_not_shown(tiny_config: MakeConfig, tmp_path: Path) -> None:
    for name in ("testA", "testB"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{number}.png")
    tests = {"test_A": tmp_path / "testA", "test_B": tmp_path / "testB"}
    pictures = find_pictures(tiny_config(**tests, left_out=(tmp_path / "testA" / "0.png",)))
    assert pictures.sample_A == (tmp_path / "testA" / "1.png",)


@pytest.mark.parametrize(("kept", "words"), [(1, "only one"), (0, "none")])
def test_leaving_out_too_much_is_refused_in_words(
    tiny_config: MakeConfig, tmp_path: Path, kept: int, words: str
) -> None:
    everything = sorted((tmp_path / "B").iterdir())
    with pytest.raises(DataError, match=f"{words} would remain.*leave out fewer") as caught:
        find_pictures(tiny_config(left_out=tuple(everything[kept:])))
    assert caught.value.field == "folder_B"


def test_another_precision_on_resume_is_stored_and_said_not_to_be_exact(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    close_after(train(config), 1)
    events = list(resume(config.run, precision="bf16"))
    assert "not bit for bit" in events_of(Notice, events)[0].text
    assert events_of(TrainStarted, events)[0].precision == "bf16"
    assert json.loads((config.run / "config.json").read_text())["choices"]["precision"] == "bf16"


def test_the_same_device_by_another_name_with_other_ranks_is_told_of_its_ranks_alone(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    close_after(train(config), 1)
    run = Run.open(config.run)
    run.change(run.config, dataclasses.replace(run.choices, ranks=2))
    run.close()
    monkeypatch.setattr(preparing, "choose_device", lambda name: torch.device("cpu"))
    notices = events_of(Notice, list(resume(config.run, device="auto")))
    assert not [notice for notice in notices if "was begun on" in notice.text]
    assert "had 2 processes" in notices[0].text


def test_on_other_hardware_the_choices_are_made_anew(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    close_after(train(config), 1)
    monkeypatch.setattr(preparing, "hardware_name", lambda device: "cpu: another one")
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


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("part", ["cycle_loss", "gan_loss"], ids=["generators", "discriminators"])
def test_each_remedy_for_memory_goes_on_from_where_the_training_was(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    config = tiny_config(size=64, load_size=72, batch_size=2, norm="batch")
    whole = tmp_path / "whole"
    close_after(train(dataclasses.replace(config, run=whole)), 4)
    events = train(config)

    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        with pytest.raises(OutOfMemoryError) as caught:
            for event in events:
                if isinstance(event, StepReport) and event.step == 4:
                    patch.setattr(cyclegan, part, fail)
        # Not a step is lost, and nothing of the one that failed is left.
        assert_same_state(whole, config.run)
    remedies = [remedy for remedy in caught.value.remedies if not remedy.begins_anew]
    changed = [{name for name, _ in remedy.changes} for remedy in remedies]
    assert {"recompute"} in changed and {"per_direction"} in changed
    assert {"batch_size", "accumulate"} in changed and {"size", "load_size"} in changed
    for number, remedy in enumerate(remedies):
        copy = shutil.copytree(config.run, tmp_path / str(number))
        events = list(resume(copy, changes=dict(remedy.changes), max_steps=5))
        assert events_of(TrainStarted, events)[0].step == 4 and events[-1].step == 5


def test_memory_that_runs_out_in_the_first_step_leaves_a_training_that_can_go_on(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    config = tiny_config()
    with monkeypatch.context() as patch:
        patch.setattr(CycleGAN, "step", step)
        with pytest.raises(OutOfMemoryError):
            list(train(config))
    assert list(resume(config.run, changes={"recompute": True}))[-1].step == ALL_STEPS


def test_memory_that_runs_out_while_reading_pictures_becomes_the_same_sentence(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(unpaired, "read_resized", read)
    with pytest.raises(EngineError, match="smaller picture size"):
        list(train(tiny_config()))


def test_memory_that_runs_out_while_restoring_damages_no_checkpoint(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    close_after(train(config), 3)
    before = sorted((config.run / "checkpoints").iterdir())

    def load(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(CycleGAN, "load_state", load)
        with pytest.raises(EngineError, match="not enough memory"):
            list(resume(config.run))
    assert sorted((config.run / "checkpoints").iterdir()) == before
    assert list(resume(config.run))[-1].step == ALL_STEPS


def test_resuming_what_no_disk_can_hold_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="too long"):
        list(resume(tmp_path / (300 * "a")))


def test_float_settings_survive_a_resume(tiny_config: MakeConfig) -> None:
    config = tiny_config(learning_rate=1e-3, lambda_identity=0.0)
    close_after(train(config), 1)
    list(resume(config.run))
    stored = TrainConfig.from_json(json.loads((config.run / "config.json").read_text())["config"])
    assert stored == dataclasses.replace(config, max_minutes=None)
