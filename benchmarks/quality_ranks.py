"""Whether the quality score ranks the moments of a training as another measure of pictures does.

    python benchmarks/quality_ranks.py RUN MODEL [MODEL ...] --measure "python kid.py {translated} {real}"

Each model translates the pictures of both test folders of RUN (of its training folders where it has none). The command
is given the folder of results and that of real pictures, cut alike, and prints a number, lower being better. Printed
are a table and, for each direction, the Spearman rank correlation of that number with the score.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine.config import Direction, TrainConfig
from engine.conversion.model_file import load_generator
from engine.data.folders import scan_folder
from engine.data.images import read_pixels
from engine.training.measuring import QualityMeter
from engine.training.run import read_pictures, read_run_summary
from engine.training.samples import middle
from engine.model.picture_tensors import to_picture, to_tensor
import torch
# isort: on

CPU = torch.device("cpu")
DIRECTIONS: tuple[Direction, Direction] = ("a2b", "b2a")


def main() -> int:
    """Measure every model both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--measure", required=True, help="a command with {translated} and {real}")
    options = parser.parse_args()
    config, pictures = read_run_summary(options.run).config, read_pictures(options.run)
    meter = QualityMeter(config, pictures)
    folders = [config.test_A or config.folder_A, config.test_B or config.folder_B]
    scores: dict[Direction, list[float]] = {"a2b": [], "b2a": []}
    others: dict[Direction, list[float]] = {"a2b": [], "b2a": []}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        sources = [_cut(scan_folder(folder).pictures, config) for folder in folders]
        for name, cut in zip(("A", "B"), sources, strict=True):
            _write(cut, work / name)
        print(f"{'model':<28} " + "  ".join(f"{d} score (start, finish), scales, measure" for d in DIRECTIONS))
        for path in options.models:
            generators = {direction: load_generator(path, direction, CPU)[0] for direction in DIRECTIONS}
            measured = meter.measure(generators, CPU, "fp32")
            assert measured is not None, "the pictures cannot be read"
            line = f"{path.name:<28} "
            for quality, source, target in zip(measured.directions, sources, ("B", "A"), strict=True):
                direction = quality.direction
                with torch.inference_mode():
                    results = [to_picture(generators[direction](to_tensor(cut, CPU))) for cut in source]
                _write(results, work / "results")
                value = _number(options.measure, work / "results", work / target)
                scores[direction].append(quality.distance)
                others[direction].append(value)
                scales = " ".join(f"{distance:.0f}" for distance in quality.distances)
                lines = f"({quality.start_line:.1f}, {quality.finish_line:.1f})"
                line += f"{direction} {quality.distance:6.1f} {lines} [{scales}] {value:.4f}  "
            print(line, flush=True)
    for direction in DIRECTIONS:
        print(f"Spearman {direction}: {spearman(scores[direction], others[direction]):+.3f}")
    return 0


def spearman(one: list[float], other: list[float]) -> float:
    """The correlation of the ranks of two lists of numbers without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def _cut(paths: tuple[Path, ...], config: TrainConfig) -> list[np.ndarray]:
    return [middle(read_pixels(path), config) for path in paths]


def _write(pictures: list[np.ndarray], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:04}.png", compress_level=1)


def _number(command: str, translated: Path, real: Path) -> float:
    """The first number with a point in what the command prints."""
    arguments = [part.format(translated=translated, real=real) for part in shlex.split(command)]
    said = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    found = re.search(r"-?\d+\.\d+", said)
    assert found is not None, f"no number in {said!r}"
    return float(found[0])


if __name__ == "__main__":
    sys.exit(main())
