"""Converting pictures and whole folders with a trained model: what happens around the batch itself.

`start.py` is the way in, which begins before torch is there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator as Work
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from engine.config import ConvertJob
from engine.conversion.batch import Batch
from engine.conversion.ledger import Ledger, settings_key
from engine.conversion.model_file import ModelInfo, load_generator, read_model_info
from engine.conversion.openvino_network import OpenvinoError, load_openvino
from engine.conversion.plan import FolderWatch, Plan, own_share, stamp_of
from engine.conversion.space import RESERVE_BYTES, estimated_bytes, free_bytes
from engine.conversion.translator import Translator, require_long_skip
from engine.conversion.waiting import pause
from engine.data.workers import Workers
from engine.device import DTYPES, all_threads, allowed_cores, choose_device, choose_precision, describe_device
from engine.errors import DataError, RunError
from engine.events import ConvertEvent, ConvertFinished, ConvertPlanned, FilesFound, Notice, Preparing
from engine.files import disk_sentence
from engine.model.generator import make_generator
from engine.model.gpu_layers import compile_ahead, kernel_names
from engine.ranks import Ranks, joined_ranks, local_rank_and_count, rank_and_count
from engine.stopwatch import Stopwatch
from engine.words import bytes_words

# Beside a GPU; each takes 60 MB, and one process has to hand all of them their work.
_MOST_WORKERS = 16

_PREPARING_SECONDS = 0.25


def convert_planned(
    job: ConvertJob,
    whole_plan: Plan,
    workers: Workers,
    model_hash: Future[str],
    beside: ThreadPoolExecutor,
    watch: Stopwatch,
) -> Work[ConvertEvent, None, None]:
    """Convert the pictures of a plan; see `engine.conversion.start.convert`, which has begun.

    Args:
        job: The job.
        whole_plan: Its pictures, those of other processes, too.
        workers: To read and write them; more are started where there is a GPU.
        model_hash: SHA-256 of the model file.
        beside: Does what can be done meanwhile; its owner drops what it has not begun when the conversion ends.
        watch: It runs since the start.
    """
    yield Preparing("Loading the model")  # Importing torch has taken its time, and a stop may have been asked for.
    device = choose_device(job.device)
    rank, count = rank_and_count()
    plan = own_share(whole_plan, rank, count)
    folder_watch = FolderWatch(job, whole_plan, rank, count) if job.watch else None
    workers_wanted = _worker_count(device)
    workers.grow(workers_wanted)
    if device.type == "cuda":
        for kernel in _kernels_for(job, device):
            beside.submit(compile_ahead, kernel, device)
    generator, info = load_generator(job.model, job.direction, device)
    if job.resize == "change":
        require_long_skip(info)
    yield Preparing("Loading the model")
    try:
        job.to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(disk_sentence(error, job.to), field="to") from error
    threads_before = torch.get_num_threads()
    torch.set_num_threads(all_threads())
    try:
        openvino = None
        try:
            openvino = load_openvino(
                generator, info, direction=job.direction, device=device, precision=job.precision, engine=job.engine
            )
        except OpenvinoError as error:
            if job.engine == "openvino":
                raise
            yield Notice(f"{error} PyTorch converts instead.")
        by_pytorch, by_openvino = (settings_key(job, model_hash.result(), by_openvino=by) for by in (False, True))
        key, other = (by_openvino, by_pytorch) if openvino else (by_pytorch, by_openvino)
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
        engine = f"OpenVINO {openvino.version}" if openvino else "PyTorch"
        with joined_ranks() as ranks, _open_ledger(job, key, other, ranks) as ledger:
            everything = [task.source for task in whole_plan.tasks]
            sources = tuple(task.source for task in plan.tasks)
            batch = Batch(job, info, translator, ledger, workers, workers_wanted, everything)
            device_words = describe_device(device)
            yield ConvertPlanned(sources, plan.other_files, job.to, device_words, translator.precision, engine)
            if rank == 0:
                yield from _foresee_space(job, info, everything)
                made_otherwise = 0 if job.again or job.if_exists == "skip" else ledger.made_otherwise(everything)
                if made_otherwise:
                    yield Notice(_otherwise_sentence(made_otherwise, by_openvino=openvino is None))
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


def _kernels_for(job: ConvertJob, device: torch.device) -> list[str]:
    """What is to be compiled for a GPU, in a second that the loading of the model need not wait for."""
    architecture = read_model_info(job.model).architecture
    precision = choose_precision(job.precision, device, architecture.generator)
    with torch.device("meta"):
        network = make_generator(architecture, job.direction)
    return kernel_names(network, DTYPES[precision], has_norms=architecture.norm == "instance")


def _worker_count(device: torch.device) -> int:
    """Processes that read and write, shared with who else is here.

    With several cores one more than two; where the cores have nothing else to do as many as there are but one.
    """
    own = allowed_cores() // local_rank_and_count()[1]
    usual = 3 if own >= 4 else 2
    return usual if device.type == "cpu" else max(usual, min(own - 1, _MOST_WORKERS))


def _otherwise_sentence(count: int, *, by_openvino: bool) -> str:
    before, now = ("OpenVINO", "PyTorch") if by_openvino else ("PyTorch", "OpenVINO")
    were, they = ("picture was", "it is") if count == 1 else ("pictures were", "they are")
    return (
        f"{count:,} {were} converted into this folder by {before} before, whose results differ a little from those of "
        f"{now}: {they} converted once more."
    )


def _open_ledger(job: ConvertJob, key: str, other: str, ranks: Ranks) -> Ledger:
    """The first of several processes locks the folder for all, and tells the others when it cannot."""
    if not ranks.is_first:
        problem = ranks.share("")
        if problem:
            raise DataError(problem, field="to")
        return Ledger.open(job.to, key, other=other, exclusive=False)
    try:
        ledger = Ledger.open(job.to, key, other=other)
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
