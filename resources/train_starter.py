"""Train the starter model that ships with the app, on the sample.

    python resources/train_starter.py RUN

RUN is the folder of the training; if it is there already, its model is only stored anew. The command that made the
file in the repo is this one, with nothing changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))


def main() -> int:
    """Train, unless that is done, and store both generators as fp16."""
    from engine import preset_config, train
    from engine.conversion.model_file import load_generator, read_model_info, write_model
    from engine.events import StepReport
    from engine.training.run import read_run_summary

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the training")
    run = parser.parse_args().run
    sample = HERE / "sample"
    if not (run / "config.json").exists():
        config = preset_config(
            "quick",
            folder_A=sample / "trainA",
            folder_B=sample / "trainB",
            test_A=sample / "testA",
            test_B=sample / "testB",
            run=run,
            name_A="Summer",
            name_B="Winter",
            epochs=20,
            decay_epochs=20,
        )
        for event in train(config):
            if isinstance(event, StepReport):
                print(
                    f"\rstep {event.step} of {event.total_steps}, {event.seconds_left:.0f} s left ", end="", flush=True
                )
        print()
    import torch

    cpu = torch.device("cpu")
    target = HERE / "starter.safetensors"
    write_model(
        target,
        {"a2b": load_generator(run, "a2b", cpu)[0], "b2a": load_generator(run, "b2a", cpu)[0]},
        read_run_summary(run).config,
        steps=read_model_info(run).steps,
        dtype=torch.float16,
        licence="MIT",
        note="Trained on the drawn landscapes that come with CycleGAN Desktop; made for pictures like them.",
    )
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
