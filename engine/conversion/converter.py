"""Converting pictures and whole folders with a trained model: decode, translate, encode, overlapped."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Generator as Work
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
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
from engine.conversion.model_file import ModelInfo, load_generator, model_name, model_path, read_model_info
from engine.conversion.naming import result_name, safe_name
from engine.conversion.plan import FolderWatch, Task, key_of, make_plan, own_share, stamp_of
from engine.conversion.space import RESERVE_BYTES, estimated_bytes, free_bytes, is_full
from engine.conversion.translator import Translator, require_long_skip
from engine.data.images import scaled_size
from engine.data.source_file import Frame
from engine.data.workers import NoWorkerError, WorkerDiedError, Workers, WorkerTimeoutError
from engine.data.writing import expected_suffix
from engine.device import all_threads, allowed_cores, available_memory, choose_device, describe_device
from engine.errors import DataError, EngineError, ModelFileError, PictureError, RunError
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
from engine.files import disk_sentence, is_folder, numbered, require_writable
from engine.ranks import Ranks, joined_ranks, local_rank_and_count, rank_and_count
from engine.stopwatch import Stopwatch
from engine.words import bytes_words

# What is free now may be wanted by somebody else in a moment.
_USABLE_SHARE = 0.8

# Of the free memory, what decoding a picture may take while others are at work. Larger ones wait until all is quiet.
_SHARE_OF_ONE = 1 / 32

# Beside a GPU; each takes 60 MB, and one process has to hand all of them their work.
_MOST_WORKERS = 16

# Three in a row are no accident: every further picture would be translated for nothing.
_MOST_DISK_FAILURES = 3

# What disks say to a name that they do not like, rather than to a place.
_REFUSED_NAME = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG})

# And to one place: while the output folder itself can be used these say nothing about its disk.
_ONE_PLACE = _REFUSED_NAME | {
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP,
}  # fmt: skip

# What a picture's translation finds no room for, though there is some, is no matter of waiting.
_MOST_TRIES_WITH_ROOM = 2

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
        key = settings_key(job, _model_hash(job.model))
        try:
            job.to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(disk_sentence(error, job.to), field="to") from error
        torch.set_num_threads(all_threads())
        try:
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
                batch = _Batch(job, info, translator, ledger, workers, workers_wanted, everything)
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
        translating: The translation, once it waits for its turn; the seconds that it took.
        writing: The encoding and writing of its result, once that has begun.
        temporary: The result's temporary file.
        spilled: The file of its frames, if there are several.
        seconds: Time spent on it.
        tries: How often it has met a full disk.
        tries_with_room: How often that was during its translation and there was some room nevertheless.
        needed: Bytes that it did not find room for then.
    """

    index: int
    task: Task
    outcome: Converted | FileFailed | FileSkipped | None = None
    decoding: Future[Decoded | TooLargeNow] | None = None
    decoded: Decoded | None = None
    translating: Future[float] | None = None
    writing: Future[Written | NotWritten] | None = None
    temporary: Path | None = None
    spilled: Path | None = None
    seconds: float = 0.0
    tries: int = 0
    tries_with_room: int = 0
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
        workers_wanted: int,
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
        self._reader = ThreadPoolExecutor(1, "ledger")
        grey = info.architecture.channels_of("B" if job.direction == "a2b" else "A") == 1
        self._output = OutputSettings(
            format=job.format, quality=job.quality, lossless=job.lossless, chroma=job.chroma, grey=grey
        )
        self._longest = info.size if job.resize == "training" else job.resize if isinstance(job.resize, int) else None
        self._today = date.today()
        # As many as are read and translated at once, and as are translated next.
        self._look_ahead = workers_wanted + 2 * translator.most_together - 1
        self._share_of_one = min(_SHARE_OF_ONE, 1 / (4 * workers_wanted))
        # Decoded pictures whose translation waits for its turn: the thread that translates takes several at once.
        self._turns: deque[tuple[_File, Decoded]] = deque()
        self._waiting: deque[_File] = deque()
        self._writing: deque[_File] = deque()
        self._stopping = threading.Event()
        # By the key of a result: that of the source that has it, or will.
        self._claimed: dict[str, str] = {}
        # By the key of a result without regard to case and accents: where such are, and their sources' keys.
        self._published: dict[str, list[tuple[Path, str]]] = {}
        # Folders of which the disk refuses the name, and those that are there instead.
        self._safe_folders: dict[Path, Path] = {}
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
                yield from self._begin(file)
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
        self._thread.shutdown(cancel_futures=True)
        self._reader.shutdown()
        for file in (*self._waiting, *self._writing):
            self._clean(file)

    # Beginning

    def _begin(self, file: _File) -> Work[ConvertEvent, None, None]:
        """Decide about a picture, or have it decoded. Mostly quick: several are begun ahead."""
        task = file.task
        if task.problem:
            file.outcome = FileFailed(file.index, task.source, task.problem)
            return
        if not self._job.again:
            # Where times differ, as on a copied disk, both files are read whole.
            looking = self._reader.submit(self._ledger.result_of, task.source)
            yield from self._wait(looking, f"Looking whether {file.name} is done already")
            result = looking.result()
            if result is not None:
                self._claim(result.target, task.source)
                self._note_published(result.target, task.source)
                reason = "Converted before, with the same model and settings."
                file.outcome = FileSkipped(file.index, task.source, result.target, True, reason, result.notes)
                return
        if self._job.if_exists == "skip":
            name = self._name_of(task, expected_suffix(self._job.format, task.source))
            target = self._unclaimed(self._folder_of(task) / name, key_of(task.source))
            self._claim(target, task.source)
            if os.path.lexists(target):
                file.outcome = self._taken(file, target)
                return
        self._start_decoding(file, self._share_of_one * _free_memory())

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
            model=model_name(self._job.model),
            date=self._today,
            index=task.number,
        )

    # Decoding and translating

    def _translate(self, file: _File) -> Work[ConvertEvent, None, None]:
        """Translate the picture that is due and have its result written."""
        while file.outcome is None:
            try:
                decoded = yield from self._decoded(file)
                self._queue(file, decoded)
                self._queue_ready()
                translating = file.translating
                assert translating is not None
                yield from self._wait_and_finish(translating, f"Translating {file.name}")
                file.translating = None
                file.seconds = decoded.seconds + translating.result()
            except PictureError as error:
                file.outcome = FileFailed(file.index, file.task.source, str(error))
            except MemoryError:
                file.outcome = FileFailed(file.index, file.task.source, _memory_sentence(file.name))
            except OSError as error:
                # The disk of the results, to which what does not fit into memory is spilled.
                self._remove(file.spilled)
                if is_full(error):
                    yield from self._find_room(file, error)
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
        yield from self._wait_and_finish(file.decoding, f"Reading {file.name}")
        try:
            return file.decoding.result()
        except (PictureError, MemoryError, OSError):
            raise
        except NoWorkerError as error:
            raise EngineError(_no_process_sentence(error)) from error
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

    def _queue_ready(self) -> None:
        """Let the pictures that are decoded wait for their turn, so that whoever translates has none to wait for."""
        for file in self._waiting:
            decoding = file.decoding
            if file.outcome is None and decoding is not None and decoding.done() and not decoding.exception():
                decoded = decoding.result()
                if isinstance(decoded, Decoded):
                    self._queue(file, decoded)

    def _queue(self, file: _File, decoded: Decoded) -> None:
        if file.translating is None:
            file.translating = Future()
            self._turns.append((file, decoded))
            # In a thread of its own, so that a large picture, which takes minutes on a CPU, can be stopped.
            self._thread.submit(self._translate_next)

    def _translate_next(self) -> None:
        """Translate the picture whose turn it is, together with those after it that are of its kind and its size."""
        if not self._turns:  # It went together with one before it.
            return
        group = [self._turns.popleft()]
        try:
            first = _lone_frame(group[0][1])
            most = 1 if first is None else self._translator.together(first.pixels, depth=first.depth)
            while first and len(group) < most and self._turns and _is_alike(first, _lone_frame(self._turns[0][1])):
                group.append(self._turns.popleft())
            if len(group) > 1 and self._translate_group(group):
                return
            for file, decoded in group:
                assert file.translating is not None
                try:
                    file.translating.set_result(self._translate_frames(file.name, decoded.frames))
                except Exception as error:
                    file.translating.set_exception(error)
        except BaseException as error:  # Nobody may wait for ever.
            for file, _ in group:
                if file.translating is not None and not file.translating.done():
                    file.translating.set_exception(error)

    def _translate_group(self, group: Sequence[tuple[_File, Decoded]]) -> bool:
        """Translate pictures of one size at once; False if that failed, and each is to be tried alone."""
        started = time.perf_counter()
        frames = [decoded.frames.get(0) for _, decoded in group]
        try:
            results = self._translator.translate_together(
                [frame.pixels for frame in frames], self._tick, depth=frames[0].depth
            )
        except Exception:  # One of them may be at fault, or the memory: alone it is told of whom it concerns.
            return False
        seconds = (time.perf_counter() - started) / len(group)
        for (file, decoded), result in zip(group, results, strict=True):
            decoded.frames.replace(0, result)
            assert file.translating is not None
            file.translating.set_result(seconds)
        return True

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

    def _wait_and_finish(self, future: Future[Any], text: str) -> Work[ConvertEvent, None, None]:
        """The same; what is written meanwhile gets its name, so that a large picture holds up none before it."""
        reported = time.monotonic()
        while not future.done():
            others = [file.decoding for file in self._waiting if file.decoding is not None and file.translating is None]
            ready = self._writing[0].writing if self._writing else None
            watched = {future, *(other for other in others if not other.done())} | ({ready} if ready else set())
            wait_for(watched, _HEARTBEAT_SECONDS, FIRST_COMPLETED)
            self._queue_ready()
            while self._writing and self._writing[0].is_ready:
                yield from self._finish_first()
            if time.monotonic() - reported >= _HEARTBEAT_SECONDS:
                yield Preparing(text, self.done, self.count)
                reported = time.monotonic()

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
            file.temporary = self._ledger.temporary_for(self._made_folder(file.task))
        except OSError as error:
            file.writing = Future()
            file.writing.set_exception(error)
            return
        file.writing = self._workers.submit(
            write, file.decoded.frames, file.decoded.source, self._output, file.temporary
        )

    def _folder_of(self, task: Task) -> Path:
        return self._safe_folders.get(task.folder, task.folder)

    def _made_folder(self, task: Task) -> Path:
        """The folder of a result, by a name that its disk takes.

        Raises:
            OSError: It cannot be made.
        """
        folder, to = self._folder_of(task), self._job.to
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            safe = to.joinpath(*(safe_name(part) for part in folder.relative_to(to).parts))
            if error.errno not in _REFUSED_NAME or safe == folder:
                raise
            safe.mkdir(parents=True, exist_ok=True)
            self._safe_folders[folder] = folder = safe
        return folder

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
        source, task = file.task.source, file.task
        try:
            written = file.writing.result()
        except OSError:
            raise
        except NoWorkerError as error:
            raise EngineError(_no_process_sentence(error)) from error
        except Exception as error:
            return FileFailed(file.index, source, self._writing_sentence(file, error))
        if isinstance(written, NotWritten):
            file.needed = written.size
            raise written.error
        assert file.temporary is not None
        started = time.perf_counter()
        wished = file.temporary.parent / self._name_of(file.task, written.suffix)
        target, final = self._name_result(file, written, wished)
        self._disk_failures = 0
        self._has_told_full = False
        if final is None:
            return self._taken(file, target)
        self._claim(final, source)
        self._note_published(final, source)
        notes = [*_losses(file.decoded, written), *_name_notes(wished, final)]
        if self._job.if_exists == "overwrite" and final.name != target.name:
            is_itself = _is_same(target, source)
            other = "the picture itself" if is_itself else "another picture of this batch, or its result"
            notes.append(f"Saved as {final.name}: {target.name} is {other}.")
        if final.parent != task.folder:
            notes.append(f"Saved in {final.parent}: its disk refuses the name of {task.folder}.")
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
            target = wished.with_name(name)
            if self._job.if_exists == "skip":
                target = self._unclaimed(target, me)
            final = self._ledger.publish(
                file.task.source,
                file.decoded.source_print,
                written.result_print,
                file.temporary,
                target,
                if_exists=self._job.if_exists,
                may_replace=lambda candidate: self._may_replace(candidate, me),
                notes=_losses(file.decoded, written),
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
        if self._is_claimed(candidate, me):
            return False
        key = key_of(candidate)
        if self._sources is None:
            statuses = (_identity(path) for path in self._source_paths)
            self._sources = {*(key_of(path) for path in self._source_paths), *statuses}
        # By another path, or another name: a link of either kind.
        return key not in self._sources and _identity(candidate) not in self._sources

    def _claim(self, target: Path, source: Path) -> None:
        """Note the name of a result, or what it will be, unless another picture of this batch has it."""
        if self._job.if_exists != "rename":  # A taken name is never asked about then.
            self._claimed.setdefault(key_of(target), key_of(source))

    def _note_published(self, result: Path, source: Path) -> None:
        if self._job.if_exists != "rename":
            self._published.setdefault(_folded(result), []).append((result, key_of(source)))

    def _is_claimed(self, target: Path, me: str) -> bool:
        """Whether a name is that of another picture's result, also where the disk takes two names for the same."""
        if self._claimed.get(key_of(target), me) != me:
            return True
        alike = self._published.get(_folded(target), ())
        return any(source != me and _is_same(target, result) for result, source in alike)

    def _unclaimed(self, wished: Path, me: str) -> Path:
        """The wished name of a result, or a numbered one, that no other picture of this batch has."""
        target, number = wished, 0
        while self._is_claimed(target, me):
            number += 1
            target = numbered(wished, number)
        return target

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
        """One place that the disk refuses fails its picture; trouble with the output folder itself is counted."""
        source, to = file.task.source, self._job.to
        problem = _problem_with(to)
        if problem is None and error.errno in _ONE_PLACE:
            return FileFailed(file.index, source, _place_sentence(error, self._folder_of(file.task), to))
        self._disk_failures += 1
        self._disk_reason = disk_sentence(problem or error, to)
        return FileFailed(file.index, source, self._disk_reason)

    def _find_room(self, file: _File, error: OSError) -> Work[ConvertEvent, None, None]:
        """Have a picture decoded again whose translation met a full disk; fail it if it is what fills the disk."""
        to = self._job.to
        free = free_bytes(to)
        if free < RESERVE_BYTES:
            yield from self._wait_for_space(file)
        else:
            file.tries_with_room += 1
            needed = getattr(error, "needed", 0)
            if needed > free - RESERVE_BYTES or file.tries_with_room >= _MOST_TRIES_WITH_ROOM:
                wants = f"needs {bytes_words(needed)}" if needed else "needs more"
                file.outcome = FileFailed(
                    file.index,
                    file.task.source,
                    f"{file.name} {wants} on the disk of {to} while it is translated, where {bytes_words(free)} are "
                    "free. Choose a smaller size (--resize), or an output folder on a disk with more room.",
                )
                return
        self._start_decoding(file, self._share_of_one * _free_memory())

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
                f"There is no space left on the disk of {to}. Free {bytes_words(needed)} or more there; the conversion "
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


def _lone_frame(decoded: Decoded) -> Frame | None:
    """The frame of a file that has but one, and so has it in memory."""
    return decoded.frames.get(0) if len(decoded.frames) == 1 and decoded.source.frame_count == 1 else None


def _is_alike(one: Frame, other: Frame | None) -> bool:
    """Whether two frames can be translated together."""
    if other is None:
        return False
    return (one.pixels.shape, one.pixels.dtype, one.depth) == (other.pixels.shape, other.pixels.dtype, other.depth)


def _identity(path: Path) -> tuple[int, int] | None:
    """What is the same for all names of a file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file that is there."""
    identity = _identity(one)
    return identity is not None and identity == _identity(other)


def _folded(path: Path) -> str:
    """The same for all names that some disk takes for one: it knows no case, or writes accents its own way."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", key_of(path)).casefold())


def _problem_with(folder: Path) -> OSError | None:
    """Why nothing can be written into a folder; None if it can."""
    try:
        if not folder.is_dir():
            return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        require_writable(folder)
    except OSError as error:
        return error
    return None


def _place_sentence(error: OSError, folder: Path, to: Path) -> str:
    """What is wrong with one place in the output folder, by name."""
    for place in (*reversed(folder.relative_to(to).parents), folder.relative_to(to)):
        if os.path.lexists(to / place) and not is_folder(to / place):
            return (
                f"{to / place} is a file, where a folder for results belongs. Rename it, or choose another output "
                "folder."
            )
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    # Of a temporary file, whose own name says nothing to anybody.
    place = named if named.is_relative_to(to) and not named.name.startswith(".cyclegan-") else folder
    return disk_sentence(error, place)


def _no_process_sentence(error: NoWorkerError) -> str:
    return f"Pictures are read and written in processes of their own. {error} Close other programs, and start again."


def _free_memory() -> float:
    """Bytes of the machine's memory for this process: those on one machine share it."""
    return available_memory(torch.device("cpu")) / local_rank_and_count()[1]


def _losses(decoded: Decoded, written: Written) -> list[str]:
    """What a result could not keep, each said once."""
    return list(dict.fromkeys([*decoded.source.notes, *decoded.frames.notes, *written.notes]))


def _name_notes(wished: Path, final: Path) -> list[str]:
    safe = Path(safe_name(wished.name))
    if safe.name == wished.name or not final.name.startswith(safe.stem):
        return []
    return [f"Saved as {final.name}: its disk refuses the name {wished.name}."]


def _memory_sentence(name: str) -> str:
    return f"The memory ran out for {name}. Close other programs, or scale it down."


def _fault_sentence(what: str, error: Exception) -> str:
    return f"{what}, by a fault of this program ({type(error).__name__}: {error}). Please report it."
