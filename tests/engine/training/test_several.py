"""A training in processes of its own, seen as events: it must behave as one in this process does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.__main__ import main
from engine.cli.output import NOTHING_DONE
from engine.config import TrainConfig
from engine.errors import EngineError, OutOfMemoryError, RunError
from engine.events import Notice, SamplesDrawn, Saved, StepReport, TrainEvent, TrainFinished, TrainStarted
from engine.remedies import Remedy
from engine.training import several, trainer
from engine.training.run import read_run_summary
from engine.training.several import resume_on_all, train_on_all
from engine.training.trainer import resume

MakeConfig = Callable[..., TrainConfig]
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gloo and signals as on Linux and macOS")

# Says where it is and waits; its standard output is not read on.
PARENT = """
import json, sys
from pathlib import Path
from engine.config import TrainConfig
from engine.events import StepReport
from engine.training.several import train_on_all
for event in train_on_all(TrainConfig.from_json(json.loads(Path(sys.argv[1]).read_text())), processes=1):
    if isinstance(event, StepReport):
        print("training", flush=True)
"""


@pytest.fixture(autouse=True)
def _quiet_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def _newest_step(run: Path) -> int:
    return int(max((run / "checkpoints").iterdir()).stem.removeprefix("step_"))


def test_two_processes_pause_stop_and_are_resumed_like_a_training_here(tiny_config: MakeConfig) -> None:
    config = tiny_config(epochs=10_000, ema_decay=0.9)
    events = train_on_all(config, processes=2)
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, StepReport):
            break
    kinds = [type(event) for event in seen]
    assert kinds.count(TrainStarted) == kinds.count(Saved) == kinds.count(SamplesDrawn) == 1
    (drawn,) = (event for event in seen if isinstance(event, SamplesDrawn))
    assert {sample.direction for sample in drawn.samples} == {"a2b", "b2a"}
    assert drawn.samples[0].original.shape == (128, 128, 3) and drawn.samples[0].original.dtype == np.uint8
    assert drawn.files and drawn.samples[0].source == config.folder_A / "000.png"

    # Nobody asks for the next event: nothing goes on.
    assert isinstance(seen[-1], StepReport)
    log = (config.run / "losses.csv").read_text()
    time.sleep(1.5)
    assert (config.run / "losses.csv").read_text() == log
    events.close()
    stopped_at = _newest_step(config.run)
    assert seen[-1].step == stopped_at
    assert "2 processes" in (config.run / "log.txt").read_text()

    changes = {"lambda_A": 5.0, "clip_gradient": None, "recompute": True, "max_steps": stopped_at + 6}
    again = list(resume_on_all(config.run, processes=2, epochs=1, max_minutes=None, changes=changes))
    assert not [event for event in again if isinstance(event, Notice)]
    assert isinstance(again[-1], TrainFinished)
    summary = read_run_summary(config.run)
    assert (summary.step, summary.config.lambda_A, summary.config.recompute) == (again[-1].step, 5.0, True)


def test_all_gpus_are_trained_on_in_processes_of_their_own(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    monkeypatch.setattr(trainer, "gpus_together", lambda: 2)
    monkeypatch.setattr(trainer, "train_on_all", lambda config: given.append(config) or [])
    monkeypatch.setattr(trainer, "resume_on_all", lambda folder, **changes: given.append((folder, changes)) or [])
    config = tiny_config(device="all")
    list(trainer.train(config))
    assert given == [config]
    list(trainer.train(tiny_config()))
    list(resume(config.run, device="all", epochs=3, measure_again=True))
    assert given[1][0] == config.run
    assert {name: value for name, value in given[1][1].items() if value is not None} == {
        "measure_again": True,
        "changes": {"epochs": 3, "device": "all"},
    }


def test_of_several_failures_the_cause_is_told(tmp_path: Path) -> None:
    said = [
        {"event": "Failed", "message": "left alone", "is_cause": False, "remedies": []},
        {"event": "Failed", "message": "no such disk", "is_cause": True, "remedies": []},
        {"event": "Failed", "message": "left alone too", "is_cause": False, "remedies": []},
    ]
    (tmp_path / "said").write_text("some library says [1]\n[1]\n" + "\n".join(map(json.dumps, said)))
    failures: list[EngineError] = []
    with (tmp_path / "said").open() as lines:
        assert list(several._lines(lines, failures)) == []
    assert isinstance(failures[0], RunError) and str(failures[0]) == "no such disk"


def test_a_child_that_runs_out_of_memory_offers_what_would_need_less(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    remedies = (
        Remedy("Batches of 2 instead of 4", (("batch_size", 2), ("accumulate", 2)), hint="Slower."),
        Remedy("Pictures of 64 px", (("size", 64), ("grow_from", None)), begins_anew=True),
    )

    def fail(config: TrainConfig) -> Iterator[TrainEvent]:
        raise OutOfMemoryError("The memory ran out.", remedies=remedies)
        yield

    # The child, in this process, then what its parent makes of it.
    monkeypatch.setattr("engine.cli.train.train", fail)
    config = tiny_config()
    arguments = [str(config.folder_A), str(config.folder_B), "--run", str(config.run), "--json"]
    assert main(["train", *arguments]) == NOTHING_DONE
    (tmp_path / "said").write_text(capfd.readouterr().out)
    failures: list[EngineError] = []
    with (tmp_path / "said").open() as lines:
        assert list(several._lines(lines, failures)) == []
    (failure,) = failures
    assert isinstance(failure, OutOfMemoryError)
    assert (str(failure), failure.remedies) == ("The memory ran out.", remedies)


def test_a_failure_of_the_child_is_an_error_with_its_sentence(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    config.run.mkdir()
    (config.run / "config.json").touch()
    with pytest.raises(RunError, match="already holds a training"):
        list(train_on_all(config, processes=1))


def test_a_child_that_dies_without_a_word_is_told_and_what_it_said_is_logged(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(epochs=10_000)
    children: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def remember(*arguments: object, **values: object) -> subprocess.Popen[str]:
        children.append(real(*arguments, **values))
        return children[-1]

    monkeypatch.setattr(several.subprocess, "Popen", remember)
    with pytest.raises(RunError, match="ended unexpectedly") as caught:
        for event in train_on_all(config, processes=1):
            if isinstance(event, StepReport):
                # The worker first, which torchrun then complains about.
                for worker in _children_of(children[0].pid):
                    os.kill(worker, signal.SIGKILL)
    assert "SIGKILL" in str(caught.value) and "log.txt" in str(caught.value)
    assert "SIGKILL" in (config.run / "log.txt").read_text()
    assert list(resume(config.run, epochs=1, max_steps=_newest_step(config.run) + 1))[-1].reason == "max_steps"


def _children_of(process: int) -> list[int]:
    family = Path(f"/proc/{process}/task/{process}/children")
    if family.exists():
        return [int(pid) for pid in family.read_text().split()]
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, parent in pairs if int(parent) == process]


def test_when_its_parent_dies_the_child_saves_and_ends(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=10_000)
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "config.json").write_text(json.dumps(config.to_json()))
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "config.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "training\n"
        parent.kill()
    _wait_until(lambda: "Stopped at step" in (config.run / "log.txt").read_text())
    assert _newest_step(config.run) >= 1
    _wait_until(lambda: _can_be_resumed(config.run))


def _can_be_resumed(run: Path) -> bool:
    try:
        list(resume(run, max_steps=_newest_step(run) + 1))
    except RunError:
        return False
    return True


def _wait_until(is_so: Callable[[], bool], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.1)
