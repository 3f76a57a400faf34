from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch

from engine.config import TrainConfig
from engine.conversion.model_file import load_generator
from engine.model.cyclegan import CycleGAN
from engine.training.checkpoint import restore_checkpoint
from engine.training.run import Choices, Pictures, Run

CPU = torch.device("cpu")

SAVE_FOR_EVER = """
import sys
from pathlib import Path
from engine.model.cyclegan import CycleGAN
from engine.training.checkpoint import save_checkpoint
from engine.training.run import Run
import torch
run = Run.open(Path(sys.argv[1]))
model = CycleGAN(run.config, torch.device("cpu"))
step = int(sys.argv[2])
print("ready", flush=True)
while True:
    step += 1
    with torch.no_grad():
        for network in model.networks.values():
            for weight in network.parameters():
                weight.fill_(step)
    save_checkpoint(run, model, step=step, seconds=0.0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_while_saving_leaves_a_checkpoint_and_a_model_that_are_whole(
    tiny_config: Callable[..., TrainConfig],
) -> None:
    config = tiny_config(channels=16)
    choices = Choices(device="cpu", hardware="a processor", precision="fp32", threads=1)
    run = Run.create(config, choices, Pictures(train_A=(), train_B=(), sample_A=(), sample_B=(), held_out=False))
    run.close()
    moments = random.Random(0)
    step = 0
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(run.folder), str(step)],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        first = run.checkpoints / f"step_{step + 1:08d}.safetensors"
        while not (first.exists() and run.model.exists()):
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.3))
        child.kill()
        child.wait()
        child.stdout.close()

        opened = Run.open(run.folder)
        model = CycleGAN(config, CPU)
        restored = restore_checkpoint(opened, model)
        opened.close()
        assert restored.damaged == ()
        assert restored.step > step
        # One generation, not a mixture of two.
        weights = torch.cat([w.detach().flatten() for net in model.networks.values() for w in net.parameters()])
        assert torch.equal(weights, torch.full_like(weights, restored.step))
        _, info = load_generator(run.model, "a2b", CPU)
        assert restored.step - 1 <= info.steps <= restored.step
        step = restored.step
