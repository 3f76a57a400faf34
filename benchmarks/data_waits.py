"""Whether training waits for its pictures, and how fast these come: read anew, decoded on disk, decoded in memory.

    python benchmarks/data_waits.py [--seconds 40] [--only-waiting] [--quick] [--json]

Draws JPEGs of 256 px and of 12 megapixels into a temporary folder, then:

- trains (the standard preset on small files, the quick one on large ones) and tells the share of time that the trainer
  has waited for pictures, from its own reports: in the first epoch, when each is read for the first time, and later;
- prepares pictures as fast as they come, without any network: with one reading thread and with as many as a training
  has, and from each place where decoded ones are kept. All ways take turns; the figure is the median round.

The last line is JSON with `--json`. Ratios are within one run; the times mean this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine import preset_config
from engine.data import picture_cache
from engine.data.picture_cache import CacheRoom
from engine.data.unpaired import UnpairedImages
from engine.device import reading_threads
from engine.events import StepReport, TrainStarted
from engine.training.trainer import train
# isort: on

_SMALL, _LARGE = (256, 256), (4000, 3000)
_COUNT = {"small": 4, "large": 24}
_ROUNDS = 5


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="of training, for each of the two (default: 40)")
    parser.add_argument("--only-waiting", action="store_true", help="not how fast pictures come without a network")
    parser.add_argument("--quick", action="store_true", help="less of everything: only to see whether it works")
    parser.add_argument("--json", action="store_true", help="a last line of JSON")
    options = parser.parse_args()
    result = measure(
        3.0 if options.quick else options.seconds, is_quick=options.quick, only_waiting=options.only_waiting
    )
    for name, shares in result["waiting"].items():
        words = ", ".join(f"{when} {share:.1%}" for when, share in shares.items())
        print(f"share of time that training waited, {name}: {words}")
    for name, rates in result["steps_of_pictures_a_second"].items():
        slowest = min(rates.values())
        for way, rate in rates.items():
            print(f"{name}, {way}: {rate:.4g} steps' pictures a second, {rate / slowest:.3g} times the slowest")
    if options.json:
        print(json.dumps(result))
    return 0


def measure(seconds: float, *, is_quick: bool = False, only_waiting: bool = False) -> dict[str, Any]:
    """Everything: `waiting` has shares, `steps_of_pictures_a_second` a figure for each way."""
    large = (400, 300) if is_quick else _LARGE
    with tempfile.TemporaryDirectory(prefix="cyclegan-") as name:
        folder = Path(name)
        for kind, size in (("small", _SMALL), ("large", large)):
            for side, seed in (("A", 0), ("B", 1)):
                _draw(folder / kind / side, _COUNT[kind], size, seed)
        waiting = {
            "standard preset, JPEGs of 256 px": _waiting(
                folder / "small", seconds, "quick" if is_quick else "standard"
            ),
            "quick preset, JPEGs of 12 megapixels": _waiting(folder / "large", seconds, "quick"),
        }
        kinds = {} if only_waiting else {"JPEGs of 256 px": "small", "JPEGs of 12 megapixels": "large"}
        rates = {name: _rates(folder / kind, 2 if is_quick else _ROUNDS) for name, kind in kinds.items()}
    return {"waiting": waiting, "steps_of_pictures_a_second": rates, "readers": reading_threads()}


def _draw(folder: Path, count: int, size: tuple[int, int], seed: int) -> None:
    """Soft shapes with the noise of a camera, so that files are as large as those of photographs; all the same."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    shapes = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(shapes).resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
    noise = random.integers(-6, 7, (size[1], size[0], 1), dtype=np.int16)
    Image.fromarray((soft + noise).clip(0, 255).astype(np.uint8)).save(folder / "0.jpg", quality=90)
    for number in range(1, count):
        shutil.copyfile(folder / "0.jpg", folder / f"{number}.jpg")


def _waiting(folder: Path, seconds: float, preset: str) -> dict[str, float]:
    """Shares of the time of all steps of the first epoch, and of later ones."""
    config = preset_config(
        preset, folder_A=folder / "A", folder_B=folder / "B", run=folder / "run", max_minutes=seconds / 60
    )
    waited: dict[str, list[tuple[float, float]]] = {"first epoch": [], "later": []}
    last, per_epoch = 0.0, 1
    for event in train(config):
        if isinstance(event, TrainStarted):
            per_epoch = event.steps_per_epoch
        elif isinstance(event, StepReport):
            # A report of two epochs counts for the first.
            when = "first epoch" if event.step <= per_epoch or not waited["first epoch"] else "later"
            waited[when].append((event.waiting * (event.seconds - last), event.seconds - last))
            last = event.seconds
    sums = {when: [sum(column) for column in zip(*shares, strict=True)] for when, shares in waited.items() if shares}
    return {when: waiting / total for when, (waiting, total) in sums.items()}


def _rates(folder: Path, rounds: int) -> dict[str, float]:
    """Steps' pictures a second in each way, the median round."""
    readers = reading_threads()
    nothing, everything = CacheRoom(0), CacheRoom(10**9)
    on_disk = CacheRoom(0, 10**9, folder)
    # Small files would not be kept there, and the disk of a benchmark may be nearly full.
    worth, picture_cache.is_worth_a_file = picture_cache.is_worth_a_file, lambda seconds: True
    reserve, picture_cache.DISK_RESERVE_BYTES = picture_cache.DISK_RESERVE_BYTES, 0
    ways = {
        "read anew, 1 thread": _Pictures(folder, nothing, 1),
        f"read anew, {readers} threads": _Pictures(folder, nothing, readers),
        f"decoded on disk, {readers} threads": _Pictures(folder, on_disk, readers),
        f"decoded in memory, {readers} threads": _Pictures(folder, everything, readers),
    }
    spent: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for _ in range(rounds):
            for way, pictures in ways.items():
                spent[way].append(pictures.rate())
    finally:
        picture_cache.is_worth_a_file, picture_cache.DISK_RESERVE_BYTES = worth, reserve
        for pictures in ways.values():
            pictures.close()
    return {way: statistics.median(rates) for way, rates in spent.items()}


class _Pictures:
    """Pictures of steps, served in one way."""

    def __init__(self, folder: Path, room: CacheRoom, readers: int) -> None:
        config = preset_config("standard", folder_A=folder / "A", folder_B=folder / "B", run=folder / "run")
        A, B = (sorted((folder / side).iterdir()) for side in ("A", "B"))
        self._images = UnpairedImages(A, B, config, room=room, readers=readers)
        # Once, so that what can be kept is kept.
        for step in range(8 * len(A) if room.memory or room.disk else 0):
            self._images.batch(step)

    def rate(self) -> float:
        """Steps' pictures a second."""
        with contextlib.closing(self._images.batches(0)) as batches:
            next(batches)
            begun, count = time.perf_counter(), 0
            while time.perf_counter() - begun < 1.0:
                next(batches)
                count += 1
            return count / (time.perf_counter() - begun)

    def close(self) -> None:
        """Give back what is kept."""
        self._images.close()


if __name__ == "__main__":
    sys.exit(main())
