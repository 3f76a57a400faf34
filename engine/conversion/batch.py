"""The pictures of a conversion: decode, translate, encode, overlapped."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections import deque
from collections.abc import Generator as Work
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

import torch

from engine.config import ConvertJob, OutputSettings
from engine.conversion import waiting
from engine.conversion.batch_file import BatchFile
from engine.conversion.disk_trouble import DiskTrouble
from engine.conversion.file_work import DECODING_BYTES_PER_PIXEL, Decoded, NotWritten, TooLargeNow, decode, write
from engine.conversion.ledger import Ledger
from engine.conversion.model_file import ModelInfo
from engine.conversion.plan import Task, key_of
from engine.conversion.result_names import ResultNames, is_same, losses, name_notes
from engine.conversion.space import RESERVE_BYTES, free_bytes, is_full
from engine.conversion.translator import Translator
from engine.conversion.turns import Turns
from engine.data.images import scaled_size
from engine.data.workers import NoWorkerError, WorkerDiedError, Workers, WorkerTimeoutError
from engine.data.writing import expected_suffix
from engine.device import available_memory
from engine.errors import EngineError, PictureError
from engine.events import Converted, ConvertEvent, ConvertingFile, FileFailed, FileSkipped, Preparing
from engine.ranks import local_rank_and_count

# What is free now may be wanted by somebody else in a moment.
_USABLE_SHARE = 0.8

# Of the free memory, what decoding a picture may take while others are at work. Larger ones wait until all is quiet.
_SHARE_OF_ONE = 1 / 32


class Batch:
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
        self._turns = Turns(translator)
        self._names = ResultNames(job, info, ledger, sources)
        self._disk = DiskTrouble(job.to)
        self._reader = ThreadPoolExecutor(1, "ledger")
        grey = info.architecture.channels_of("B" if job.direction == "a2b" else "A") == 1
        self._output = OutputSettings(
            format=job.format, quality=job.quality, lossless=job.lossless, chroma=job.chroma, grey=grey
        )
        self._longest = info.size if job.resize == "training" else job.resize if isinstance(job.resize, int) else None
        # As many as are read and translated at once, and as are translated next.
        self._look_ahead = workers_wanted + 2 * translator.most_together - 1
        self._share_of_one = min(_SHARE_OF_ONE, 1 / (4 * workers_wanted))
        self._waiting: deque[BatchFile] = deque()
        self._writing: deque[BatchFile] = deque()

    @property
    def done(self) -> int:
        """Pictures of which the outcome was told."""
        return self.converted + self.skipped + self.failed

    def run(self, tasks: Sequence[Task]) -> Work[ConvertEvent, None, None]:
        """Convert pictures, which come after those of the runs before."""
        files = (BatchFile(index, task) for index, task in enumerate(tasks, self.count))
        self.count += len(tasks)
        self._names.add_sources([task.source for task in tasks])
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
        self._turns.stop()
        self._workers.close()
        self._turns.close()
        self._reader.shutdown()
        for file in (*self._waiting, *self._writing):
            self._clean(file)

    # Beginning

    def _begin(self, file: BatchFile) -> Work[ConvertEvent, None, None]:
        """Decide about a picture, or have it decoded. Mostly quick: several are begun ahead."""
        task = file.task
        if task.problem:
            file.outcome = FileFailed(file.index, task.source, task.problem)
            return
        if not self._job.again:
            # Where times differ, as on a copied disk, both files are read whole.
            looking = self._reader.submit(self._ledger.result_of, task.source)
            yield from waiting.wait(looking, self._progress(f"Looking whether {file.name} is done already"))
            result = looking.result()
            if result is not None:
                self._names.claim(result.target, task.source)
                self._names.note_published(result.target, task.source)
                reason = "Converted before, with the same model and settings."
                file.outcome = FileSkipped(file.index, task.source, result.target, True, reason, result.notes)
                return
        if self._job.if_exists == "skip":
            name = self._names.name_of(task, expected_suffix(self._job.format, task.source))
            target = self._names.unclaimed(self._names.folder_of(task) / name, key_of(task.source))
            self._names.claim(target, task.source)
            if os.path.lexists(target):
                file.outcome = self._taken(file, target)
                return
        self._start_decoding(file, self._share_of_one * _free_memory())

    def _start_decoding(self, file: BatchFile, most_bytes: float | None) -> None:
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

    # Decoding and translating

    def _translate(self, file: BatchFile) -> Work[ConvertEvent, None, None]:
        """Translate the picture that is due and have its result written."""
        while file.outcome is None:
            try:
                decoded = yield from self._decoded(file)
                self._turns.add(file, decoded)
                self._queue_ready()
                translating = file.translating
                assert translating is not None
                yield from self._wait_and_finish(translating, f"Translating {file.name}")
                file.translating = None
                seconds, file.engine = translating.result()
                file.seconds = decoded.seconds + seconds
            except PictureError as error:
                file.outcome = FileFailed(file.index, file.task.source, str(error))
            except MemoryError:
                file.outcome = FileFailed(file.index, file.task.source, _memory_sentence(file.name))
            except OSError as error:
                # The disk of the results, to which what does not fit into memory is spilled.
                self._remove(file.spilled)
                if is_full(error):
                    yield from self._disk.find_room(file, error, self._progress("Waiting for space on the disk"))
                    if file.outcome is None:
                        self._start_decoding(file, self._share_of_one * _free_memory())
                else:
                    file.outcome = self._disk.failed(file, self._names.folder_of(file.task), error)
            else:
                file.decoded, file.decoding = decoded, None
                self._start_writing(file)
                return

    def _decoded(self, file: BatchFile) -> Work[ConvertEvent, None, Decoded]:
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

    def _read(self, file: BatchFile) -> Work[ConvertEvent, None, Decoded | TooLargeNow]:
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
                    self._turns.add(file, decoded)

    def _wait_and_finish(self, future: Future[Any], text: str) -> Work[ConvertEvent, None, None]:
        """Wait; what is written meanwhile gets its name, so that a large picture holds up none before it."""
        reported = time.monotonic()
        while not future.done():
            others = [file.decoding for file in self._waiting if file.decoding is not None and file.translating is None]
            ready = self._writing[0].writing if self._writing else None
            watched = {future, *(other for other in others if not other.done())} | ({ready} if ready else set())
            wait_for(watched, waiting.HEARTBEAT_SECONDS, FIRST_COMPLETED)
            self._queue_ready()
            while self._writing and self._writing[0].is_ready:
                yield from self._finish_first()
            if time.monotonic() - reported >= waiting.HEARTBEAT_SECONDS:
                yield self._progress(text)
                reported = time.monotonic()

    def _progress(self, text: str) -> Preparing:
        return Preparing(text, self.done, self.count)

    # Encoding, writing and naming

    def _start_writing(self, file: BatchFile) -> None:
        """Have the result encoded and written."""
        assert file.decoded is not None
        try:
            # Only folders below the output folder are made: if that is gone, its disk may be, too.
            if not self._job.to.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._job.to))
            if free_bytes(self._job.to) < RESERVE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._job.to))
            file.temporary = self._ledger.temporary_for(self._names.made_folder(file.task))
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
            yield from waiting.wait(file.writing, self._progress(f"Writing the result of {file.name}"))
            try:
                file.outcome = self._publish(file)
            except OSError as error:
                self._remove(file.temporary)
                if is_full(error):
                    yield from self._disk.wait_for_space(file, self._progress("Waiting for space on the disk"))
                    self._start_writing(file)
                else:
                    file.outcome = self._disk.failed(file, self._names.folder_of(file.task), error)
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
        self._disk.require_hope()

    def _publish(self, file: BatchFile) -> Converted | FileFailed | FileSkipped:
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
        wished = file.temporary.parent / self._names.name_of(file.task, written.suffix)
        target, final = self._names.publish(file, written, wished)
        self._disk.is_over()
        if final is None:
            return self._taken(file, target)
        self._names.claim(final, source)
        self._names.note_published(final, source)
        notes = [*losses(file.decoded, written), *name_notes(wished, final)]
        if self._job.if_exists == "overwrite" and final.name != target.name:
            is_itself = is_same(target, source)
            other = "the picture itself" if is_itself else "another picture of this batch, or its result"
            notes.append(f"Saved as {final.name}: {target.name} is {other}.")
        if final.parent != task.folder:
            notes.append(f"Saved in {final.parent}: its disk refuses the name of {task.folder}.")
        seconds = file.seconds + written.seconds + time.perf_counter() - started
        return Converted(file.index, source, final, tuple(dict.fromkeys(notes)), seconds, file.engine)

    def _taken(self, file: BatchFile, target: Path) -> FileSkipped:
        reason = f"{target.name} is there already."
        return FileSkipped(file.index, file.task.source, target, False, reason)

    def _writing_sentence(self, file: BatchFile, error: Exception) -> str:
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

    def _clean(self, file: BatchFile) -> None:
        """Remove what a picture has left of files that are not its result."""
        self._remove(file.temporary)
        self._remove(file.spilled)
        file.decoded = file.decoding = file.writing = None

    @staticmethod
    def _remove(path: Path | None) -> None:
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _no_process_sentence(error: NoWorkerError) -> str:
    return f"Pictures are read and written in processes of their own. {error} Close other programs, and start again."


def _free_memory() -> float:
    """Bytes of the machine's memory for this process: those on one machine share it."""
    return available_memory(torch.device("cpu")) / local_rank_and_count()[1]


def _memory_sentence(name: str) -> str:
    return f"The memory ran out for {name}. Close other programs, or scale it down."


def _fault_sentence(what: str, error: Exception) -> str:
    return f"{what}, by a fault of this program ({type(error).__name__}: {error}). Please report it."
