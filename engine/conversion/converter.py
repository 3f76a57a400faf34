"""Converting pictures and whole folders with a trained model: what happens around the batch itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator as Work
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from engine.config import ConvertJob
from engine.conversion.batch import Batch
from engine.conversion.ledger import Ledger, fingerprint, settings_key
from engine.conversion.model_file import ModelInfo, load_generator, model_path, read_model_info
from engine.conversion.openvino_network import OpenvinoError, load_openvino
from engine.conversion.plan import FolderWatch, make_plan, own_share, stamp_of
from engine.conversion.space import RESERVE_BYTES, estimated_bytes, free_bytes
from engine.conversion.translator import Translator, require_long_skip
from engine.conversion.waiting import pause
from engine.data.workers import Workers
from engine.device import all_threads, allowed_cores, choose_device, describe_device
from engine.errors import DataError, ModelFileError, RunError
from engine.events import ConvertEvent, ConvertFinished, ConvertPlanned, FilesFound, Notice, Preparing
from engine.files import disk_sentence
from engine.ranks import Ranks, joined_ranks, local_rank_and_count, rank_and_count
from engine.stopwatch import Stopwatch
from engine.words import bytes_words

# Beside a GPU; each takes 60 MB, and one process has to hand all of them their work.
_MOST_WORKERS = 16

_PREPARING_SECONDS = 0.25


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
        ConfigError: This machine does not have the device, or this model no "change" (field "resize").
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
    info = read_model_info(job.model)
    info.require_direction(job.direction)
    if job.resize == "change":
        require_long_skip(info)
    device = choose_device(job.device)
    rank, count = rank_and_count()
    whole_plan = yield from make_plan(job)
    plan = own_share(whole_plan, rank, count)
    folder_watch = FolderWatch(job, whole_plan, rank, count) if job.watch else None
    yield Preparing("Loading the model")
    threads_before = torch.get_num_threads()
    workers_wanted = _worker_count(device)
    with Workers(workers_wanted, job.time_limit) as workers:
        workers.start()  # They get ready while the model is loaded.
        generator, info = load_generator(job.model, job.direction, device)
        try:
            job.to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(disk_sentence(error, job.to), field="to") from error
        torch.set_num_threads(all_threads())
        try:
            openvino = None
            try:
                openvino = load_openvino(
                    generator, info, direction=job.direction, device=device, precision=job.precision
                )
            except OpenvinoError as error:
                yield Notice(str(error))
            key = settings_key(job, _model_hash(job.model), by_openvino=openvino is not None)
            translator = Translator(
                generator,
                info,
                direction=job.direction,
                device=device,
                precision=job.precision,
                resize=job.resize,
                memory_gb=job.memory_gb,
                spill=job.to,
                openvino=openvino,
            )
            device_words = describe_device(device) + (f", OpenVINO {openvino.version}" if openvino else "")
            with joined_ranks() as ranks, _open_ledger(job, key, ranks) as ledger:
                everything = [task.source for task in whole_plan.tasks]
                sources = tuple(task.source for task in plan.tasks)
                batch = Batch(job, info, translator, ledger, workers, workers_wanted, everything)
                yield ConvertPlanned(sources, plan.other_files, job.to, device_words, translator.precision)
                if rank == 0:
                    yield from _foresee_space(job, info, everything)
                with contextlib.closing(batch):
                    yield from batch.run(plan.tasks)
                    if folder_watch is not None:
                        yield from _go_on_with_new(folder_watch, batch)
                # torchrun ends every process once one has ended with failures, so none ends before all have done
                # their share.
                with contextlib.suppress(RunError):
                    ranks.agree(0)
            yield ConvertFinished(batch.converted, batch.skipped, batch.failed, plan.other_files, job.to, watch.seconds)
        finally:
            torch.set_num_threads(threads_before)


def _worker_count(device: torch.device) -> int:
    """Processes that read and write, shared with who else is here.

    With several cores one more than two; where the cores have nothing else to do as many as there are but one.
    """
    own = allowed_cores() // local_rank_and_count()[1]
    usual = 3 if own >= 4 else 2
    return usual if device.type == "cpu" else max(usual, min(own - 1, _MOST_WORKERS))


def _model_hash(model: Path) -> str:
    file = model_path(model)
    try:
        return fingerprint(file).sha256
    except OSError as error:
        raise ModelFileError(disk_sentence(error, file)) from error


def _open_ledger(job: ConvertJob, key: str, ranks: Ranks) -> Ledger:
    """The first of several processes locks the folder for all, and tells the others when it cannot."""
    if not ranks.is_first:
        problem = ranks.share("")
        if problem:
            raise DataError(problem, field="to")
        return Ledger.open(job.to, key, exclusive=False)
    try:
        ledger = Ledger.open(job.to, key)
    except DataError as error:
        ranks.share(str(error))
        raise
    ranks.share("")
    return ledger


def _foresee_space(job: ConvertJob, info: ModelInfo, sources: Sequence[Path]) -> Work[ConvertEvent, None, None]:
    """Say so if the disk looks too small for the results."""
    sizes: list[tuple[Path, int]] = []
    reported = time.monotonic()
    for number, source in enumerate(sources):
        stamp = stamp_of(source)
        if stamp is not None:
            sizes.append((source, stamp[0]))
        if time.monotonic() - reported >= _PREPARING_SECONDS:
            yield Preparing("Estimating the space", number, len(sources))
            reported = time.monotonic()
    needed, free = estimated_bytes(sizes, job, info.size), free_bytes(job.to)
    if needed > free - RESERVE_BYTES:
        yield Notice(f"About {bytes_words(needed)} will be written to {job.to}, where {bytes_words(free)} are free.")


def _go_on_with_new(folder_watch: FolderWatch, batch: Batch) -> Work[ConvertEvent, None, None]:
    """Convert what comes into the source folders; ends only by being closed."""
    while True:
        tasks = yield from folder_watch.look()
        if tasks:
            yield FilesFound(tuple(task.source for task in tasks))
            yield from batch.run(tasks)
            continue
        yield from pause(folder_watch.pause, Preparing("Watching for new pictures", batch.done, batch.count))
