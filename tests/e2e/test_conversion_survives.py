"""A conversion by the real command survives bad files, kills at any moment and a full disk, and does nothing twice."""

from __future__ import annotations

import hashlib
import io
import json
import os
import queue
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LEDGER_NAME = ".cyclegan-conversion.jsonl"

# A worker at work in a library ends itself after some time; these are at work for milliseconds.
_WORKERS_END_SECONDS = 30.0


def make_model(path: Path) -> Path:
    """A model of random, very small networks."""
    import torch

    from engine.config import TrainConfig
    from engine.conversion.model_file import write_model
    from engine.model.architecture import Architecture
    from engine.model.generator import Generator

    folder = path.parent
    config = TrainConfig(
        folder_A=folder, folder_B=folder, run=folder, name_A="Reds", name_B="Blues", size=32, load_size=32,
        blocks=1, channels=2, long_skip=True,
    )  # fmt: skip
    generator = Generator(Architecture(blocks=1, channels=2, long_skip=True))
    random_numbers = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in generator.parameters():
            weights.normal_(0.0, 0.2, generator=random_numbers)
    write_model(path, {"a2b": generator}, config, steps=1)
    return path


def draw_pictures(folder: Path, count: int, size: tuple[int, int] = (20, 14)) -> list[Path]:
    """Pictures of noise in five formats and ten subfolders, each different."""
    paths = []
    for number in range(count):
        suffix = (".png", ".jpg", ".webp", ".tif", ".bmp")[number % 5]
        path = folder / f"{number % 10}" / f"{number:04}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


def bad_files() -> dict[str, bytes]:
    """Ten kinds of files that are no pictures, by the names they pretend to have."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)

    def encoded(kind: str) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        return buffer.getvalue()

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")
    png = encoded("PNG")
    bomb = png[:16] + struct.pack(">II", 200_000, 200_000) + png[24:]
    return {
        "empty.png": b"",
        "text.jpg": b"This is no picture.",
        "page.png": b"<!doctype html><title>404</title>",
        "archive.webp": archive.getvalue(),
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "cut.jpg": encoded("JPEG")[:1500],
        "cut.png": png[:3000],
        "cut.tif": encoded("TIFF")[:200],
        "header.gif": b"GIF89a\x10\x00\x10\x00",
        "bomb.png": bomb,
    }


def draw_bad(folder: Path, times: int) -> list[Path]:
    """Each kind of bad file so many times, each time with other bytes at its end."""
    paths = []
    for number in range(times):
        for name, content in bad_files().items():
            path = folder / f"{number}" / f"bad {number} {name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content + bytes(number) if content else content)
            paths.append(path)
    return paths


def command(model: Path, source: Path, out: Path, *flags: str) -> list[str]:
    """The real command, with small threads."""
    return [
        sys.executable, "-m", "engine", "convert", str(model), str(source), "--to", str(out), "--direction", "a2b",
        "--device", "cpu", "--precision", "fp32", "--json", *flags,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """This process's own, in which the engine is found and torch takes one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def convert(model: Path, source: Path, out: Path, *flags: str) -> tuple[int, list[dict[str, object]], str]:
    """Run the command to its end: its exit code, its events and what it said."""
    done = subprocess.run(
        command(model, source, out, *flags), env=environment(), capture_output=True, text=True, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def files_in(folder: Path) -> list[Path]:
    """Every file below a folder, hidden ones too."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def hashes(folder: Path) -> dict[str, str]:
    """The content of every file below a folder but the ledger."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files_in(folder)
        if path.name != LEDGER_NAME
    }


def of_kind(events: list[dict[str, object]], kind: str) -> list[dict[str, object]]:
    """The events of a name."""
    return [event for event in events if event["event"] == kind]


# Bad files


def test_of_a_thousand_files_950_are_written_and_50_bad_ones_named(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model.safetensors")
    good = draw_pictures(tmp_path / "in", 950)
    bad = draw_bad(tmp_path / "in", 5)
    assert len(bad) == 50
    before = hashes(tmp_path / "in")

    code, events, told = convert(model, tmp_path / "in", tmp_path / "out")

    assert code == 1
    assert "950 converted, 50 failed" in told and "Traceback" not in told
    assert {event["source"] for event in of_kind(events, "Converted")} == {str(path) for path in good}
    failed = {str(event["source"]): str(event["reason"]) for event in of_kind(events, "FileFailed")}
    assert failed.keys() == {str(path) for path in bad}
    for source, reason in failed.items():
        assert Path(source).name in reason and reason.endswith(".")
        assert f"FAILED {source}: {reason}" in told
    assert hashes(tmp_path / "in") == before
    results = [path for path in files_in(tmp_path / "out") if path.name != LEDGER_NAME]
    assert [path.relative_to(tmp_path / "out") for path in results] == sorted(
        path.relative_to(tmp_path / "in") for path in good
    )
    for path in results:
        with Image.open(path) as picture:
            picture.load()
            assert picture.size == (20, 14)


# Kills


class Batch:
    """One batch that is killed and started again; every look at its folder sees that all is well.

    Attributes:
        seen: The results found so far, with the time of their change, their place on the disk and their hash.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._model = make_model(folder / "model.safetensors")
        self._sources = draw_pictures(folder / "in", count, (48, 40))
        self._in, self.out = folder / "in", folder / "out"
        self._before = hashes(self._in)
        code, _, told = convert(self._model, self._in, folder / "at once")
        assert code == 0, told
        self._expected = hashes(folder / "at once")
        assert len(self._expected) == count
        self.seen: dict[str, tuple[int, int, str]] = {}

    def kill(self, wait: Callable[[Iterator[dict[str, object]]], None]) -> None:
        """Start the command, kill it alone as soon as `wait`, which gets its events, returns, and look."""
        with subprocess.Popen(
            command(self._model, self._in, self.out),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            # Read all the time: it is not to wait for its reader.
            lines: queue.SimpleQueue[str] = queue.SimpleQueue()
            reader = threading.Thread(target=_read_all, args=(process.stdout, lines))
            reader.start()
            wait(json.loads(line) for line in iter(lines.get, ""))
            workers = _children(process.pid)
            process.kill()
            reader.join()
        _wait_until_gone(workers)
        self._look()

    def finish(self) -> tuple[int, int]:
        """Run the command to its end and look: how many were converted and how many were done already."""
        present = len(self.seen)
        code, events, told = convert(self._model, self._in, self.out)
        assert code == 0, told
        self._look()
        assert {name: seen[2] for name, seen in self.seen.items()} == self._expected
        converted, skipped = of_kind(events, "Converted"), of_kind(events, "FileSkipped")
        assert all(event["is_result"] for event in skipped)
        assert (len(converted), len(skipped)) == (len(self._expected) - present, present)
        assert [path.name for path in files_in(self.out) if path.name.startswith(".")] == [LEDGER_NAME]
        assert hashes(self._in) == self._before
        return len(converted), len(skipped)

    def _look(self) -> None:
        """Whatever has its name is a whole result, the only one of its picture, and stays as it is."""
        found: dict[str, tuple[int, int, str]] = {}
        for path in files_in(self.out) if self.out.exists() else []:
            if path.name.startswith("."):
                continue
            name = path.relative_to(self.out).as_posix()
            status = path.stat()
            found[name] = (status.st_mtime_ns, status.st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
            assert found[name][2] == self._expected.get(name), f"{name} is no whole result"
            with Image.open(path) as picture:
                picture.load()
        for name, before in self.seen.items():
            assert found.get(name) == before, f"{name} was made twice"
        self.seen = found


def after(results: int, seconds: float) -> Callable[[Iterator[dict[str, object]]], None]:
    """The moment so many seconds after so many more results; with -1 after the program was started."""

    def wait(events: Iterator[dict[str, object]]) -> None:
        if results >= 0:
            kinds = (event["event"] for event in events)
            next(kind for kind in kinds if kind == "ConvertPlanned")
            for _ in range(results):
                next((kind for kind in kinds if kind == "Converted"), None)
        time.sleep(seconds)

    return wait


def _read_all(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _children(process: int) -> list[int]:
    """The processes that a process has started, where the system shows them as files."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process and state != "Z":
            found.append(int(path.parent.name))
    return found


def _wait_until_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + _WORKERS_END_SECONDS
    while left := [process for process in processes if _lives(process)]:
        assert time.monotonic() < deadline, f"workers outlive their program: {left}"
        time.sleep(0.02)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_killed_at_any_moment_it_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    # Some more than told are made until each kill: as many as a fast machine makes in that time, and then some.
    batch = Batch(tmp_path, 150)
    moments = random.Random(4)
    made = 0
    for results in (0, 1, 6, 20):
        batch.kill(after(results, moments.uniform(0.0, 0.05)))
        made += results
        assert len(batch.seen) >= made
    converted, _ = batch.finish()
    assert converted > 0, "the kills came in the middle"
    assert batch.finish() == (0, 150)


# Full disk


@pytest.mark.skipif(shutil.which("unshare") is None, reason="only Linux lends a disk of one's own")
def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model.safetensors")
    draw_pictures(tmp_path / "in", 40, (200, 200))
    disk, ballast, go_on, kept = (tmp_path / name for name in ("disk", "disk/ballast", "go on", "kept"))
    disk.mkdir()
    # 32 MB are left free whatever comes: about a megabyte is there for 40 results of 20 to 120 KB.
    script = (
        'mount -t tmpfs -o size=66000000 tmpfs "$1" && head -c 33000000 /dev/zero > "$2" || exit 77\n'
        '(while [ ! -e "$3" ]; do sleep 0.05; done; rm "$2") &\n'
        'go_on=$3 kept=$4 out=$5; shift 5; "$@"; code=$?; cp -r "$out" "$kept"; touch "$go_on"; exit $code\n'
    )
    places = [str(path) for path in (disk, ballast, go_on, kept, disk / "out")]
    events = []
    with subprocess.Popen(
        ["unshare", "-r", "-m", "sh", "-c", script, "sh", *places, *command(model, tmp_path / "in", disk / "out")],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "WaitingForSpace":
                go_on.touch()
        told = process.stderr.read()
    if process.returncode == 77 or told.startswith("unshare:"):
        pytest.skip(f"no disk can be mounted here: {told}")
    assert process.returncode == 0, told
    kinds = [event["event"] for event in events]
    assert kinds.index("Converted") < kinds.index("WaitingForSpace"), "it filled up in the middle"
    assert kinds.count("Converted") == 40 and "40 converted, 0 failed" in told
    results = [path for path in files_in(kept) if path.name != LEDGER_NAME]
    assert len(results) == 40
    for path in results:
        with Image.open(path) as picture:
            picture.load()
