"""Converting many small pictures: the whole command beside the plain one.

    python benchmarks/convert_small.py [--count 1000] [--rounds 2] [--precision auto] [--extra] [--json]

JPEGs of 256 px become PNG files. Both commands are started anew each time, in turns (A B A B), with the same weights:
`cyclegan convert` and `benchmarks/plain.py convert`. Then their results are compared. OpenVINO stays out of it, also
where it is installed, but with `--extra` it converts in turns with them, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from benchmarks.photographs import write_photographs
from benchmarks.turns import TurnError, last_words

ROOT = Path(__file__).resolve().parent.parent

_PLAIN = ROOT / "benchmarks" / "plain.py"
_COMPARED = 200

# The command as it is for who has not installed OpenVINO: what stands as None here cannot be found by anybody.
_WITHOUT_EXTRA = (
    "import sys; sys.modules['openvino'] = None; from engine.__main__ import main; sys.exit(main(sys.argv[1:]))"
)
COMMAND_WITHOUT_EXTRA = (sys.executable, "-c", _WITHOUT_EXTRA, "convert")
_POLL_SECONDS = 0.25


def draw_model(folder: Path, blocks: int, channels: int) -> tuple[Path, Path]:
    """The same random weights for both: the plain program's file, and a model of ours."""
    # Here, since every process that loads torch takes seconds.
    from benchmarks import plain
    from engine.conversion.exchange import import_model

    networks, model = folder / "networks", folder / "model.safetensors"
    plain.main(["draw", str(networks), "--blocks", str(blocks), "--channels", str(channels)])
    paths = [networks / "latest_net_G_A.pth", networks / "latest_net_G_B.pth"]
    import_model(paths, names=("A", "B"), to=model, size=256)
    return paths[0], model


def beside_plain(
    model: tuple[Path, Path],
    source: Path,
    folder: Path,
    *,
    rounds: int,
    device: str | None = None,
    precision: str = "auto",
    extra: bool = False,
    after_round: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Convert a picture or a folder of them with both commands in turns, each started anew.

    Args:
        model: The files of both, from `draw_model`.
        source: What is converted.
        folder: For the results, in folders of it.
        rounds: How often.
        device: Of both; the best there is, if None.
        precision: Of ours.
        extra: Whether ours takes a second turn in each round, with OpenVINO.
        after_round: Called after each round.

    Returns:
        The `seconds` of each side and round, their `ratio` by the medians and the `ratios` of the rounds, by how many
        levels of 255 the results differ on average and at most, and the `bytes` of each side's results. With `extra`
        the same once more under that name, of ours with OpenVINO.

    Raises:
        TurnError: A command fails, or OpenVINO is not installed.
    """
    if extra and not has_extra():
        raise TurnError("OpenVINO is not installed")
    to = {name: folder / name for name in ("plain", "ours", "extra")[: 3 if extra else 2]}
    on = [] if device is None else ["--device", device]
    of_ours = ["--direction", "a2b", "--format", "png", "--precision", precision, *on]
    commands = {
        "plain": [sys.executable, _PLAIN, "convert", model[0], source, "--to", to["plain"], *on],
        "ours": [*COMMAND_WITHOUT_EXTRA, model[1], source, "--to", to["ours"], *of_ours],
    }
    if extra:
        commands["extra"] = [sys.executable, "-m", "engine", "convert", model[1], source, "--to", to["extra"], *of_ours]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            shutil.rmtree(to[name], ignore_errors=True)
            seconds[name].append(run(command)[0])
        after_round()
    found = {name: _compared(name, seconds, to) for name in commands if name != "plain"}
    return found.pop("ours") | found


def has_extra() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def _compared(name: str, seconds: dict[str, list[float]], to: dict[str, Path]) -> dict[str, Any]:
    differences = [_difference(path, to[name] / path.name) for path in sorted(to["plain"].iterdir())[:_COMPARED]]
    sides = {"plain": seconds["plain"], "ours": seconds[name]}
    return {
        "seconds": sides,
        "ratio": statistics.median(sides["plain"]) / statistics.median(sides["ours"]),
        "ratios": [plain / ours for plain, ours in zip(*sides.values(), strict=True)],
        "mean_levels": statistics.mean(mean for mean, _ in differences),
        "most_levels": max(most for _, most in differences),
        "bytes": {"plain": _bytes(to["plain"]), "ours": _bytes(to[name])},
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both commands in turns, on pictures drawn or given."""
    source = options.source or write_photographs(folder / "pictures", options.count, size=(options.size, options.size))
    model = draw_model(folder, options.blocks, options.channels)
    found = beside_plain(
        model,
        source,
        folder,
        rounds=options.rounds,
        device=options.device,
        precision=options.precision,
        extra=options.extra,
    )
    return {"source": str(options.source) if options.source else f"{options.count:,} pictures", **found}


def run(command: list[Any]) -> tuple[float, int]:
    """Run a command to its end; its seconds, and the most memory that it and its processes held, where that is told."""
    most = 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, env=environment)
        while True:
            try:
                code = process.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                most = max(most, memory_of_tree(process.pid))
        seconds = time.perf_counter() - started
        if code:
            output.seek(0)
            raise TurnError(last_words([str(part) for part in command], output.read().decode(errors="replace")))
    return seconds, most


def memory_of_tree(process: int) -> int:
    """Bytes that a process and its children hold for themselves; 0 where the system does not tell."""
    total = 0
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        tasks = Path(f"/proc/{process}/task")
        children = [
            child for task in tasks.iterdir() for child in (task / "children").read_text(encoding="ascii").split()
        ]
        resident, shared = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1:3]
        total = (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
    return total + sum(memory_of_tree(int(child)) for child in children)


def _difference(one: Path, other: Path) -> tuple[float, int]:
    """Mean and most levels of 255."""
    with Image.open(one) as first, Image.open(other) as second:
        levels = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
    return float(levels.mean()), int(levels.max())


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.png"))


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="pictures")
    parser.add_argument("--source", type=Path, help="a picture or a folder of them in their place")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--device", help="for both (the best there is)")
    parser.add_argument("--precision", default="auto", help="of ours: auto, fp32 or bf16")
    parser.add_argument("--extra", action="store_true", help="ours with OpenVINO, too")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line, and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    if options.json:
        print(json.dumps(found))
    else:
        for name, one in (("ours", found), ("with OpenVINO", found.get("extra"))):
            if one is not None:
                print(f"{found['source']}, {name}: {one['ratio']:.2f} times the plain one ({one['ratios']})")
                print(f"seconds: {one['seconds']}")
                print(f"against it {one['mean_levels']:.3f} levels of 255 on average, {one['most_levels']} at most")
                print(f"bytes of the results: {one['bytes']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
