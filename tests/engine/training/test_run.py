from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config import TrainConfig
from engine.errors import RunError
from engine.events import LOSS_NAMES, Losses, StepReport
from engine.tensor_file import write_tensors
from engine.training.loss_table import read_loss_table
from engine.training.run import Choices, Mark, Pictures, Run, read_marks, read_run_summary

CHOICES = Choices(device="cpu", hardware="a processor", precision="fp32", threads=1)


@pytest.fixture
def run(tiny_config: Callable[..., TrainConfig]) -> Run:
    config = tiny_config()
    A, B = (tuple(sorted(folder.iterdir())) for folder in (config.folder_A, config.folder_B))
    run = Run.create(config, CHOICES, Pictures(train_A=A, train_B=B, sample_A=A[:1], sample_B=B[:1], held_out=False))
    yield run
    run.close()


def _report(step: int) -> StepReport:
    return StepReport(step, 12, 1, 2, step * 0.5, 2.0, 1.0, 2e-4, Losses(*(step + i / 10 for i in range(8))))


def test_an_opened_run_is_the_one_that_was_created(run: Run) -> None:
    run.close()
    again = Run.open(run.folder)
    assert (again.config, again.choices, again.pictures) == (run.config, run.choices, run.pictures)
    again.close()


def test_the_summary_tells_how_far_a_training_is(run: Run) -> None:
    assert (read_run_summary(run.folder).step, read_run_summary(run.folder).model) == (0, None)
    for step in (3, 7):
        run.append_losses(_report(step))
    summary = read_run_summary(run.folder)
    assert (summary.step, summary.total_steps, summary.schedule_steps, summary.seconds) == (7, 12, 12, 3.5)
    assert not summary.is_complete
    run.append_losses(_report(12))
    assert read_run_summary(run.folder).is_complete
    assert summary.config == run.config


def test_a_training_that_a_cap_has_ended_is_not_complete(tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config(max_steps=5)
    A, B = (tuple(sorted(folder.iterdir())) for folder in (config.folder_A, config.folder_B))
    run = Run.create(config, CHOICES, Pictures(train_A=A, train_B=B, sample_A=A[:1], sample_B=B[:1], held_out=False))
    run.append_losses(_report(5))
    run.close()
    summary = read_run_summary(run.folder)
    assert (summary.step, summary.total_steps, summary.schedule_steps) == (5, 5, 12)
    assert not summary.is_complete


def test_the_summary_counts_steps_as_the_processes_of_the_training_take_them(
    tiny_config: Callable[..., TrainConfig],
) -> None:
    config = tiny_config()
    A, B = (tuple(sorted(folder.iterdir())) for folder in (config.folder_A, config.folder_B))
    # Three steps with two processes, where one alone would have taken six.
    choices = dataclasses.replace(CHOICES, ranks=1, offset=-3)
    run = Run.create(config, choices, Pictures(train_A=A, train_B=B, sample_A=A[:1], sample_B=B[:1], held_out=False))
    run.close()
    assert read_run_summary(run.folder).schedule_steps == 9
    choices = dataclasses.replace(CHOICES, ranks=2)
    again = Run.open(run.folder)
    again.change(config, choices)
    again.close()
    assert read_run_summary(run.folder).schedule_steps == 6


def test_a_run_from_before_there_were_several_processes_has_one(run: Run) -> None:
    run.close()
    path = run.folder / "config.json"
    document = json.loads(path.read_text())
    del document["choices"]["ranks"], document["choices"]["offset"]
    path.write_text(json.dumps(document))
    again = Run.open(run.folder)
    assert (again.choices.ranks, again.choices.offset) == (1, 0)
    again.close()
    assert read_run_summary(run.folder).schedule_steps == 12


def test_losses_come_back_as_they_were_written(run: Run) -> None:
    run.append_losses(_report(5))
    ((steps, losses),) = read_loss_table(run.folder)
    assert steps.tolist() == [5]
    assert Losses(*losses[:, 0]) == _report(5).losses


def test_going_on_cuts_rows_past_the_checkpoint_and_rows_that_a_crash_cut_off(run: Run) -> None:
    for step in (2, 4, 6):
        run.append_losses(_report(step))
    run.close()
    path = run.folder / "losses.csv"
    path.write_text(path.read_text() + "7,1,3.5,0.0002,7,7.1,7.")
    again = Run.open(run.folder)
    again.continue_losses(4)
    again.append_losses(_report(5))
    again.close()
    ((steps, _),) = read_loss_table(run.folder)
    assert steps.tolist() == [2, 4, 5]
    assert path.read_text().splitlines()[0] == "step,epoch,seconds,lr," + ",".join(LOSS_NAMES)


def _save(folder: Path, step: int, seconds: float) -> None:
    write_tensors(
        folder / f"checkpoints/step_{step:08d}.safetensors", {}, {"step": str(step), "seconds": repr(seconds)}
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.replace("step,", "st"),
        lambda text: text[: text.rindex("\n4,")] + "\n\0\0\0\n",
        lambda text: "\0" * len(text),
    ],
)
def test_damaged_losses_are_told_and_kept_and_hide_no_step(run: Run, damage: Callable[[str], str]) -> None:
    for step in (2, 4):
        run.append_losses(_report(step))
    _save(run.folder, 5, 2.5)
    path = run.folder / "losses.csv"
    assert (read_run_summary(run.folder).step, read_run_summary(run.folder).problem) == (5, "")
    damaged = damage(path.read_text())
    path.write_text(damaged)
    summary = read_run_summary(run.folder)
    assert (summary.step, summary.seconds) == (5, 2.5)
    assert f"{path} is damaged" in summary.problem and "can be gone on with" in summary.problem
    sentence = run.continue_losses(5)
    assert ("losses.damaged.csv" in sentence) == bool(damaged)
    if damaged:
        assert (run.folder / "losses.damaged.csv").read_text() == damaged
    assert read_run_summary(run.folder).problem == ""
    run.append_losses(_report(6))
    assert read_run_summary(run.folder).step == 6


def test_losses_that_are_missing_are_told(run: Run) -> None:
    run.close()
    (run.folder / "losses.csv").unlink()
    assert read_run_summary(run.folder).problem == ""
    _save(run.folder, 3, 1.5)
    summary = read_run_summary(run.folder)
    assert (summary.step, summary.seconds) == (3, 1.5) and "losses.csv is missing" in summary.problem


def test_many_losses_are_no_damage(run: Run) -> None:
    for step in range(1, 200):
        run.append_losses(_report(step))
    run.close()
    with (run.folder / "losses.csv").open("a") as file:
        file.write("7,1,3.5,0.0002,7,7.1,7.")
    assert (read_run_summary(run.folder).step, read_run_summary(run.folder).problem) == (199, "")


def test_going_back_forgets_what_happened_later_but_not_what_was_changed(run: Run) -> None:
    for step, kind, text in ((0, "begun", ""), (4, "saved", ""), (6, "changed", "lambda_A 5"), (8, "saved", "")):
        run.mark(kind, text, step=step)
    run.cut_marks(4)
    run.mark("rolled_back", "It went back.", step=4)
    assert read_marks(run.folder) == [
        Mark(0, "begun", ""),
        Mark(4, "saved", ""),
        Mark(4, "changed", "lambda_A 5"),
        Mark(4, "rolled_back", "It went back."),
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format_version": 1, "config": {"size": 3}}'])
def test_a_damaged_config_is_a_sentence_that_names_it(run: Run, content: bytes) -> None:
    run.close()
    (run.folder / "config.json").write_bytes(content)
    for use in (Run.open, read_run_summary):
        with pytest.raises(RunError, match=r"config\.json"):
            use(run.folder)


def test_a_run_of_a_newer_version_is_refused(run: Run) -> None:
    run.close()
    path = run.folder / "config.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(RunError, match="newer version"):
        Run.open(run.folder)


def test_other_folders_are_no_runs(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match="holds no training"):
            read_run_summary(folder)
    assert list(tmp_path.iterdir()) == []


def test_marks_come_back_as_they_were_made_and_damaged_rows_are_left_out(run: Run) -> None:
    assert read_marks(run.folder) == []
    run.mark("begun", step=0)
    run.mark("changed", 'Learning rate "0.1",\nlower', step=7)
    with (run.folder / "marks.csv").open("a") as file:
        file.write("9,unheard,of\nhalf")
    assert read_marks(run.folder) == [Mark(0, "begun", ""), Mark(7, "changed", 'Learning rate "0.1",\nlower')]


def test_a_run_whose_trainer_is_at_work_was_not_interrupted_and_is_not_disturbed(run: Run) -> None:
    assert not read_run_summary(run.folder).was_interrupted
    run.set_out()
    assert (run.folder / "under_way.json").exists()
    assert not read_run_summary(run.folder).was_interrupted
    with pytest.raises(RunError, match="being trained"):
        Run.open(run.folder)
    run.close()
    assert not (run.folder / "under_way.json").exists()
    assert not read_run_summary(run.folder).was_interrupted


def test_what_a_crash_leaves_behind_is_seen_and_stays_until_the_training_goes_on(run: Run) -> None:
    run.close()
    (run.folder / "under_way.json").write_text("{}")
    assert read_run_summary(run.folder).was_interrupted
    Run.open(run.folder).close()
    assert read_run_summary(run.folder).was_interrupted
    again = Run.open(run.folder)
    again.set_out()
    again.close()
    assert not read_run_summary(run.folder).was_interrupted
