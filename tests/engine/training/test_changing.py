"""A training that goes on otherwise: the schedule goes on from where it was, and what is changed stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import CHANGEABLE, TrainConfig
from engine.errors import ConfigError, RunError
from engine.events import Notice, StepReport, TrainEvent, TrainFinished, TrainStarted
from engine.model.cyclegan import CycleGAN
from engine.training import reporter
from engine.training.changing import changed_config, choices_at
from engine.training.run import Choices, Pictures, Run, read_marks, read_run_summary
from engine.training.trainer import resume, train

MakeConfig = Callable[..., TrainConfig]
CHOICES = Choices(device="cpu", hardware="a processor", precision="fp32", threads=1)


@pytest.fixture
def make_run(tiny_config: MakeConfig) -> Iterator[Callable[..., Run]]:
    """Makes runs of 100 pictures a side that have taken some steps."""
    runs: list[Run] = []

    def make(*, step: int, **values: object) -> Run:
        config = tiny_config(**values)
        names = tuple(config.folder_A / f"{number}.png" for number in range(100))
        others = tuple(config.folder_B / path.name for path in names)
        pictures = Pictures(train_A=names, train_B=others, sample_A=(), sample_B=(), held_out=False)
        runs.append(Run.create(config, CHOICES, pictures))
        (runs[-1].checkpoints / f"step_{step:08d}.safetensors").touch()
        return runs[-1]

    yield make
    for run in runs:
        run.close()


def only(kind: type, events: list[TrainEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 0.0)


def begin(config: TrainConfig, steps: int) -> None:
    events = train(config)
    for event in events:
        if isinstance(event, StepReport) and event.step >= steps:
            break
    events.close()


@pytest.mark.usefixtures("every_step")
def test_changed_settings_hold_from_there_on_and_a_plain_resume_keeps_them(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    begin(config, 2)
    changes = {"learning_rate": 1e-4, "discriminator_rate": 0.5, "lambda_A": 5.0, "recompute": True, "max_steps": 3}
    events = list(resume(config.run, changes=changes))
    assert [report.learning_rate for report in only(StepReport, events)] == [1e-4]
    assert read_run_summary(config.run).config == dataclasses.replace(config, **changes)
    (mark,) = [mark for mark in read_marks(config.run) if mark.kind == "changed"]
    assert mark.step == 2
    assert (
        "Learning rate 0.0001 instead of 0.0002" in mark.text and "Recompute activations on instead of off" in mark.text
    )
    assert mark.text in (config.run / "log.txt").read_text()
    rates = [report.learning_rate for report in only(StepReport, list(resume(config.run)))]
    assert rates == pytest.approx([1e-4] * 3 + [5e-5] * 6)
    assert read_run_summary(config.run).config.lambda_A == 5.0


@pytest.mark.usefixtures("every_step")
def test_another_size_trains_on_such_pictures_with_pools_that_begin_anew(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(size=64, load_size=72)
    begin(config, 3)
    sides: list[int] = []
    pools: list[int] = []
    real = CycleGAN.step

    def step(self: CycleGAN, real_A: torch.Tensor, real_B: torch.Tensor, **values: float) -> object:
        sides.append(real_A.shape[-1])
        losses = real(self, real_A, real_B, **values)
        pools.append(len(self.pool_A.pictures))
        return losses

    monkeypatch.setattr(CycleGAN, "step", step)
    list(resume(config.run, changes={"size": 32}, max_steps=5))
    assert sides == [32, 32] and pools == [1, 2]
    stored = read_run_summary(config.run).config
    assert (stored.size, stored.load_size) == (32, 36)


@pytest.mark.usefixtures("every_step")
def test_with_another_batch_size_the_schedule_goes_on_from_where_it_was(tiny_config: MakeConfig) -> None:
    config = tiny_config(epochs=2, decay_epochs=2)
    begin(config, 6)
    events = list(resume(config.run, changes={"batch_size": 3}))
    assert "its epochs have 2 steps, not 6" in only(Notice, events)[0].text
    # The second epoch of four in two steps, then two in which the rate falls.
    reports = only(StepReport, events)
    assert [report.step for report in reports] == [7, 8, 9, 10, 11, 12]
    assert [report.epoch for report in reports] == [2, 2, 3, 3, 4, 4]
    assert read_run_summary(config.run).is_complete


@pytest.mark.usefixtures("every_step")
def test_a_complete_training_gets_more_epochs_and_its_rate_comes_back(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    list(train(config))
    events = list(resume(config.run, more_epochs=2))
    (notice,) = only(Notice, events)
    assert "2 more epochs, to 4 in all" in notice.text and "comes back" in notice.text
    assert [round(report.learning_rate, 7) for report in only(StepReport, events)] == [2e-4] * 6 + [1e-4] * 6
    assert only(TrainStarted, events)[0].step == 12 and only(TrainFinished, events)[0].step == 24
    with pytest.raises(RunError, match="--more-epochs 2"):
        list(resume(config.run))


@pytest.mark.parametrize(
    ("step", "values", "more", "expected"),
    [
        # Complete, about to fall, in the middle of falling.
        (20_000, {"epochs": 100, "decay_epochs": 100}, 50, (225, 25)),
        (1_000, {"epochs": 100, "decay_epochs": 100}, 50, (125, 125)),
        (15_000, {"epochs": 100, "decay_epochs": 100}, 50, (175, 75)),
        (15_001, {"epochs": 100, "decay_epochs": 100}, 50, (176, 74)),
        (100, {"epochs": 1, "decay_epochs": 0}, 3, (4, 0)),
        (100, {"epochs": 0, "decay_epochs": 1}, 3, (1, 3)),
    ],
)
def test_more_epochs_have_the_same_share_at_the_full_rate(
    make_run: Callable[..., Run], step: int, values: dict[str, int], more: int, expected: tuple[int, int]
) -> None:
    config, _ = changed_config(make_run(step=step, **values), {}, more_epochs=more)
    assert (config.epochs, config.decay_epochs) == expected
    assert config.total_epochs == values["epochs"] + values["decay_epochs"] + more


def test_a_training_that_has_grown_does_not_shrink_for_more_epochs(make_run: Callable[..., Run]) -> None:
    run = make_run(step=400, epochs=2, decay_epochs=2, size=128, load_size=128, grow_from=64)
    assert changed_config(run, {}, more_epochs=20)[0].grow_from is None
    assert changed_config(run, {})[0].grow_from == 64


def test_a_cap_does_not_take_away_the_epochs_that_are_asked_for(make_run: Callable[..., Run]) -> None:
    config, notices = changed_config(make_run(step=100, epochs=1, decay_epochs=1, max_steps=250), {}, more_epochs=3)
    assert config.max_steps is None and "cap of 250 steps is taken away" in notices[-1]


def test_as_far_into_the_schedule_whatever_a_step_takes(make_run: Callable[..., Run]) -> None:
    run = make_run(step=250, epochs=4, decay_epochs=4)
    config = dataclasses.replace(run.config, batch_size=4)
    choices, _ = choices_at(run, config, CHOICES, 250)
    # 2.5 epochs of 100 steps, then epochs of 25.
    assert 250 - choices.offset == 62
    run.change(config, choices)
    assert choices_at(run, config, choices, 251) == (choices, [])


@pytest.mark.parametrize("field", ["channels", "norm", "seed", "pool_size", "folder_A", "toaster"])
def test_what_a_training_has_become_cannot_be_changed(make_run: Callable[..., Run], field: str) -> None:
    with pytest.raises(ConfigError, match="cannot be changed"):
        changed_config(make_run(step=1), {field: 1})


def test_a_change_that_makes_no_sense_changes_nothing(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    begin(config, 1)
    before = (config.run / "config.json").read_bytes()
    with pytest.raises(ConfigError, match="no multiple of 4"):
        list(resume(config.run, changes={"size": 35}))
    assert (config.run / "config.json").read_bytes() == before


def test_every_changeable_field_exists() -> None:
    assert set(CHANGEABLE) <= {field.name for field in dataclasses.fields(TrainConfig)}
    assert len(set(CHANGEABLE)) == len(CHANGEABLE)
    assert Path not in {type(getattr(TrainConfig(folder_A="a", folder_B="b", run="r"), name)) for name in CHANGEABLE}
