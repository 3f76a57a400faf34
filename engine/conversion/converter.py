"""Converting pictures and whole folders with a trained model: decode, translate, encode, overlapped."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import threading
import time
from collections import deque
from collections.abc import Generator as Work
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.config import ConvertJob
from engine.conversion.model_file import ModelInfo, load_generator, read_model_info
from engine.data.folders import FolderContent, gather, is_within, walk_folder
from engine.data.images import (
    SourcePicture,
    encode_picture,
    read_picture,
    read_size,
    scaled_down,
    scaled_size,
)
from engine.device import (
    ChosenPrecision,
    autocast,
    available_memory,
    choose_device,
    choose_precision,
    compute_threads,
    describe_device,
    empty_caches,
    is_out_of_memory,
)
from engine.errors import DataError, PictureError, RunError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    Picture,
    Preparing,
)
from engine.files import disk_sentence, is_folder, publish_new, require_writable, temporary_beside, write_new
from engine.model.architecture import GeneratorKind
from engine.model.generator import AnyGenerator
from engine.model.picture_tensors import to_picture, to_tensor
from engine.ranks import joined_ranks, local_rank_and_count, rank_and_count
from engine.stopwatch import Stopwatch

LEAST_SIDE = 8
"""Pixels a side that a generator needs: its reflections are wider than anything smaller."""

BYTES_PER_PIXEL_AND_CHANNEL: dict[GeneratorKind, float] = {"resnet": 14.5, "unet": 6.5}
"""Memory of a generator's layers, measured in fp32 with the picture's own: of a ResNet 908 bytes a pixel for 64
channels, 460 for 32, 236 for 16; of a U-Net 325, 229 and 147."""

BYTES_PER_PIXEL = 48
"""Memory of the picture itself around the generator: as bytes, as a tensor, as the result."""

DECODING_BYTES_PER_PIXEL = 12
"""Memory of a picture while it is decoded, converted in colour and turned upright."""

# What is free now may be wanted by somebody else in a moment.
_USABLE_SHARE = 0.8

# Pictures decoded ahead, pictures being encoded, and threads for both: what a big picture costs, times this.
_LOOK_AHEAD = 3

# Three in a row are no accident: every further picture would be translated for nothing.
_MOST_DISK_FAILURES = 3

_PREPARING_SECONDS = 0.25
_HEARTBEAT_SECONDS = 0.5


def convert(job: ConvertJob) -> Iterator[ConvertEvent]:
    """Convert every picture of a job. A picture that fails is reported and the others go on.

    Started by torchrun, each process converts and reports its share of the pictures.

    Sources are only read. Results are written under a temporary name and appear whole; nothing is ever overwritten,
    a taken name becomes "name (1)". Closing the generator stops after the picture under way and leaves exactly the
    results that were reported.

    Raises:
        ConfigError: This machine does not have the device.
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
    read_model_info(job.model).require_direction(job.direction)
    device = choose_device(job.device)
    plan = _own_share((yield from _make_plan(job)))
    yield Preparing("Loading the model")
    generator, info = load_generator(job.model, job.direction, device)
    try:
        job.to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(disk_sentence(error, job.to), field="to") from error
    threads_before = torch.get_num_threads()
    torch.set_num_threads(compute_threads())
    try:
        # Measured with the threads that will work.
        precision = choose_precision(job.precision, device, info.architecture.generator)
        sources = tuple(task.source for task in plan.tasks)
        yield ConvertPlanned(sources, plan.other_files, job.to, describe_device(device), precision)
        grey = info.architecture.channels_of("A" if job.direction == "a2b" else "B") == 1
        batch = _Batch(job, plan.tasks, _Translator(generator, info, device, precision, grey))
        # torchrun ends every process once one has ended with failures, so none ends before all have done their share.
        with joined_ranks() as ranks:
            yield from batch.run()
            with contextlib.suppress(RunError):
                ranks.agree(0)
        yield ConvertFinished(batch.converted, batch.failed, plan.other_files, job.to, watch.seconds)
    finally:
        torch.set_num_threads(threads_before)


# What is to be done


@dataclass(frozen=True, slots=True)
class _Task:
    """One picture: where it is, the folder of its result, and why it cannot be read if that is known already."""

    source: Path
    folder: Path
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    tasks: tuple[_Task, ...]
    other_files: int


def _make_plan(job: ConvertJob) -> Work[ConvertEvent, None, _Plan]:
    """Find every picture and the folder of its result, and see that the results can be written there."""
    roots = _distinct([*(source for source in job.sources if is_folder(source)), *job.roots])
    _check_output_folder(job.to, roots)
    homes = _homes(roots, job.to)
    tasks: list[_Task] = []
    other_files = 0
    for source in _distinct(job.sources):
        if not is_folder(source):
            problem = "" if os.path.lexists(source) else f"{source} is not there. Check its name and its disk."
            tasks.append(_Task(source, _home_of(source, homes, job.to), problem))
            continue
        contents: list[FolderContent] = []
        reported = time.monotonic()
        for content in walk_folder(source):
            contents.append(content)
            if time.monotonic() - reported >= _PREPARING_SECONDS:
                yield Preparing("Looking for pictures", done=len(tasks) + sum(len(c.pictures) for c in contents))
                reported = time.monotonic()
        scan = gather(source, iter(contents))
        other_files += scan.other_files
        home = homes[_key(source)][1]
        tasks.extend(_Task(path, home / path.parent.relative_to(source)) for path in scan.pictures)
        tasks.extend(
            _Task(folder, home, f"{folder} cannot be looked into. Change its permissions.")
            for folder in scan.unreadable_folders
        )
    plan = _Plan(_without_repeats(tasks), other_files)
    if all(task.problem for task in plan.tasks):
        raise DataError(_nothing_to_do(job, plan), field="sources")
    _check_results_stay_outside({task.folder for task in plan.tasks}, job.to, roots)
    return plan


def _check_output_folder(to: Path, roots: Sequence[Path]) -> None:
    for root in roots:
        if is_within(to, root):
            raise DataError(
                f"The output folder {to} lies in the source folder {root}, so its results would be taken for sources "
                "next time. Choose an output folder elsewhere.",
                field="to",
            )
    try:
        if to.exists() and not to.is_dir():
            raise DataError(f"{to} is a file. Choose a folder for the results.", field="to")
        require_writable(to)
    except OSError as error:
        raise DataError(disk_sentence(error, to), field="to") from error


def _check_results_stay_outside(folders: set[Path], to: Path, roots: Sequence[Path]) -> None:
    """Where sources lie in the output folder, a folder of results may turn out to be one of theirs."""
    inside = [root for root in roots if is_within(root, to)]
    for folder in sorted(folders) if inside else ():
        for root in inside:
            if is_within(folder, root):
                raise DataError(
                    f"Results would be written into {folder}, which belongs to the source folder {root}. "
                    "Choose an output folder elsewhere.",
                    field="to",
                )


def _nothing_to_do(job: ConvertJob, plan: _Plan) -> str:
    problems = [task.problem for task in plan.tasks]
    if problems:
        others = f" ({len(problems) - 1} more like this.)" if len(problems) > 1 else ""
        return f"Nothing can be converted: {problems[0]}{others}"
    where = str(job.sources[0]) if len(job.sources) == 1 else f"these {len(job.sources)} folders"
    others = f" but {plan.other_files} other files" if plan.other_files else ""
    return f"There are no pictures in {where}{others}. Add pictures such as JPEG, PNG, WebP or TIFF."


def _homes(roots: Sequence[Path], to: Path) -> dict[str, tuple[Path, Path]]:
    """The folder of results of each source folder: `to` itself for a single one, else a subfolder of its name."""
    if len(roots) == 1:
        return {_key(roots[0]): (roots[0], to)}
    homes: dict[str, tuple[Path, Path]] = {}
    taken: set[str] = set()
    for root in roots:
        plain = Path(os.path.normpath(root.absolute())).name or "pictures"  # The root of a disk has no name.
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain} ({number})"
        taken.add(name.casefold())
        homes[_key(root)] = (root, to / name)
    return homes


def _home_of(source: Path, homes: dict[str, tuple[Path, Path]], to: Path) -> Path:
    """The folder of the result of a picture that was given by itself: below a root it keeps its subfolder."""
    for root, home in homes.values():
        if source.is_relative_to(root):
            return home / source.parent.relative_to(root)
    return to


def _key(path: Path) -> str:
    return os.path.normcase(os.path.normpath(path.absolute()))


def _distinct(paths: Sequence[Path]) -> list[Path]:
    return list({_key(path): path for path in reversed(paths)}.values())[::-1]


def _without_repeats(tasks: Sequence[_Task]) -> tuple[_Task, ...]:
    """A picture given twice, by itself and with its folder, is converted once."""
    first: dict[str, _Task] = {}
    for task in tasks:
        first.setdefault(_key(task.source), task)
    return tuple(first.values())


# Sharing the work


def _own_share(plan: _Plan) -> _Plan:
    """What this process does of a plan that all of them have made alike: every n-th picture of n processes."""
    rank, count = rank_and_count()
    return _Plan(plan.tasks[rank::count], plan.other_files if rank == 0 else 0)


def _free_memory(device: torch.device) -> int:
    """Bytes this process can take on a device now: those on one machine share its memory, but each has a GPU."""
    return available_memory(device) // (1 if device.type == "cuda" else local_rank_and_count()[1])


# Translating


@dataclass(frozen=True, slots=True)
class _Translator:
    """A loaded generator, the device it runs on, and whether its sources are to be grey."""

    generator: AnyGenerator
    info: ModelInfo
    device: torch.device
    precision: ChosenPrecision
    grey: bool

    def translate(self, name: str, pixels: Picture) -> Picture:
        """[H, W, 3] -> [H, W, 3], whole and at its own size.

        Raises:
            PictureError: Too little memory, or results that are no numbers.
        """
        height, width = pixels.shape[:2]
        self.require_memory(name, (width, height))
        padding = ((0, self._padding(height)), (0, self._padding(width)), (0, 0))
        try:
            return self._run(np.pad(pixels, padding, mode="edge"), height, width)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        except FloatingPointError:
            remedy = "" if self.precision == "fp32" else " Choose the precision fp32."
            raise PictureError(f"The model gave no valid result for {name}.{remedy}") from None
        # Only here is the failed attempt's memory free again: the traceback held on to it.
        empty_caches(self.device)
        raise PictureError(
            f"The memory ran out for {name} ({width} x {height} pixels). "
            "Choose a smaller size, such as the training size (--resize training), or close other programs."
        )

    def require_memory(self, name: str, size: tuple[int, int]) -> None:
        """Refuse a picture whose translation would not fit into memory, which would kill the whole process.

        Raises:
            PictureError: With what is needed, what is there, and a size that fits.
        """
        width, height = size
        architecture = self.info.architecture
        each = BYTES_PER_PIXEL + BYTES_PER_PIXEL_AND_CHANNEL[architecture.generator] * architecture.channels
        needed = each * (width + self._padding(width)) * (height + self._padding(height))
        free = _free_memory(self.device)
        if needed <= _USABLE_SHARE * free:
            return
        longest = int(max(size) * math.sqrt(_USABLE_SHARE * free / needed))
        fitting = longest // 100 * 100 if longest > 100 else longest
        remedy = "Close other programs."
        if fitting >= LEAST_SIDE:
            remedy = (
                "Choose a smaller size: the training size, or a longest side of "
                f"{fitting} px (--resize training, --resize {fitting})."
            )
        raise PictureError(
            f"{name} is too large: {width} x {height} pixels need about {_in_words(needed)} of memory, "
            f"{_in_words(free)} are free. {remedy}"
        )

    @torch.inference_mode()
    def _run(self, padded: Picture, height: int, width: int) -> Picture:
        with autocast(self.device, self.precision):
            real = to_tensor(padded, self.device, grey=self.grey)
            result = self.generator(real)[..., :height, :width]
        if not torch.isfinite(result).all():
            raise FloatingPointError
        return to_picture(result)

    def _padding(self, side: int) -> int:
        """Pixels to add to a side for the generator."""
        multiple = self.info.architecture.multiple
        return max(LEAST_SIDE, math.ceil(side / multiple) * multiple) - side


def _in_words(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


# Doing it


@dataclass(frozen=True, slots=True)
class _Decoded:
    picture: SourcePicture
    seconds: float


@dataclass(frozen=True, slots=True)
class _Written:
    """A result on disk under its temporary name."""

    temporary: Path
    target: Path
    notes: tuple[str, ...]
    seconds: float


class _StoppedError(Exception):
    """Raised in the threads of a batch whose generator was closed; nobody is left to see it."""


class _Batch:
    """All pictures of a job: the next ones are decoded and the last ones encoded while one is translated.

    Results are given their names here, one after the other, so that names do not depend on who is ready first and
    nothing appears that was not reported.

    Attributes:
        converted: Pictures converted so far.
        failed: Pictures that failed so far.
    """

    def __init__(self, job: ConvertJob, tasks: Sequence[_Task], translator: _Translator) -> None:
        self.converted = 0
        self.failed = 0
        self._job = job
        self._tasks = tasks
        self._translator = translator
        self._longest = translator.info.size if job.resize == "training" else job.resize
        self._decoding: deque[Future[_Decoded]] = deque()
        self._writing: deque[tuple[int, Future[_Written]]] = deque()
        self._stopping = threading.Event()
        self._disk_failures = 0
        self._disk_reason = ""

    def run(self) -> Work[ConvertEvent, None, None]:
        """Convert them; every event but the last of a job."""
        for layer in self._translator.generator.modules():
            layer.register_forward_pre_hook(self._stop_between_layers)
        with ThreadPoolExecutor(_LOOK_AHEAD, "pictures") as pool, ThreadPoolExecutor(1, "translator") as translator:
            try:
                for index, task in enumerate(self._tasks):
                    while len(self._decoding) < _LOOK_AHEAD and index + len(self._decoding) < len(self._tasks):
                        upcoming = self._tasks[index + len(self._decoding)]
                        self._decoding.append(self._start_decoding(pool, upcoming))
                    yield ConvertingFile(index, task.source)
                    result = yield from self._translate(task, pool, translator)
                    self._writing.append((index, result))
                    while self._writing and (len(self._writing) >= _LOOK_AHEAD or self._writing[0][1].done()):
                        yield from self._finish_first()
                while self._writing:
                    yield from self._finish_first()
            finally:
                self._stopping.set()
                translator.shutdown()
                pool.shutdown(cancel_futures=True)
                self._remove_unfinished()

    def _start_decoding(self, pool: ThreadPoolExecutor, task: _Task) -> Future[_Decoded]:
        """Called while no picture is being translated, so that what is free is what there will be."""
        try:
            if task.problem:
                raise PictureError(task.problem)
            size = read_size(task.source)
            if DECODING_BYTES_PER_PIXEL * size[0] * size[1] > _USABLE_SHARE * _free_memory(torch.device("cpu")):
                raise PictureError(
                    f"{task.source.name} is too large to open: {size[0]} x {size[1]} pixels. "
                    "Scale it down in another program, or close other programs."
                )
            self._translator.require_memory(
                task.source.name, scaled_size(size, self._longest) if self._longest else size
            )
        except PictureError as error:
            return _failed(error)
        return pool.submit(self._decode, task)

    def _decode(self, task: _Task) -> _Decoded:
        started = time.perf_counter()
        picture = read_picture(task.source)
        if self._longest:
            picture = scaled_down(picture, self._longest)
        return _Decoded(picture, time.perf_counter() - started)

    def _translate(
        self, task: _Task, pool: ThreadPoolExecutor, translator: ThreadPoolExecutor
    ) -> Work[ConvertEvent, None, Future[_Written]]:
        """Translate the picture decoded first and have it written."""
        name = task.source.name
        try:
            decoding = self._decoding.popleft()
            yield from self._wait(decoding, f"Reading {name}")
            decoded = decoding.result()
            # In a thread of its own, so that a large picture, which takes minutes on a CPU, can be stopped.
            translating = translator.submit(self._translate_timed, name, decoded.picture.pixels)
            yield from self._wait(translating, f"Translating {name}")
            pixels, seconds = translating.result()
        except (PictureError, MemoryError) as error:
            return _failed(error)
        return pool.submit(self._write, task, decoded.picture, pixels, decoded.seconds + seconds)

    def _translate_timed(self, name: str, pixels: Picture) -> tuple[Picture, float]:
        started = time.perf_counter()
        return self._translator.translate(name, pixels), time.perf_counter() - started

    def _stop_between_layers(self, *_: object) -> None:
        """Called by each layer of the generator before its work."""
        if self._stopping.is_set():
            raise _StoppedError

    def _wait(self, future: Future[Any], text: str) -> Work[ConvertEvent, None, None]:
        """Wait for a result; now and then the consumer gets a chance to stop."""
        while wait_for([future], _HEARTBEAT_SECONDS).not_done:
            yield Preparing(text, done=self.converted + self.failed, total=len(self._tasks))

    def _write(self, task: _Task, picture: SourcePicture, pixels: Picture, seconds: float) -> _Written:
        started = time.perf_counter()
        encoded = encode_picture(pixels, picture, self._job.format, self._job.quality)
        if self._stopping.is_set():
            raise _StoppedError
        # Only folders below the output folder are made: if that is gone, its disk may be, too.
        if not self._job.to.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._job.to))
        task.folder.mkdir(parents=True, exist_ok=True)
        target = task.folder / encoded.name
        temporary = temporary_beside(target)
        write_new(temporary, encoded.data)
        return _Written(temporary, target, encoded.notes, seconds + time.perf_counter() - started)

    def _finish_first(self) -> Work[ConvertEvent, None, None]:
        """Wait for the result that is due next, give it its name and report it."""
        index, future = self._writing[0]
        source = self._tasks[index].source
        yield from self._wait(future, f"Writing the result of {source.name}")
        outcome = self._publish(index, source, future)
        self._writing.popleft()
        yield outcome
        if self._disk_failures >= _MOST_DISK_FAILURES:
            raise DataError(f"The conversion stopped. {self._disk_reason}", field="to")

    def _publish(self, index: int, source: Path, future: Future[_Written]) -> Converted | FileFailed:
        try:
            written = future.result()
            final = publish_new(written.temporary, written.target)
        except PictureError as error:
            reason = str(error)
        except MemoryError:
            reason = f"The memory ran out for {source.name}. Close other programs, or scale it down."
        except OSError as error:
            self._remove(future)
            reason = disk_sentence(error, source if error.errno == errno.ENAMETOOLONG else self._job.to)
            self._disk_failures += 1
            self._disk_reason = reason
        else:
            self._disk_failures = 0
            self.converted += 1
            return Converted(index, source, final, written.notes, written.seconds)
        self.failed += 1
        return FileFailed(index, source, reason)

    def _remove_unfinished(self) -> None:
        for _, future in self._writing:
            self._remove(future)

    def _remove(self, future: Future[_Written]) -> None:
        """Remove a result that will not get its name."""
        if future.cancelled() or future.exception() is not None:
            return
        with contextlib.suppress(OSError):
            future.result().temporary.unlink()


def _failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
