"""Two ranks on half of the pictures each take the steps of one process on all of them.

This file is also the program that each rank runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.config import TrainConfig
from engine.model.cyclegan import CycleGAN

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]
TIMEOUT = 600
States = dict[str, dict[str, dict[str, Tensor]]]
VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "batched": {},
    "options": {
        "accumulate": 2,
        "gan_loss": "hinge",
        "gradient_penalty": 10.0,
        "spectral_norm": True,
        "clip_gradient": 0.1,
        "ema_decay": 0.9,
        "lambda_identity": 0.0,
        "generator": "unet",
        "halvings": 5,
    },
    "in-less-memory": {"recompute": True, "per_direction": True, "lambda_identity": 0.5, "accumulate": 2},
}


def make_model(variant: str, *, batch_size: int) -> CycleGAN:
    small = {"size": 32, "load_size": 32, "blocks": 1, "channels": 4, "pool_size": 0}
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    config = TrainConfig(**{**places, **small, **VARIANTS[variant], "batch_size": batch_size})
    return CycleGAN(config, CPU, dtype=torch.float64, batched=variant == "batched")


def take_steps(model: CycleGAN, rank: int, ranks: int) -> dict[str, dict[str, Tensor]]:
    """Two steps that move nothing, so that gradients compare, and one that does; the state after each part."""
    states = {}
    numbers = {"gradients": (0, 1), "moved": (2,)}
    for part, steps in numbers.items():
        for step in steps:
            random = torch.Generator().manual_seed(step)
            real = (
                torch.rand((2, 2 * model.config.accumulate, 3, 32, 32), generator=random, dtype=torch.float64) * 2 - 1
            )
            real_A, real_B = real[:, rank::ranks]
            rate = 2e-4 if part == "moved" else 0.0
            model.step(real_A, real_B, first_number=100 * rank + step, learning_rate=rate, number=step)
        states[part] = {name: value.clone() for name, value in model.state()[0].items()}
    return states


def run_rank(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(folder / "store"), 2), rank=rank, world_size=2
    )
    states = {}
    for variant in VARIANTS:
        model = make_model(variant, batch_size=1)
        model.use_ranks()
        states[variant] = take_steps(model, rank, 2)
    torch.save(states, folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def states_of_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[States]:
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_averaged_gradients_of_two_ranks_are_those_of_one_process(
    variant: str, states_of_ranks: list[States]
) -> None:
    expected = take_steps(make_model(variant, batch_size=2), 0, 1)["gradients"]
    moments = [name for name in expected if name.startswith("optimizer") and name.endswith("exp_avg")]
    assert {name.split(".")[0] for name in moments} == {"optimizer_G", "optimizer_D"}
    for name in moments:
        assert (expected[name] != 0).any(), name
        for state in states_of_ranks:
            torch.testing.assert_close(state[variant]["gradients"][name], expected[name], atol=1e-12, rtol=0, msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ranks_stay_the_same_bit_for_bit(variant: str, states_of_ranks: list[States]) -> None:
    first, second = (state[variant]["moved"] for state in states_of_ranks)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    weight = next(name for name in first if name.startswith("G_AB."))
    assert not torch.equal(first[weight], states_of_ranks[0][variant]["gradients"][weight])


if __name__ == "__main__":
    run_rank(int(sys.argv[1]), Path(sys.argv[2]))
