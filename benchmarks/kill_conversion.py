"""Kills a conversion again and again at random moments and looks, each time, at what is there.

    python benchmarks/kill_conversion.py [--times 30] [--pictures 600] [--seed 0]

The command is killed (kill -9) by itself, its worker processes have to end by themselves. After each kill every result
that has its name must be whole and the very file that it was before, and nothing may be left of the workers. In the
end the rerun has to complete: each picture converted once, no temporary file left. A third of the kills come at a
random moment of the first seconds, while the model is loaded and the ledger is read, the others among the results.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.e2e.test_conversion_survives import Batch, after

_START_SECONDS = 6.0


def main() -> int:
    """Kill, look and report; a failed check ends it with its reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=30, help="kills (30)")
    parser.add_argument("--pictures", type=int, default=600, help="pictures to convert (600)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill-conversion-"))
    batch = Batch(folder, options.pictures)
    # So few a time that the last kill still comes in the middle.
    most = max(2, options.pictures // max(1, options.times))
    unreported = 0
    for number in range(1, options.times + 1):
        before = len(batch.seen)
        started = time.monotonic()
        if number % 3 == 0:
            told, seconds = -1, moments.uniform(0.0, _START_SECONDS)
        else:
            told, seconds = moments.randrange(most), moments.uniform(0.0, 0.1)
        batch.kill(after(told, seconds))
        made = len(batch.seen) - before
        unreported += made - max(0, told)
        print(
            f"kill {number:3} after {time.monotonic() - started:5.2f} s: {made:3} more results, "
            f"{len(batch.seen):4} of {options.pictures} whole"
        )
    converted, skipped = batch.finish()
    again = batch.finish()
    print(f"rerun: {converted} converted, {skipped} known; once more: {again[0]} converted, {again[1]} known")
    print(f"{unreported} results were made between what was told last and the kill; none was made twice")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
