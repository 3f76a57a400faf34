"""A training on all GPUs of this machine: the headless command under torchrun as a child, its events as our own.

The child prints an event a line and then waits for a line on its standard input, so that it pauses when nobody asks
for the next event, stops (and saves) when told "stop", and does so too when this process dies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import engine
from engine.config import TrainConfig
from engine.device import gpus_together
from engine.errors import EngineError, OutOfMemoryError, RunError
from engine.events import Sample, TrainEvent, TrainStarted, train_event_from_json
from engine.remedies import Remedy
from engine.training.sheets import read_sheet

# How long a child may take to save and end; a large model on a slow disk takes long.
_PATIENCE_SECONDS = 600.0
_LAST_WORDS = 10_000


def train_on_all(config: TrainConfig, *, processes: int | None = None) -> Iterator[TrainEvent]:
    """As `train`, in several processes of one GPU each.

    Args:
        config: The training.
        processes: How many; None for one a GPU.
    """
    with tempfile.TemporaryDirectory(prefix="cyclegan-") as folder:
        settings = Path(folder) / "config.json"
        settings.write_text(json.dumps(config.to_json()), encoding="ascii")
        yield from _events(["--config", str(settings)], config.run, processes)


def resume_on_all(folder: Path, *, processes: int | None = None, **arguments: object) -> Iterator[TrainEvent]:
    """As `resume`, in several processes of one GPU each.

    Args:
        folder: The run.
        processes: How many; None for one a GPU.
        **arguments: Those of `resume`.
    """
    with tempfile.TemporaryDirectory(prefix="cyclegan-") as place:
        how = Path(place) / "arguments.json"
        how.write_text(json.dumps(arguments), encoding="ascii")
        yield from _events(["--resume", str(folder), "--arguments", str(how)], folder, processes)


def _events(arguments: Sequence[str], run: Path, processes: int | None) -> Iterator[TrainEvent]:
    """The events of the child; it has ended when this has."""
    count = processes or gpus_together()
    with tempfile.TemporaryFile() as complaints, _child(arguments, count, complaints) as child:
        assert child.stdout is not None
        failures: list[EngineError] = []
        begun = False
        for values in _lines(child.stdout, failures):
            event = train_event_from_json(values, _read_samples)
            begun = begun or isinstance(event, TrainStarted)
            try:
                yield event
            except GeneratorExit:
                _say(child, "stop")
                with _patience(child):
                    list(_lines(child.stdout, failures))
                # It may have died while it saved.
                _require_good_end(child, failures, complaints, run if begun else None)
                raise
            _say(child, "next")
        _require_good_end(child, failures, complaints, run if begun else None)


def _require_good_end(
    child: subprocess.Popen[str], failures: Sequence[EngineError], complaints: IO[bytes], run: Path | None
) -> None:
    """Wait for the child to end, and see that it did so as it should; if not, the run's log gets its last words."""
    with _patience(child):
        code = child.wait()
    if not failures and code == 0:
        return
    said = _last_words(complaints)
    if run is not None:
        with contextlib.suppress(OSError), (run / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{said}\n")
    raise failures[0] if failures else RunError(_died(code, said, run))


@contextlib.contextmanager
def _child(arguments: Sequence[str], count: int, complaints: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    """The headless command under torchrun, in a session of its own so that Ctrl-C is ours to handle."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)),
        *("-m", "engine", "train", *arguments, "--json", "--paced"),
    ]
    cores = os.cpu_count() or 1
    paths = [str(Path(engine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        # Also where nobody has installed the engine.
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count))),
    }
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env=environment,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        yield child
    finally:
        for pipe in (child.stdin, child.stdout):
            # Closing what a dead child no longer reads fails.
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        with _patience(child):
            child.wait()


@contextlib.contextmanager
def _patience(child: subprocess.Popen[str]) -> Iterator[None]:
    """Wait for the child for a long time, then end it: torchrun hands the signal on to its workers, then kills them."""
    timer = threading.Timer(_PATIENCE_SECONDS, child.terminate)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    # A child that has died is noticed by its output's end.
    with contextlib.suppress(OSError):
        child.stdin.write(f"{word}\n")
        child.stdin.flush()


def _lines(output: IO[str], failures: list[EngineError]) -> Iterator[dict[str, Any]]:
    """The events that the child prints; its failures go into their list, and what some library prints nowhere."""
    for line in output:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if not isinstance(values, dict) or "event" not in values:
            continue
        if values["event"] == "Failed":
            # The cause stands first; other processes may only say that they were left alone.
            failures.insert(0 if values["is_cause"] else len(failures), _failure(values))
        else:
            yield values


def _failure(values: Mapping[str, Any]) -> EngineError:
    """What the child could not do, with what would need less memory where that was it."""
    remedies = tuple(Remedy.from_json(remedy) for remedy in values["remedies"])
    message = str(values["message"])
    return OutOfMemoryError(message, remedies=remedies) if remedies else RunError(message)


def _read_samples(values: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The samples of a `SamplesDrawn`, from the sheets on disk; those whose sheet could not be written are missing."""
    samples: list[Sample] = []
    for name in values["files"]:
        path = Path(name)
        direction = path.stem.rpartition("_")[2]
        # A sheet names pictures relative to their folder; here they are known whole.
        sources = [Path(sample["source"]) for sample in values["samples"] if sample["direction"] == direction]
        with contextlib.suppress(OSError, ValueError):
            pairs = zip(read_sheet(path, path.parent), sources, strict=True)
            samples += [dataclasses.replace(sample, source=source) for sample, source in pairs]
    return tuple(samples)


def _last_words(complaints: IO[bytes]) -> str:
    """The end of what the child has said on its standard error."""
    complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, complaints.tell() - _LAST_WORDS))
    return complaints.read().decode("utf-8", "replace").strip()


def _died(code: int, said: str, run: Path | None) -> str:
    """Why the child has ended without a word, for a dialog."""
    # Errors above all, but for torchrun's own, which says that there was one; else its last words.
    lines = [line.strip() for line in said.splitlines() if any(map(str.isalpha, line))]
    errors = [line for line in lines if "Error: " in line and "ChildFailedError" not in line]
    words = (errors or lines or ["it said nothing"])[-1]
    where = "" if run is None else f" Everything it said is in {run / 'log.txt'}."
    return (
        f"The processes of this training ended unexpectedly (code {code}; {words}).{where} Resume the training from "
        "its last checkpoint, or train on one device."
    )
