from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import preset_config, resume, train
from engine.config import TrainConfig
from engine.conversion.model_file import default_model, load_networks, read_model_info, write_model
from engine.events import DirectionQuality, QualityMeasured
from engine.model.generator import make_generator
from engine.training import quality_keeper
from engine.training.quality import (
    append_quality,
    cut_quality,
    finish_line,
    is_better,
    read_best,
    read_quality,
    start_line,
)
from engine.training.run import read_run_summary

SAMPLE = Path(__file__).parents[3] / "resources" / "sample"


@pytest.fixture(autouse=True)
def few_patches() -> None:
    """Here all patches count: scores are judged."""


def measured(
    step: int, score: float, *, size: int = 32, start: float = 100.0, held_out: bool = True
) -> QualityMeasured:
    directions = [
        DirectionQuality(direction, (size, 16), (score - 5, score + 5), (start, start), (20.0, 20.0), 0.125)  # type: ignore[arg-type]
        for direction in ("a2b", "b2a")
    ]
    return QualityMeasured(step, 2.5 * step, (directions[0], directions[1]), held_out, step)


def test_measurements_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [measured(0, 130), measured(10, 90, held_out=False), measured(20, 80.5, size=64)]
    for row in rows:
        append_quality(tmp_path, row)
    assert read_quality(tmp_path) == rows
    assert (start_line(rows[0]), finish_line(rows[0])) == (100, 20)


def test_a_row_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    append_quality(tmp_path, measured(0, 130))
    with (tmp_path / "quality.csv").open("a") as file:
        file.write("10,25.00,1,10,32 16,1")
    assert [row.step for row in read_quality(tmp_path)] == [0]
    assert read_quality(tmp_path / "nowhere") == []


def test_what_was_measured_after_the_step_gone_back_to_is_forgotten(tmp_path: Path) -> None:
    for step in (0, 10, 20):
        append_quality(tmp_path, measured(step, 90))
    cut_quality(tmp_path, 10)
    append_quality(tmp_path, measured(15, 70))
    assert [row.step for row in read_quality(tmp_path)] == [0, 10, 15]


@pytest.mark.parametrize(("step", "is_kept"), [(10, False), (20, True)])
def test_the_best_moment_is_forgotten_with_its_measurement(
    tiny_config: Callable[..., TrainConfig], step: int, is_kept: bool
) -> None:
    config = tiny_config()
    config.run.mkdir()
    generators = {name: make_generator(config.architecture, name) for name in ("a2b", "b2a")}
    for name in ("model", "best"):
        write_model(config.run / f"{name}.safetensors", generators, config, steps=20)  # type: ignore[arg-type]
    for number in (10, 20):
        append_quality(config.run, measured(number, 90 - number))
    assert read_best(config.run) == measured(20, 70)
    cut_quality(config.run, step)
    assert (read_best(config.run) is not None) == is_kept
    assert default_model(config.run).name == ("best.safetensors" if is_kept else "model.safetensors")


def test_the_best_model_stays_where_only_its_measurement_is_lost(tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config()
    config.run.mkdir()
    generators = {name: make_generator(config.architecture, name) for name in ("a2b", "b2a")}
    write_model(config.run / "best.safetensors", generators, config, steps=20)  # type: ignore[arg-type]
    cut_quality(config.run, 20)
    assert default_model(config.run).name == "best.safetensors"
    (config.run / "best.safetensors").write_bytes(b"damaged")
    cut_quality(config.run, 20)
    assert default_model(config.run).name == "model.safetensors"


def test_a_moment_is_best_only_below_the_start_line_and_never_untrained() -> None:
    assert not is_better(measured(0, 50), None)
    assert not is_better(measured(10, 100), None)
    assert not is_better(measured(10, 130), None)
    assert is_better(measured(10, 90), None)
    assert is_better(measured(20, 80), measured(10, 90))
    assert not is_better(measured(20, 95), measured(10, 90))
    # At another size numbers mean something else.
    assert is_better(measured(20, 95, size=64), measured(10, 90))


def test_a_training_is_measured_at_its_start_and_end_and_keeps_its_best_networks(tmp_path: Path) -> None:
    folders = {f"folder_{side}": SAMPLE / f"train{side}" for side in "AB"}
    tests = {f"test_{side}": SAMPLE / f"test{side}" for side in "AB"}
    small = {"size": 32, "load_size": 36, "blocks": 1, "channels": 4, "device": "cpu", "precision": "fp32"}
    config = preset_config("quick", run=tmp_path / "run", max_steps=20, **folders, **tests, **small)
    events = [event for event in train(config) if isinstance(event, QualityMeasured)]
    assert [event.step for event in events][:: len(events) - 1] == [0, 20]
    # Summers and winters differ in tone, which is learnt first.
    assert events[-1].score < start_line(events[-1])
    assert events[-1].held_out and events[-1].best_step == 20
    assert [row.step for row in read_quality(config.run)] == [event.step for event in events]
    summary = read_run_summary(config.run)
    assert summary.best_step == 20 and summary.best_score == pytest.approx(events[-1].score, rel=1e-4)
    assert summary.model == config.run / "best.safetensors" == read_model_info(config.run).path
    tensors, info = load_networks(config.run)
    assert info.has_discriminators and {name.partition(".")[0] for name in tensors} == {"G_AB", "G_BA", "D_A", "D_B"}


def test_a_collapsed_generator_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_keeper, "is_collapsed", lambda look: look.direction == "b2a")
    folders = {f"folder_{side}": SAMPLE / f"train{side}" for side in "AB"}
    tests = {f"test_{side}": SAMPLE / f"test{side}" for side in "AB"}
    small = {"size": 32, "load_size": 36, "blocks": 1, "channels": 4, "device": "cpu", "precision": "fp32"}
    config = preset_config("quick", run=tmp_path / "run", max_steps=20, **folders, **tests, **small)
    scores = [event for event in train(config) if isinstance(event, QualityMeasured)]
    assert scores[-1].score < start_line(scores[-1]), "It would have been the best."
    assert not (config.run / "best.safetensors").exists()


def test_the_same_training_measures_the_same_and_goes_on_with_its_best(
    tiny_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    for name in ("one", "other"):
        list(train(tiny_config(run=tmp_path / name, max_steps=2)))
    assert [row.directions for row in read_quality(tmp_path / "one")] == [
        row.directions for row in read_quality(tmp_path / "other")
    ]
    list(resume(tmp_path / "one", max_steps=4))
    steps = [row.step for row in read_quality(tmp_path / "one")]
    assert steps == sorted(set(steps)) and steps[-1] == 4
