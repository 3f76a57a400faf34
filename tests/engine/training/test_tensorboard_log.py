from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.config import TrainConfig
from engine.errors import ConfigError
from engine.events import DirectionQuality, QualityMeasured, RolledBack, Sample, SamplesDrawn, StepReport
from engine.training import reporter
from engine.training.tensorboard_log import TensorboardLog, require_tensorboard
from engine.training.trainer import resume, train

needs_package = pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard is not installed")


def _read(run: Path) -> object:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def _steps(run: Path, tag: str) -> list[int]:
    return [value.step for value in _read(run).Scalars(tag)]


def test_without_the_package_the_command_that_installs_it_is_named(
    tiny_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tensorboard=True)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else real(name))
    with pytest.raises(ConfigError, match=r'pip install "cyclegan-desktop\[tensorboard\]"') as caught:
        list(train(config))
    assert caught.value.field == "tensorboard"
    assert not config.run.exists()
    require_tensorboard(tiny_config())


@needs_package
def test_the_log_holds_what_was_told_and_goes_on_after_a_resume(
    tiny_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 0.0)
    config = tiny_config(tensorboard=True, max_steps=6)
    events = list(train(config))
    reports = [event for event in events if isinstance(event, StepReport)]
    told = _read(config.run)
    for name in ("G_AB", "cycle_B"):
        values = [(value.step, pytest.approx(value.value)) for value in told.Scalars(f"losses/{name}")]
        assert values == [(report.step, getattr(report.losses, name)) for report in reports]
    assert [v.value for v in told.Scalars("rate/learning rate")] == pytest.approx([r.learning_rate for r in reports])
    drawn = [event.step for event in events if isinstance(event, SamplesDrawn)]
    assert [image.step for image in told.Images("samples/a2b")] == drawn
    list(resume(config.run, max_steps=8))
    assert _steps(config.run, "losses/G_AB") == [*(report.step for report in reports), 7, 8]


@needs_package
def test_what_a_resumed_or_rolled_back_training_takes_anew_is_cut_off(tmp_path: Path) -> None:
    def drawn(step: int) -> SamplesDrawn:
        pixels = np.zeros((8, 8, 3), np.uint8)
        return SamplesDrawn(step, (Sample("b2a", Path("b.png"), pixels, pixels, pixels),), True, ())

    def measured(step: int) -> QualityMeasured:
        quality = [
            DirectionQuality(name, (64, 32), (step, 4.0), (5.0, 6.0), (1.0, 2.0), 0.1) for name in ("a2b", "b2a")
        ]
        return QualityMeasured(step, 1.0, tuple(quality), True, 1)

    log = TensorboardLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.take(measured(step))
    log.close()
    log = TensorboardLog(tmp_path, 2)
    log.take(measured(3))
    log.take(measured(4))
    log.take(RolledBack(4, 3, 0.5, ""))
    log.take(measured(5))
    log.take(drawn(5))
    log.close()
    assert _steps(tmp_path, "quality/score") == [1, 2, 3, 5]
    told = _read(tmp_path)
    assert [value.value for value in told.Scalars("quality a2b/distance at 64 px")] == [1, 2, 3, 5]
    (_, b2a) = measured(1).directions
    assert told.Scalars("quality b2a/start line")[0].value == pytest.approx(b2a.start_line)
    assert told.Scalars("quality b2a/finish line")[0].value == pytest.approx(b2a.finish_line)
    (image,) = told.Images("samples/b2a")
    assert (image.width, image.height) == (32, 8)


@needs_package
def test_a_log_that_cannot_be_written_is_told_and_ends_nothing(
    tiny_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TensorboardLog, "take", full)
    events = list(train(tiny_config(tensorboard=True, max_steps=2)))
    assert events[-1].step == 2
    assert any("no space left" in getattr(event, "text", "") for event in events)
