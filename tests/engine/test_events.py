from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.cli.output import print_json
from engine.events import (
    Alarm,
    DirectionQuality,
    HealthChecked,
    Losses,
    Moment,
    Notice,
    Preparing,
    QualityMeasured,
    RolledBack,
    Sample,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
    train_event_from_json,
)
from engine.remedies import Remedy

REMEDY = Remedy("Halve it", (("learning_rate", 1e-4), ("recompute", True)), begins_anew=True, hint="Costs time.")
QUALITY = DirectionQuality("b2a", (64, 32), (3.5, 2.5), (4.0, 3.0), (1.0, 0.5), 0.07)
LOSSES = Losses(*(number / 3 for number in range(8)))
EVENTS: list[TrainEvent] = [
    Preparing("Looking for pictures", 1, 2),
    Notice("A name that is no UTF-8: \udcff."),
    TrainStarted(Path("/runs/\udcff"), "Äpfel", "B", 3, 12, 6, 2, 6, 5, "2 x CPU", "fp32"),
    StepReport(5, 12, 1, 2, 0.1 + 0.2, 3.5, 2.0, 2e-4, LOSSES),
    QualityMeasured(5, 7.5, (QUALITY, QUALITY), True, 5),
    HealthChecked(5, (Alarm("inverted", "Colours are inverted.", "Correlation -0.8.", (REMEDY,)),)),
    RolledBack(9, 5, 0.5, "Gone back."),
    Saved(5, Path("/runs/r/checkpoints/step_5.safetensors"), Path("/runs/r/model.safetensors")),
    TrainFinished(12, "complete", Path("/runs/r/model.safetensors"), 7.25),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_come_back_from_the_lines_that_the_command_prints(
    event: TrainEvent, capsys: pytest.CaptureFixture[str]
) -> None:
    print_json(event)
    (line,) = capsys.readouterr().out.splitlines()
    assert train_event_from_json(json.loads(line), lambda values: ()) == event


def test_the_pictures_of_samples_come_from_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    sample = Sample("a2b", Path("a.png"), pixels, pixels, pixels)
    moments = (Moment(3, (Path("old_a2b.png"),)), Moment(5, (Path("sheet_a2b.png"),), Path("step_5.safetensors"), True))
    print_json(SamplesDrawn(5, (sample,), False, (Path("sheet_a2b.png"),), moments))
    values = json.loads(capsys.readouterr().out)
    assert values["samples"] == [{"direction": "a2b", "source": "a.png"}]
    event = train_event_from_json(values, lambda values: (sample,))
    assert isinstance(event, SamplesDrawn)
    assert (event.step, event.held_out, event.files) == (5, False, (Path("sheet_a2b.png"),))
    assert event.samples[0] is sample
    assert event.moments == moments


@pytest.mark.parametrize(
    "values",
    [{}, {"event": "ConvertFinished"}, {"event": "Saved", "step": 1}, {"event": "Notice", "text": "a", "more": 1}],
)
def test_what_is_no_event_of_a_training_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no event of a training"):
        train_event_from_json(values, lambda values: ())
