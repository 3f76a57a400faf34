"""Converting pictures and whole folders with a trained model: decode, translate, encode, overlapped."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Generator as Work
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from engine.config import ConvertJob, OutputSettings
from engine.conversion.file_work import (
    DECODING_BYTES_PER_PIXEL,
    Decoded,
    FrameStack,
    NotWritten,
    TooLargeNow,
    Written,
    decode,
    write,
)
from engine.conversion.ledger import Ledger, fingerprint, settings_key
from engine.conversion.model_file import MODEL_FILE_NAME, ModelInfo, load_generator, model_path, read_model_info
from engine.conversion.naming import result_name, safe_name
from engine.conversion.plan import FolderWatch, Task, key_of, make_plan, own_share, stamp_of
from engine.conversion.space import RESERVE_BYTES, estimated_bytes, free_bytes, is_full
from engine.conversion.translator import Translator, require_long_skip
from engine.data.images import scaled_size
from engine.data.workers import WorkerDiedError, Workers, WorkerTimeoutError
from engine.device import available_memory, choose_device, compute_threads, describe_device
from engine.errors import DataError, ModelFileError, PictureError, RunError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    FilesFound,
    FileSkipped,
    Notice,
    Preparing,
    WaitingForSpace,
)
from engine.files import disk_sentence, numbered
from engine.ranks import Ranks, joined_ranks, local_rank_and_count, rank_and_count
from engine.stopwatch import Stopwatch

# What is free now may be wanted by somebody else in a moment.
_USABLE_SHARE = 0.8

# Of the free memory, what decoding a picture may take while others are at work. Larger ones wait until all is quiet.
_SHARE_OF_ONE = 1 / 32

# Three in a row are no accident: every further picture would be translated for nothing.
_MOST_DISK_FAILURES = 3

# What disks say to a name that they do not like, rather than to a place.
_REFUSED_NAME = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG})

_PREPARING_SECONDS = 0.25
_HEARTBEAT_SECONDS = 0.5
_SPACE_SECONDS = 1.0
# A quota does not tell how much is left of it: it is tried now and then.
_QUOTA_SECONDS = 10.0


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
    with Workers(_worker_count(), job.time_limit) as workers:
        workers.start()  # They get ready while the model is loaded.
        generator, info = load_generator(job.model, job.direction, device)
        key = settings_key(job, _model_hash(job.model))
        try:
            job.to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(disk_sentence(error, job.to), field="to") from error
        torch.set_num_threads(compute_threads())
        try:
            # Measured with the threads that will work.
            translator = Translator(
                generator,
                info,
                direction=job.direction,
                device=device,
                precision=job.precision,
                resize=job.resize,
                memory_gb=job.memory_gb,
                spill=job.to,
            )
            with joined_ranks() as ranks, _open_ledger(job, key, ranks) as ledger:
                everything = [task.source for task in whole_plan.tasks]
                sources = tuple(task.source for task in plan.tasks)
                batch = _Batch(job, info, translator, ledger, workers, everything)
                yield ConvertPlanned(sources, plan.other_files, job.to, describe_device(device), translator.precision)
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


def _worker_count() -> int:
    """Processes that read and write: with several cores one more than two, shared with who else is here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 3 if cores // local_rank_and_count()[1] >= 4 else 2


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
        yield Notice(f"About {_in_words(needed)} will be written to {job.to}, where {_in_words(free)} are free.")


def _go_on_with_new(folder_watch: FolderWatch, batch: _Batch) -> Work[ConvertEvent, None, None]:
    """Convert what comes into the source folders; ends only by being closed."""
    while True:
        tasks = yield from folder_watch.look()
        if tasks:
            yield FilesFound(tuple(task.source for task in tasks))
            yield from batch.run(tasks)
            continue
        yield from _pause(folder_watch.pause, Preparing("Watching for new pictures", batch.done, batch.count))


def _pause(seconds: float, heartbeat: Preparing) -> Work[ConvertEvent, None, None]:
    """Wait; now and then the consumer gets a chance to stop."""
    deadline = time.monotonic() + seconds
    yield heartbeat
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _HEARTBEAT_SECONDS))
        yield heartbeat


class _StoppedError(Exception):
    """Raised in the translator's thread when the generator was closed; nobody is left to see it."""


@dataclass(slots=True, eq=False)
class _File:
    """A picture on its way.

    Attributes:
        index: Its place in the events.
        task: What is to be done.
        outcome: What became of it, where that is known already.
        decoding: Its decoding, once that has begun.
        decoded: What came of that, its pixels translated in time.
        writing: The encoding and writing of its result, once that has begun.
        temporary: The result's temporary file.
        spilled: The file of its frames, if there are several.
        seconds: Time spent on it.
        tries: How often it has met a full disk.
        needed: Bytes that it did not find room for then.
    """

    index: int
    task: Task
    outcome: Converted | FileFailed | FileSkipped | None = None
    decoding: Future[Decoded | TooLargeNow] | None = None
    decoded: Decoded | None = None
    writing: Future[Written | NotWritten] | None = None
    temporary: Path | None = None
    spilled: Path | None = None
    seconds: float = 0.0
    tries: int = 0
    needed: int = 0

    @property
    def name(self) -> str:
        """Its name, for sentences."""
        return self.task.source.name

    @property
    def is_ready(self) -> bool:
        """Whether its outcome can be told at once."""
        return self.outcome is not None or (self.writing is not None and self.writing.done())


class _Batch:
    """The pictures of a job: the next ones are decoded and the last ones encoded while one is translated.

    Results are given their names here, one after the other, so that names do not depend on who is ready first and
    nothing appears that was not reported.

    Attributes:
        count: Pictures that there are so far.
        converted: Pictures converted so far.
        skipped: Pictures skipped so far.
        failed: Pictures that failed so far.
    """

    def __init__(
        self,
        job: ConvertJob,
        info: ModelInfo,
        translator: Translator,
        ledger: Ledger,
        workers: Workers,
        sources: Sequence[Path],
    ) -> None:
        self.count = 0
        self.converted = 0
        self.skipped = 0
        self.failed = 0
        self._job = job
        self._info = info
        self._translator = translator
        self._ledger = ledger
        self._workers = workers
        self._thread = ThreadPoolExecutor(1, "translator")
        grey = info.architecture.channels_of("B" if job.direction == "a2b" else "A") == 1
        self._output = OutputSettings(
            format=job.format, quality=job.quality, lossless=job.lossless, chroma=job.chroma, grey=grey
        )
        self._longest = info.size if job.resize == "training" else job.resize if isinstance(job.resize, int) else None
        self._today = date.today()
        self._look_ahead = _worker_count() + 1
        self._waiting: deque[_File] = deque()
        self._writing: deque[_File] = deque()
        self._stopping = threading.Event()
        # By the key of a result: that of the source that has it, or will.
        self._claimed: dict[str, str] = {}
        self._source_paths = list(sources)
        self._sources: set[object] | None = None
        self._disk_failures = 0
        self._disk_reason = ""
        self._has_told_full = False

    @property
    def done(self) -> int:
        """Pictures of which the outcome was told."""
        return self.converted + self.skipped + self.failed

    def run(self, tasks: Sequence[Task]) -> Work[ConvertEvent, None, None]:
        """Convert pictures, which come after those of the runs before."""
        files = (_File(index, task) for index, task in enumerate(tasks, self.count))
        self.count += len(tasks)
        self._source_paths.extend(task.source for task in tasks)
        self._sources = None
        while True:
            while len(self._waiting) < self._look_ahead and (file := next(files, None)) is not None:
                self._begin(file)
                self._waiting.append(file)
            if not self._waiting:
                break
            file = self._waiting[0]
            if file.outcome is None or isinstance(file.outcome, FileFailed):
                yield ConvertingFile(file.index, file.task.source)
            if file.outcome is None:
                yield from self._translate(file)
            self._writing.append(self._waiting.popleft())
            while self._writing and (len(self._writing) >= self._look_ahead or self._writing[0].is_ready):
                yield from self._finish_first()
        while self._writing:
            yield from self._finish_first()

    def close(self) -> None:
        """End what is under way, at once, and remove what is unfinished."""
        self._stopping.set()
        self._workers.close()
        self._thread.shutdown()
        for file in (*self._waiting, *self._writing):
            self._clean(file)

    # Beginning

    def _begin(self, file: _File) -> None:
        """Decide about a picture, or have it decoded. Quick: several are begun ahead."""
        task = file.task
        if task.problem:
            file.outcome = FileFailed(file.index, task.source, task.problem)
            return
        result = None if self._job.again else self._ledger.result_of(task.source)
        if result is not None:
            self._claim(result, task.source)
            reason = "Converted before, with the same model and settings."
            file.outcome = FileSkipped(file.index, task.source, result, True, reason)
            return
        if self._job.if_exists == "skip" and self._job.format == "keep":
            target = task.folder / self._name_of(task, task.source.suffix)
            if self._claim(target, task.source) and os.path.lexists(target):
                file.outcome = self._taken(file, target)
                return
        self._start_decoding(file, _SHARE_OF_ONE * _free_memory())

    def _start_decoding(self, file: _File, most_bytes: float | None) -> None:
        try:
            file.spilled = file.spilled or self._ledger.temporary_for(self._job.to)
        except OSError as error:
            file.decoding = Future()
            file.decoding.set_exception(error)
            return
        file.decoding = self._workers.submit(
            decode,
            file.task.source,
            self._job.frames,
            self._job.max_megapixels,
            self._longest,
            most_bytes,
            file.spilled,
        )

    def _name_of(self, task: Task, suffix: str) -> str:
        return result_name(
            self._job.name,
            source=task.source,
            suffix=suffix,
            direction=self._info.direction_name(self._job.direction),
            model=_model_name(self._job.model),
            date=self._today,
            index=task.number,
        )

    # Decoding and translating

    def _translate(self, file: _File) -> Work[ConvertEvent, None, None]:
        """Translate the picture that is due and have its result written."""
        while file.outcome is None:
            try:
                decoded = yield from self._decoded(file)
                # In a thread of its own, so that a large picture, which takes minutes on a CPU, can be stopped.
                translating = self._thread.submit(self._translate_frames, file.name, decoded.frames)
                yield from self._wait(translating, f"Translating {file.name}")
                file.seconds = decoded.seconds + translating.result()
            except PictureError as error:
                file.outcome = FileFailed(file.index, file.task.source, str(error))
            except MemoryError:
                file.outcome = FileFailed(file.index, file.task.source, _memory_sentence(file.name))
            except OSError as error:
                # The disk of the results, to which what does not fit into memory is spilled.
                self._remove(file.spilled)
                if is_full(error):
                    file.needed = getattr(error, "needed", 0)
                    yield from self._wait_for_space(file)
                    self._start_decoding(file, _SHARE_OF_ONE * _free_memory())
                else:
                    file.outcome = self._disk_failed(file, error)
            else:
                file.decoded, file.decoding = decoded, None
                self._start_writing(file)
                return

    def _decoded(self, file: _File) -> Work[ConvertEvent, None, Decoded]:
        """What the decoding has given; a large picture is decoded only now, when all before it are written.

        Raises:
            PictureError: It cannot be read.
            MemoryError: The memory ran out.
            OSError: The disk refused its frames.
        """
        decoded = yield from self._read(file)
        if isinstance(decoded, Decoded):
            return decoded
        while self._writing:
            yield from self._finish_first()
        width, height = decoded.size
        if DECODING_BYTES_PER_PIXEL * width * height > _USABLE_SHARE * _free_memory():
            raise PictureError(
                f"{file.name} is too large to open: {width} x {height} pixels. "
                "Scale it down in another program, or close other programs."
            )
        size = scaled_size(decoded.size, self._longest) if self._longest else decoded.size
        self._translator.require_memory(file.name, size)
        self._start_decoding(file, None)
        decoded = yield from self._read(file)
        assert isinstance(decoded, Decoded)
        return decoded

    def _read(self, file: _File) -> Work[ConvertEvent, None, Decoded | TooLargeNow]:
        assert file.decoding is not None
        yield from self._wait(file.decoding, f"Reading {file.name}")
        try:
            return file.decoding.result()
        except (PictureError, MemoryError, OSError):
            raise
        except WorkerTimeoutError as error:
            raise PictureError(
                f"{file.name} took longer than {self._job.time_limit:g} s to read. Allow more time (--time-limit), or "
                "leave it out."
            ) from error
        except WorkerDiedError as error:
            raise PictureError(
                f"{file.name} cannot be read: the process that opened it crashed, or ran out of memory. Open it in "
                "another program and save it anew, or leave it out."
            ) from error
        except Exception as error:
            # One file among many, and what it may hold is endless.
            raise PictureError(_fault_sentence(f"{file.name} cannot be read", error)) from error

    def _translate_frames(self, name: str, frames: FrameStack) -> float:
        """Put the translation in place of each frame; the time it took."""
        started = time.perf_counter()
        for number in range(len(frames)):
            frame = frames.get(number)
            frames.replace(number, self._translator.translate(name, frame.pixels, self._tick, depth=frame.depth))
        return time.perf_counter() - started

    def _tick(self) -> None:
        if self._stopping.is_set():
            raise _StoppedError

    def _wait(self, future: Future[Any], text: str) -> Work[ConvertEvent, None, None]:
        """Wait for a result; now and then the consumer gets a chance to stop."""
        while wait_for([future], _HEARTBEAT_SECONDS).not_done:
            yield Preparing(text, self.done, self.count)

    # Encoding, writing and naming

    def _start_writing(self, file: _File) -> None:
        """Have the result encoded and written."""
        assert file.decoded is not None
        try:
            # Only folders below the output folder are made: if that is gone, its disk may be, too.
            if not self._job.to.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._job.to))
            if free_bytes(self._job.to) < RESERVE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._job.to))
            file.task.folder.mkdir(parents=True, exist_ok=True)
            file.temporary = self._ledger.temporary_for(file.task.folder)
        except OSError as error:
            file.writing = Future()
            file.writing.set_exception(error)
            return
        file.writing = self._workers.submit(
            write, file.decoded.frames, file.decoded.source, self._output, file.temporary
        )

    def _finish_first(self) -> Work[ConvertEvent, None, None]:
        """Wait for the result that is due next, give it its name and report it."""
        file = self._writing[0]
        while file.outcome is None:
            assert file.writing is not None
            yield from self._wait(file.writing, f"Writing the result of {file.name}")
            try:
                file.outcome = self._publish(file)
            except OSError as error:
                self._remove(file.temporary)
                if is_full(error):
                    yield from self._wait_for_space(file)
                    self._start_writing(file)
                else:
                    file.outcome = self._disk_failed(file, error)
        self._clean(file)
        self._writing.popleft()
        match file.outcome:
            case Converted():
                self.converted += 1
            case FileSkipped():
                self.skipped += 1
            case FileFailed():
                self.failed += 1
        yield file.outcome
        if self._disk_failures >= _MOST_DISK_FAILURES:
            raise DataError(f"The conversion stopped. {self._disk_reason}", field="to")

    def _publish(self, file: _File) -> Converted | FileFailed | FileSkipped:
        """Give a finished result its name.

        Raises:
            OSError: The disk refused it.
        """
        assert file.writing is not None and file.decoded is not None
        source = file.task.source
        try:
            written = file.writing.result()
        except OSError:
            raise
        except Exception as error:
            return FileFailed(file.index, source, self._writing_sentence(file, error))
        if isinstance(written, NotWritten):
            file.needed = written.size
            raise written.error
        started = time.perf_counter()
        wished = file.task.folder / self._name_of(file.task, written.suffix)
        target, final = self._name_result(file, written, wished)
        self._disk_failures = 0
        self._has_told_full = False
        if final is None:
            return self._taken(file, target)
        self._claim(final, source)
        notes = [*file.decoded.source.notes, *file.decoded.frames.notes, *written.notes, *_name_notes(wished, final)]
        if self._job.if_exists == "overwrite" and final.name != target.name:
            notes.append(f"Saved as {final.name}: {target.name} is another picture of this batch, or its result.")
        seconds = file.seconds + written.seconds + time.perf_counter() - started
        return Converted(file.index, source, final, tuple(dict.fromkeys(notes)), seconds)

    def _name_result(self, file: _File, written: Written, wished: Path) -> tuple[Path, Path | None]:
        """The name that was asked for, and the one that the result now has, None where that was taken.

        Raises:
            OSError: The disk refused it.
        """
        assert file.temporary is not None and file.decoded is not None
        me = key_of(file.task.source)

        def publish(name: str) -> tuple[Path, Path | None]:
            assert file.temporary is not None and file.decoded is not None
            target, number = wished.with_name(name), 0
            while self._job.if_exists == "skip" and self._claimed.get(key_of(target), me) != me:
                number += 1
                target = numbered(wished.with_name(name), number)
            final = self._ledger.publish(
                file.task.source,
                file.decoded.source_print,
                written.result_print,
                file.temporary,
                target,
                if_exists=self._job.if_exists,
                may_replace=lambda candidate: self._may_replace(candidate, me),
            )
            return target, final

        try:
            return publish(wished.name)
        except OSError as error:
            safe = safe_name(wished.name)
            if error.errno not in _REFUSED_NAME or safe == wished.name:
                raise
        return publish(safe)

    def _may_replace(self, candidate: Path, me: str) -> bool:
        """Whether a file is neither a picture of this batch nor the result of another one."""
        key = key_of(candidate)
        if self._claimed.get(key, me) != me:
            return False
        if self._sources is None:
            statuses = (_identity(path) for path in self._source_paths)
            self._sources = {*(key_of(path) for path in self._source_paths), *statuses}
        # By another path, or another name: a link of either kind.
        return key not in self._sources and _identity(candidate) not in self._sources

    def _claim(self, target: Path, source: Path) -> bool:
        """Note the name of a result; whether no other picture of this batch has it."""
        if self._job.if_exists == "rename":  # A taken name is never asked about then.
            return True
        return self._claimed.setdefault(key_of(target), key_of(source)) == key_of(source)

    def _taken(self, file: _File, target: Path) -> FileSkipped:
        reason = f"{target.name} is there already."
        return FileSkipped(file.index, file.task.source, target, False, reason)

    def _writing_sentence(self, file: _File, error: Exception) -> str:
        match error:
            case PictureError():
                return str(error)
            case MemoryError():
                return _memory_sentence(file.name)
            case WorkerTimeoutError():
                return (
                    f"The result of {file.name} took longer than {self._job.time_limit:g} s to write. Allow more time "
                    "(--time-limit), or choose another format."
                )
            case WorkerDiedError():
                return (
                    f"The result of {file.name} cannot be written: the program that does it crashed, or ran out of "
                    "memory. Choose another format or a smaller size."
                )
        return _fault_sentence(f"The result of {file.name} cannot be written", error)

    # The disk

    def _disk_failed(self, file: _File, error: OSError) -> FileFailed:
        source = file.task.source
        reason = disk_sentence(error, source if error.errno == errno.ENAMETOOLONG else self._job.to)
        self._disk_failures += 1
        self._disk_reason = reason
        return FileFailed(file.index, source, reason)

    def _wait_for_space(self, file: _File) -> Work[ConvertEvent, None, None]:
        """Wait until a picture whose result found no room can be tried again."""
        file.tries += 1
        needed = file.needed + RESERVE_BYTES
        to = self._job.to
        if file.tries == 1 and free_bytes(to) >= needed:
            return  # There has come room meanwhile, such as while another result waited for it.
        if not self._has_told_full:
            self._has_told_full = True
            yield WaitingForSpace(
                to,
                f"There is no space left on the disk of {to}. Free {_in_words(needed)} or more there; the conversion "
                "then goes on by itself.",
            )
        started = time.monotonic()
        was_short = False
        while True:
            yield from _pause(_SPACE_SECONDS, Preparing("Waiting for space on the disk", self.done, self.count))
            if free_bytes(to) < needed:
                was_short = True
            elif was_short or time.monotonic() - started >= _QUOTA_SECONDS:
                return

    def _clean(self, file: _File) -> None:
        """Remove what a picture has left of files that are not its result."""
        self._remove(file.temporary)
        self._remove(file.spilled)
        file.decoded = file.decoding = file.writing = None

    @staticmethod
    def _remove(path: Path | None) -> None:
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    """What is the same for all names of a file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _free_memory() -> float:
    """Bytes of the machine's memory for this process: those on one machine share it."""
    return available_memory(torch.device("cpu")) / local_rank_and_count()[1]


def _model_name(model: Path) -> str:
    """That of a run's model is the run's."""
    path = model.absolute()
    if path.name == MODEL_FILE_NAME:
        path = path.parent
    return path.name if path.is_dir() else path.stem


def _name_notes(wished: Path, final: Path) -> list[str]:
    safe = Path(safe_name(wished.name))
    if safe.name == wished.name or not final.name.startswith(safe.stem):
        return []
    return [f"Saved as {final.name}: its disk refuses the name {wished.name}."]


def _memory_sentence(name: str) -> str:
    return f"The memory ran out for {name}. Close other programs, or scale it down."


def _fault_sentence(what: str, error: Exception) -> str:
    return f"{what}, by a fault of this program ({type(error).__name__}: {error}). Please report it."


def _in_words(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
