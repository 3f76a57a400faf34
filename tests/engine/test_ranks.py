"""Two processes on the CPU that train one model together, started as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.device import choose_device
from engine.errors import ConfigError
from engine.events import Notice, TrainFinished, TrainStarted
from engine.ranks import Ranks, joined_ranks, local_rank_and_count, rank_and_count
from engine.training.loss_table import read_loss_table
from engine.training.run import read_run_summary
from engine.training.trainer import resume

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gloo and signals as on Linux and macOS")

# Only a guard against hanging for ever: starting torch several times takes a busy machine a while.
PATIENCE_SECONDS = 600

# What a rank was told, by its number. All ranks write to one pipe, so each writes its line in one piece.
TALK = """
import json, sys, torch
from engine.ranks import joined_ranks
with joined_ranks() as ranks:
    shared = ranks.share({"from": ranks.rank})
    agreed = ranks.agree(1 << ranks.rank)
    mean = ranks.mean(torch.tensor([float(ranks.rank), 5.0])).tolist()
    sys.stdout.write(json.dumps([ranks.rank, ranks.count, ranks.is_first, shared, agreed, mean]) + "\\n")
"""

# The headless command; at the end each rank prints a digest of its weights.
TRAIN_AND_PRINT_WEIGHTS = """
import hashlib, sys
from engine import __main__ as command
from engine.model.cyclegan import CycleGAN
models, make = [], CycleGAN.__init__
CycleGAN.__init__ = lambda self, *a, **b: (make(self, *a, **b), models.append(self))[0]
code = command.main(sys.argv[1:])
state = models[0].state()[0]
digest = hashlib.sha256()
for name in sorted(state):
    if not name.startswith("pool"):
        digest.update(state[name].numpy().tobytes())
sys.stdout.write(f"weights {digest.hexdigest()}\\n")
sys.exit(code)
"""

# The headless command, in which rank 1 is killed amid its fourth step.
TRAIN_AND_DIE = """
import os, signal, sys
from engine import __main__ as command
from engine.model.cyclegan import CycleGAN
step = CycleGAN.step
def fatal(self, *pictures, **values):
    if values["number"] == 3 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *pictures, **values)
CycleGAN.step = fatal
sys.exit(command.main(sys.argv[1:]))
"""


@contextmanager
def torchrun(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Two processes; killed with their leader if the test fails."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, start_new_session=True, **pipes) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()


def spoken(lines: str) -> list[dict[str, object]]:
    """The events among the lines that several processes and their libraries have written."""
    return [json.loads(line) for line in lines.splitlines() if line.startswith('{"event"')]


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "script.py").write_text(text)
        return str(tmp_path / "script.py")

    return write


@pytest.fixture
def flags(folders: tuple[Path, Path], tmp_path: Path) -> list[str]:
    """Of a training of 12 steps of two processes; torchrun would take --run for its own."""
    options = ["--size", "32", "--load-size", "36", "--blocks", "1", "--channels", "4", "--pool-size", "3"]
    machine = ["--device", "cpu", "--precision", "fp32", "--epochs", "2", "--decay-epochs", "2"]
    return ["train", *map(str, folders), "--into", str(tmp_path / "run"), *options, *machine]


def test_a_process_that_works_alone_is_the_first_of_one_and_talks_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert rank_and_count() == local_rank_and_count() == (0, 1)
    with joined_ranks() as ranks:
        assert (ranks.rank, ranks.count, ranks.is_first) == (0, 1, True)
        assert (ranks.share("word"), ranks.agree(5)) == ("word", 5)


def test_an_error_of_its_own_is_not_taken_for_the_loss_of_another() -> None:
    with pytest.raises(RuntimeError, match="shapes"), Ranks(0, 2).losing_others():
        raise RuntimeError("shapes do not fit")
    with pytest.raises(RuntimeError, match="gloo"), Ranks().losing_others():
        raise RuntimeError("gloo")


def _as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, count: int) -> None:
    values = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
    for name, value in {**values, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))


def test_of_several_processes_each_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    _as_rank(monkeypatch, 1, 2)
    for name in ("auto", "all", "cuda"):
        assert str(choose_device(name)) == "cuda:1"
    assert str(choose_device("cpu")) == "cpu"
    for name in ("cuda:0", "mps"):
        with pytest.raises(ConfigError, match=f"cannot share {name}"):
            choose_device(name)
    _as_rank(monkeypatch, 1, 3)
    with pytest.raises(ConfigError, match="3 processes on this machine and 2 GPUs"):
        choose_device("all")


def test_ranks_share_agree_and_take_means(script: Callable[[str], str]) -> None:
    with torchrun([script(TALK)]) as child:
        said, complaint = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode == 0, complaint
    told = sorted(json.loads(line) for line in said.splitlines() if line.startswith("["))
    assert told == [[rank, 2, rank == 0, {"from": 0}, 3, [0.5, 5.0]] for rank in (0, 1)]


def test_two_processes_train_one_model_that_one_process_can_go_on_with(
    script: Callable[[str], str], flags: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with torchrun([script(TRAIN_AND_PRINT_WEIGHTS), *flags, "--json", "--ema-decay", "0.9"]) as child:
        said, complaint = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode == 0, complaint
    events = spoken(said)
    kinds = [event["event"] for event in events]
    # One process alone speaks and writes.
    assert kinds.count("TrainStarted") == kinds.count("TrainFinished") == 1
    assert complaint.count("Done at step 12") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A", "B", "run", "script.py"]
    (started,) = (event for event in events if event["event"] == "TrainStarted")
    assert (started["total_steps"], started["steps_per_epoch"]) == (12, 3)
    steps = [step for portion, _ in read_loss_table(run) for step in portion]
    assert steps == sorted(set(steps)) and steps[-1] == 12
    # The same steps on both.
    weights = [line for line in said.splitlines() if line.startswith("weights")]
    assert len(weights) == 2 and len(set(weights)) == 1
    summary = read_run_summary(run)
    assert summary.is_complete and summary.total_steps == 12

    # An epoch of one process has 6 steps: the fifth epoch begins at step 12.
    gone_on = list(resume(run, decay_epochs=3))
    (notice,) = (event for event in gone_on if isinstance(event, Notice))
    assert "had 2 processes and goes on with 1 process" in notice.text and "not bit for bit" in notice.text
    (begun,) = (event for event in gone_on if isinstance(event, TrainStarted))
    assert (begun.step, begun.total_steps, begun.steps_per_epoch) == (12, 18, 6)
    assert isinstance(gone_on[-1], TrainFinished) and gone_on[-1].step == 18
    summary = read_run_summary(run)
    assert summary.is_complete and summary.total_steps == 18
    # Resuming with what it now has needs no word.
    assert not [event for event in resume(run, decay_epochs=4) if isinstance(event, Notice)]


def test_a_killed_process_ends_the_training_with_a_sentence_and_a_checkpoint(
    script: Callable[[str], str], flags: list[str], tmp_path: Path
) -> None:
    with torchrun([script(TRAIN_AND_DIE), *flags]) as child:
        _, complaint = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode != 0
    assert "Another process of this training has ended" in complaint
    assert "Resume the training from its last checkpoint" in complaint
    assert list(resume(tmp_path / "run"))[-1].reason == "complete"


def _terminate(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGTERM)


def _press_ctrl_c(child: subprocess.Popen[str]) -> None:
    """A terminal tells every process of the group; torchrun then tells its workers again, and once more."""
    os.killpg(child.pid, signal.SIGINT)


@pytest.mark.parametrize("stop", [_terminate, _press_ctrl_c])
def test_a_signal_stops_all_processes_saved(
    stop: Callable[[subprocess.Popen[str]], None], flags: list[str], tmp_path: Path
) -> None:
    flags[flags.index("--epochs") + 1] = "100000"
    with torchrun(["-m", "engine", *flags, "--json"]) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith('{"event": "StepReport"'):
                stop(child)
                break
        _, complaint = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode != 0
    assert f'cyclegan train --resume "{tmp_path / "run"}"' in complaint
    assert "has ended, so this one" not in complaint
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    assert int(newest.stem.removeprefix("step_")) >= 1
