"""The estimate beside the truth: what it says about a training, then that training, in time and in memory.

    python benchmarks/estimate_truth.py [A B] [--minutes 2] [--repeat 1] [--settings quick larger grows]

Of each setting the estimate is made, the whole training is run with so few steps that it takes about the minutes given,
and the estimate is made once more, since other work on the machine comes and goes: what is compared is the mean of
both. Memory is that of the training's device as the estimate has it; on a CPU the most that a fresh process holds, less
what it held before the training. Without folders it makes pictures of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine import preset_config
from engine.config import TrainConfig
from engine.device import choose_device, peak_resident_memory, resident_memory
from engine.events import Estimated
from engine.training.estimate import estimate
from engine.training.trainer import train
import numpy as np
import torch
from PIL import Image
# isort: on

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "quick": ("quick", {}),
    "larger": ("quick", {"size": 128, "blocks": 6}),
    # Its stages take all of its epochs, so it is never cut short.
    "grows": (
        "standard",
        {
            "size": 64,
            "blocks": 3,
            "channels": 16,
            "grow_from": 32,
            "epochs": 1,
            "decay_epochs": 1,
        },
    ),
    "batch of one": ("standard", {"size": 64, "blocks": 3, "channels": 32}),
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="A B", help="two folders of pictures")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long each training is to take (2)")
    parser.add_argument("--repeat", type=int, default=1, help="how often all is done (1)")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS)[:3])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (auto)")
    parser.add_argument("--truth", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.truth is not None:
        print(json.dumps(_truth(TrainConfig.from_json(json.loads(options.truth.read_bytes())))))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folders = options.folders or _made_pictures(Path(scratch))
        print(f"{'setting':<14}{'steps':>7}{'estimated':>20}{'truth':>18}{'time':>7}{'memory':>8}  load", flush=True)
        for turn in range(options.repeat):
            for name in options.settings:
                _compare(name, folders, options, Path(scratch) / f"{name} {turn}")
    return 0


def _compare(name: str, folders: list[Path], options: argparse.Namespace, run: Path) -> None:
    preset, values = SETTINGS[name]
    config = preset_config(
        preset,  # type: ignore[arg-type]
        folder_A=folders[0],
        folder_B=folders[1],
        run=run,
        device=options.device,
        **values,
    )
    if config.grow_from is None:
        rough = _estimated(config)
        steps = max(10, int(60 * options.minutes / rough.seconds_per_step))
        config = dataclasses.replace(config, max_steps=min(rough.total_steps, steps))
    load = [os.getloadavg()[0]] if hasattr(os, "getloadavg") else []
    before = _estimated(config)
    truth = dataclasses.replace(config, run=run.with_name(f"{run.name} truth"))
    seconds, memory = _run_truth(truth, run.with_suffix(".json"))
    after = _estimated(config)
    load += [os.getloadavg()[0]] if load else []
    said_seconds = (before.seconds + after.seconds) / 2
    said_memory = (before.memory_bytes + after.memory_bytes) / 2
    print(
        f"{name:<14}{before.total_steps:>7,}{before.seconds:>7.0f} and {after.seconds:.0f} s"
        f"{said_memory / 1e6:>8.0f} MB{seconds:>8.0f} s{memory / 1e6:>7.0f} MB{said_seconds / seconds:>7.2f}"
        f"{said_memory / memory:>8.2f}  {' to '.join(f'{value:.1f}' for value in load)}",
        flush=True,
    )


def _estimated(config: TrainConfig) -> Estimated:
    *_, last = estimate(config)
    if not isinstance(last, Estimated):
        raise SystemExit(f"These settings do not fit: {last}")
    return last


def _run_truth(config: TrainConfig, file: Path) -> tuple[float, int]:
    """Seconds and bytes of the training, in a process of its own."""
    file.write_text(json.dumps(config.to_json()), encoding="ascii")
    command = [sys.executable, __file__, "--truth", str(file)]
    seconds, memory = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return seconds, memory


def _truth(config: TrainConfig) -> tuple[float, int]:
    device = choose_device(config.device)
    if device.type == "cuda":
        torch.cuda.mem_get_info(device)  # Makes the context.
    before = resident_memory()
    start = time.perf_counter()
    for _ in train(config):
        pass
    seconds = time.perf_counter() - start
    if device.type == "cuda":
        return seconds, torch.cuda.max_memory_reserved(device)
    return seconds, peak_resident_memory() - before


def _made_pictures(folder: Path) -> list[Path]:
    """Two folders of 300 pictures each, smooth noise in two tints."""
    folders = [folder / "A", folder / "B"]
    for hue, side in enumerate(folders):
        side.mkdir()
        for number in range(300):
            random = np.random.default_rng((hue, number))
            pixels = random.integers(0, 150, (16, 16, 3), dtype=np.uint8)
            pixels[..., 2 * hue] += 100
            Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC).save(side / f"{number}.jpg")
    return folders


if __name__ == "__main__":
    sys.exit(main())
