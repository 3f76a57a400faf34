"""Our training step, on its own: the way a training takes it, with what it would choose on this machine.

    python benchmarks/step.py FOLDER_A FOLDER_B [--precision auto] [--size 256] [--batch 1] [--turns] ...

The settings are those of the preset "reference": the losses, networks and batch of `benchmarks/plain.py train`. The
last line is JSON as there: the `seconds` of each step, and the most memory held. With `--turns` see `turns.py`; a turn
is `--a-turn` steps, and its `seconds` are those of one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine import TrainConfig, preset_config
from engine.device import peak_resident_memory
from engine.model.cyclegan import CycleGAN
from engine.ranks import Ranks
from engine.stopwatch import Stopwatch
from engine.training.run import Choices
from engine.training.preparing import choose, find_pictures, make_model
from engine.training.steps import Steps
from engine.training.tuning import tuned
from benchmarks.turns import serve
import torch
# isort: on


def main(arguments: Sequence[str] | None = None) -> int:
    """Take steps, and say how long they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder_A", type=Path, metavar="FOLDER_A")
    parser.add_argument("folder_B", type=Path, metavar="FOLDER_B")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="of the processor (what a training would choose)")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--identity", type=float, default=0.5)
    parser.add_argument("--per-direction", action="store_true", help="the step that saves memory")
    parser.add_argument("--recompute", action="store_true", help="the one that saves more")
    parser.add_argument("--turns", action="store_true", help="steps for each line on standard input")
    parser.add_argument("--a-turn", type=int, default=1, help="steps of each turn")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        config = preset_config(
            "reference",
            folder_A=options.folder_A,
            folder_B=options.folder_B,
            run=Path(folder) / "run",
            precision=options.precision,
            device=options.device,
            size=options.size,
            load_size=options.size * 286 // 256,
            blocks=options.blocks,
            channels=options.channels,
            batch_size=options.batch,
            lambda_identity=options.identity,
            per_direction=options.per_direction,
            recompute=options.recompute,
        )
        choices = choose(config)
        model = make_model(config, choices)
        if options.threads is None:
            choices = as_tuned(config, choices, model)
        else:
            choices = dataclasses.replace(choices, threads=options.threads)
            torch.set_num_threads(options.threads)
        device = torch.device(choices.device)
        steps = Steps(model, config, choices, find_pictures(config), Ranks())
        seconds: list[float] = []

        def take(count: int) -> dict[str, Any]:
            begun = time.perf_counter()
            for _ in range(count):
                problem = steps.fetch()
                assert problem is None, problem
                steps.take()
            steps.take_losses()  # Waits for the device.
            seconds.append((time.perf_counter() - begun) / count)
            return {"seconds": seconds[-1]}

        # The first steps prepare more than the others, and on a GPU each waits until the pools are full.
        take(config.pool_size + options.a_turn if device.type == "cuda" else options.a_turn)
        if options.turns:
            serve(lambda: take(options.a_turn))
        else:
            for _ in range(options.steps):
                take(1)
        steps.close()
    peak = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else peak_resident_memory()
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "choices": dataclasses.asdict(choices)}))
    return 0


def as_tuned(config: TrainConfig, choices: Choices, model: CycleGAN) -> Choices:
    """What a training chooses by measurement when it begins."""
    measuring = tuned(config, choices, model, Stopwatch())
    while True:
        try:
            next(measuring)
        except StopIteration as end:
            chosen: Choices = end.value
            return chosen


if __name__ == "__main__":
    sys.exit(main())
