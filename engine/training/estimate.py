"""How long a training would take and how much memory, measured by a few of its own steps."""

from __future__ import annotations

import concurrent.futures
import contextlib
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from engine.config import TrainConfig
from engine.data.workers import NoWorkerError, WorkerDiedError, Workers, WorkerTimeoutError
from engine.errors import ConfigError, DataError, DivergedError, EngineError, OutOfMemoryError, PictureError, RunError
from engine.events import Estimated, EstimateEvent, Preparing, TooLarge
from engine.remedies import Remedy
from engine.training.preparing import check_start, find_pictures
from engine.training.rhythm import seconds_between_measurements, seconds_between_samples
from engine.training.schedule import growth
from engine.training.trial import REPORT_NAME, Facts, Measured, Refused, last_told, try_out

_POLL_SECONDS = 0.2
# A step of the largest network on the slowest machine, several times over.
_MOST_SECONDS = 6 * 3600.0
_GROWTH_PARTS = 100
_PREFIX = "cyclegan-estimate-"
_LOCK = ".lock"
_YOUNG_SECONDS = 60.0


def estimate(config: TrainConfig) -> Iterator[EstimateEvent]:
    """Train a few steps on the real pictures, in a process and a temporary folder that are gone afterwards.

    A training that needs more memory than there is takes only that process down. Closing the generator ends it at once.
    Of a training on several GPUs one is measured; they exchange gradients while they compute others.

    What the memory means: the most that the training takes on its device, beyond what the program has before it begins
    (torch and the window; on CUDA its context). See `docs/decisions/0013`.

    Yields:
        `Preparing`, a few times a second, and last `Estimated` or `TooLarge`.

    Raises:
        EngineError: As `train` would.
    """
    yield Preparing("Looking for pictures")
    check_start(config)
    find_pictures(config)
    yield Preparing("Measuring this machine")
    _sweep()
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder,
        FileLock(Path(folder) / _LOCK),
    ):
        report = Path(folder) / REPORT_NAME
        with Workers(1, _MOST_SECONDS, one_thread=False) as workers:
            future = workers.submit(try_out, config.to_json(), folder)
            while not concurrent.futures.wait([future], _POLL_SECONDS).done:
                yield last_told(report)[1] or Preparing("Measuring this machine")
        facts, _ = last_told(report)
        try:
            measured = future.result()
        except (WorkerDiedError, WorkerTimeoutError, NoWorkerError) as error:
            if facts is None or "SIGKILL" not in str(error):
                raise RunError(
                    f"The time could not be measured, because the process that measures it has ended: {error} Try it "
                    "again; the training itself may work all the same."
                ) from error
            yield _too_large(facts)  # The system has ended it, as it does when the memory runs out.
            return
    if isinstance(measured, Measured):
        yield estimated(config, measured)
    elif measured.kind == OutOfMemoryError.__name__ and facts is not None:
        yield _too_large(facts)
    else:
        raise _error_of(measured)


def _sweep() -> None:
    """Remove what measurements whose program was killed have left behind: their lock is free."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            # A younger one may not have its lock yet.
            if time.time() - folder.stat().st_mtime < _YOUNG_SECONDS or folder.is_symlink():
                continue
            with FileLock(folder / _LOCK, timeout=0):
                pass
            shutil.rmtree(folder, ignore_errors=True)


def estimated(config: TrainConfig, measured: Measured) -> Estimated:
    """What a few steps say about the whole training."""
    facts = measured.facts
    return Estimated(
        seconds_per_step=measured.step,
        total_steps=facts.total_steps,
        seconds=_whole_seconds(config, measured),
        device=facts.device,
        precision=facts.precision,
        memory_bytes=measured.memory_bytes,
        memory_free_bytes=facts.memory_free_bytes,
        remedies=tuple(map(Remedy.from_json, facts.remedies)),
    )


def _whole_seconds(config: TrainConfig, measured: Measured) -> float:
    """Steps, checkpoints by the clock, and samples and quality at the trainer's own rhythm."""
    left = _stepping_seconds(config, measured)
    left += left // (60 * config.save_minutes) * measured.save
    most = math.inf if config.max_minutes is None else 60 * config.max_minutes
    rhythms: list[tuple[float, Callable[[float, float], float]]] = [(measured.samples, seconds_between_samples)]
    if measured.quality:
        rhythms.append((measured.quality, seconds_between_measurements))
    # All of it is done at the beginning and at the end, too.
    now = measured.prepare + 2 * (measured.save + measured.samples + measured.quality)
    due = [now + gap(seconds, now) for seconds, gap in rhythms]
    while left > 0 and now < most:
        which = due.index(min(due))
        seconds, gap = rhythms[which]
        stepping = min(left, max(0.0, due[which] - now))
        now += stepping
        left -= stepping
        if left > 0:
            now += seconds
            due[which] = now + gap(seconds, now)
    return min(now, most)


def _stepping_seconds(config: TrainConfig, measured: Measured) -> float:
    """All steps: those of the first epoch wait for their pictures, and small pictures take less time."""
    total, epoch = measured.facts.total_steps, measured.facts.steps_per_epoch
    moments = [total * part // _GROWTH_PARTS for part in range(_GROWTH_PARTS)]
    share = sum(measured.sizes.get(growth(config, step, epoch), 1.0) for step in moments) / _GROWTH_PARTS
    waiting = min(total, epoch) * max(0.0, measured.first_step - measured.step)
    return total * measured.step * share + waiting


def _too_large(facts: Facts) -> TooLarge:
    return TooLarge(
        total_steps=facts.total_steps,
        device=facts.device,
        precision=facts.precision,
        memory_free_bytes=facts.memory_free_bytes,
        remedies=tuple(map(Remedy.from_json, facts.remedies)),
    )


def _error_of(refused: Refused) -> EngineError:
    if refused.kind == ConfigError.__name__:
        return ConfigError(refused.field, refused.message)
    if refused.kind == DataError.__name__:
        return DataError(refused.message, field=refused.field)
    kinds = {kind.__name__: kind for kind in (PictureError, RunError, DivergedError, OutOfMemoryError)}
    return kinds.get(refused.kind, EngineError)(refused.message)
