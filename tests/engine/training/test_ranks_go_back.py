"""Two processes whose numbers are not finite in one of them leave out the same steps and go back together.

This file is also the program that each process runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.config import TrainConfig
from engine.events import RolledBack, TrainFinished
from engine.model.cyclegan import CycleGAN
from engine.ranks import rank_and_count
from engine.training import reporter, trainer
from engine.training.run import read_marks

ROOT = Path(__file__).parents[3]
TIMEOUT = 600

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gloo as on Linux and macOS")


def train_here(folder: Path) -> None:
    """Train with the other process; the second one's pictures are infinite in its third to fifth step."""
    rank = rank_and_count()[0]
    real = CycleGAN.step
    models: list[CycleGAN] = []

    def step(self: CycleGAN, real_A: torch.Tensor, real_B: torch.Tensor, **values: float) -> object:
        models.append(self)
        is_spoilt = rank == 1 and 3 <= len(models) <= 5
        return real(self, real_A / 0 if is_spoilt else real_A, real_B, **values)

    CycleGAN.step = step  # type: ignore[assignment]
    reporter.REPORT_SECONDS = 0.0
    config = TrainConfig.from_json(json.loads((folder / "config.json").read_text()))
    events = list(trainer.train(config))
    rolled_back = [event.from_step for event in events if isinstance(event, RolledBack)]
    torch.save(
        {
            "rolled_back": rolled_back,
            "finished": any(isinstance(event, TrainFinished) for event in events),
            "steps": len(models),
            "weights": {name: network.state_dict() for name, network in models[-1].networks.items()},
        },
        folder / f"rank{rank}.pt",
    )


def test_both_leave_out_the_same_steps_and_go_back_together(
    tiny_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = tiny_config(epochs=2, decay_epochs=2)
    (tmp_path / "config.json").write_text(json.dumps(config.to_json()))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *(__file__, str(tmp_path)),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert first["rolled_back"] == [5] and first["finished"]
    assert not second["rolled_back"]
    # Five steps, back to the first checkpoint, then all twelve.
    assert first["steps"] == second["steps"] == 17
    for name, weights in first["weights"].items():
        for key, value in weights.items():
            assert torch.equal(value, second["weights"][name][key]), (name, key)
            assert value.isfinite().all()
    (mark,) = [mark for mark in read_marks(config.run) if mark.kind == "rolled_back"]
    assert mark.step == 0 and "went back to step 0" in mark.text


if __name__ == "__main__":
    train_here(Path(sys.argv[1]))
