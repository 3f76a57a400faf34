from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.tensor_file import read_tensors

SAVE_FOR_EVER = """
import sys, torch
from pathlib import Path
from engine.tensor_file import write_tensors
folder = Path(sys.argv[1])
tensors = {str(i): torch.full((300, 1000), float(i)) for i in range(4)}
print("ready", flush=True)
step = 0
while True:
    step += 1
    write_tensors(folder / "model.safetensors", tensors, {"step": str(step)})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_while_saving_leaves_the_old_or_the_new_file_whole(tmp_path: Path) -> None:
    moments = random.Random(0)
    steps = []
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        file = tmp_path / "model.safetensors"
        file.unlink(missing_ok=True)
        while not file.exists():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.15))
        child.kill()
        child.wait()
        child.stdout.close()
        tensors, metadata = read_tensors(file)
        assert sorted(tensors) == ["0", "1", "2", "3"]
        steps.append(int(metadata["step"]))
    assert max(steps) > 1
