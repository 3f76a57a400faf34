"""The way into a conversion: what can begin before torch is there, whose import takes longest of all."""

from __future__ import annotations

from collections.abc import Generator as Work
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.config import ConvertJob
from engine.conversion.ledger import fingerprint
from engine.conversion.model_file import model_path, read_model_info
from engine.conversion.plan import make_plan
from engine.data.workers import Workers
from engine.errors import ModelFileError
from engine.events import ConvertEvent, Preparing
from engine.files import disk_sentence
from engine.stopwatch import Stopwatch

_LEAST_WORKERS = 2


def convert(job: ConvertJob) -> Iterator[ConvertEvent]:
    """Convert every picture of a job. A picture that fails is reported and the others go on.

    Pictures are read and written in processes of their own, which may crash or be ended when they take too long. What
    is done is kept in the ledger of the output folder: the same job, started again, does only what is missing.
    Started by torchrun, each process converts and reports its share of the pictures.

    Sources are only read. Results are written under a temporary name and appear whole. A taken name becomes "name (1)"
    unless the job says otherwise; a source is never overwritten, nor another result of the same batch. While the
    output folder's disk is full the work waits. Closing the generator stops at once and leaves exactly the results
    that were reported.

    Raises:
        ConfigError: This machine does not have the device, this model no "change" (field "resize"), or OpenVINO was
            asked for and cannot do it (field "engine").
        ModelFileError: The model cannot be used, or has no such direction.
        DataError: Nothing can be converted (field "sources"), or the output folder cannot be used (field "to").
        EngineError: The system starts no processes to read and write pictures.
    """
    watch = Stopwatch()
    work = _convert(job, watch)
    try:
        for event in work:
            yield from watch.tell(event)
    finally:
        work.close()


def _convert(job: ConvertJob, watch: Stopwatch) -> Work[ConvertEvent, None, None]:
    yield Preparing("Looking for pictures")
    read_model_info(job.model).require_direction(job.direction)
    plan = yield from make_plan(job)
    yield Preparing("Loading the model")
    with (
        Workers(_LEAST_WORKERS, job.time_limit, ready_for="engine.conversion.file_work") as workers,
        ThreadPoolExecutor(1, "beside") as beside,
    ):
        workers.start()  # They get ready while torch is imported and the model loaded.
        model_hash = beside.submit(_model_hash, job.model)
        from engine.conversion.converter import convert_planned

        try:
            yield from convert_planned(job, plan, workers, model_hash, beside, watch)
        finally:
            beside.shutdown(wait=False, cancel_futures=True)


def _model_hash(model: Path) -> str:
    file = model_path(model)
    try:
        return fingerprint(file).sha256
    except OSError as error:
        raise ModelFileError(disk_sentence(error, file)) from error
