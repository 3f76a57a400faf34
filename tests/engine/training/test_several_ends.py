"""How a training in processes of its own ends, seen with a child that only speaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from engine.config import TrainConfig
from engine.errors import RunError
from engine.events import TrainStarted
from engine.training import several
from engine.training.several import train_on_all

# Begins, says something that is no text, and ends as it is told to when it is stopped.
CHILD = """
import os, signal, sys
said, end = sys.argv[1:]
sys.stdout.buffer.write(b"\\xff\\xfe\\n" + said.encode() + b"\\n")
sys.stdout.flush()
word = sys.stdin.readline()
assert word == "stop\\n", word
if end == "told":
    print('{"event": "Failed", "message": "The disk is full.", "is_cause": true, "remedies": []}', flush=True)
if end == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stderr.write("Traceback\\nZeroDivisionError: while saving\\n" if end == "traceback" else "\\xff")
sys.exit(end != "well")
"""


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch, tiny_config: Callable[..., TrainConfig]) -> Callable[[str], TrainConfig]:
    """Puts the child that speaks in place of torchrun, and gives the training whose run it has made."""
    config = tiny_config()
    (config.run).mkdir()
    started = TrainStarted(
        run=config.run,
        name_A="Reds",
        name_B="Blues",
        step=0,
        total_steps=12,
        steps_per_epoch=6,
        total_epochs=2,
        count_A=6,
        count_B=5,
        device="cpu",
        precision="fp32",
    )
    real = subprocess.Popen

    def prepare(end: str) -> TrainConfig:
        values = {"event": "TrainStarted"} | {name: getattr(started, name) for name in started.__slots__}
        command = [sys.executable, "-c", CHILD, json.dumps(values, default=str), end]
        monkeypatch.setattr(several.subprocess, "Popen", lambda _, **options: real(command, **options))
        return config

    return prepare


@pytest.mark.parametrize(
    ("end", "sentence", "logged"),
    [
        ("told", "The disk is full", ""),
        ("traceback", "ended unexpectedly.*while saving", "ZeroDivisionError: while saving"),
        pytest.param(
            "killed",
            "ended unexpectedly",
            "",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL"),
        ),
    ],
)
def test_a_child_that_does_not_save_when_stopped_makes_the_stop_an_error(
    speaking: Callable[[str], TrainConfig], end: str, sentence: str, logged: str
) -> None:
    config = speaking(end)
    events = train_on_all(config, processes=1)
    assert isinstance(next(events), TrainStarted)
    with pytest.raises(RunError, match=sentence):
        events.close()
    assert logged in (config.run / "log.txt").read_text(encoding="utf-8")


def test_a_child_that_saves_when_stopped_is_a_stop(speaking: Callable[[str], TrainConfig]) -> None:
    config = speaking("well")
    events = train_on_all(config, processes=1)
    assert isinstance(next(events), TrainStarted)
    events.close()
    assert not (config.run / "log.txt").exists()
