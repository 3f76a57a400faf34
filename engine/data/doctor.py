"""The doctor: looks at every picture of the two folders of a training before it begins. Imports no torch.

Pictures are opened in processes that can be ended: they come from strangers. Each is decoded once, at a small size;
what is remembered of it takes about 1 KB. Pairs that seem the same are opened a second time and compared, so that no
duplicate is imagined.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.config import TrainConfig
from engine.data.duplicates import Pair, may_be_same, pairs_of_alike, pairs_of_same
from engine.data.findings import SideLook, judge
from engine.data.folders import FolderContent, FolderScan, gather, other_files_in, require_two_folders, walk_folder
from engine.data.picture_look import PictureLook, Relation, compare_some, look_at_some
from engine.data.workers import NoWorkerError, WorkerDiedError, Workers, WorkerTimeoutError
from engine.errors import EngineError
from engine.events import CheckEvent, Examined, Preparing

_Answer = TypeVar("_Answer")
_Item = TypeVar("_Item")

_REPORT_SECONDS = 0.25
_TIME_LIMIT = 20.0
"""Seconds in which one picture must be decoded, as in a conversion."""

_MOST_WORKERS = 8
# A task ends by itself after about a second, so that progress is seen; of few pictures each process gets some.
_TASK_SECONDS = 1.0
_MOST_A_TASK = 32
# Pictures whose contrast is lower show too little to be told apart.
_LEAST_CONTRAST_TO_COMPARE = 6.0
# More pairs a picture that seem alike mean that all of them do, as X-rays may.
_MOST_PAIRS_A_PICTURE = 10
_LEAST_PAIRS = 2_000


_Key = tuple[str, int, int]


@dataclass(slots=True)
class Memory:
    """What examinations remember, so that another with other settings opens no file again that has not changed.

    Attributes:
        looks: By path, size in bytes and time of change: what was seen, or why it cannot be read.
        relations: By two such keys: how the two pictures are related.
    """

    looks: dict[_Key, PictureLook | str] = field(default_factory=dict)
    relations: dict[tuple[_Key, _Key, bool], Relation] = field(default_factory=dict)


def examine(
    folder_A: Path,
    folder_B: Path,
    *,
    name_A: str = "A",
    name_B: str = "B",
    config: TrainConfig | None = None,
    memory: Memory | None = None,
) -> Iterator[CheckEvent]:
    """Look at every picture of two folders, and say what a training would suffer from.

    Nothing is written. It can be closed between any two events, which end its processes. Pictures that the settings
    leave out are examined like all others.

    Args:
        folder_A: Pictures of domain A.
        folder_B: Pictures of domain B.
        name_A: What to call A in sentences.
        name_B: What to call B.
        config: The settings that pictures are to fit; None for whatever they may be.
        memory: What an earlier examination has seen; it is added to.

    Yields:
        `Preparing` by the clock, then every `Finding`, the worst first, then `Examined`.

    Raises:
        DataError: There are no two folders.
    """
    start = time.monotonic()
    require_two_folders(folder_A, folder_B)
    memory = Memory() if memory is None else memory
    scans = []
    for folder in (folder_A, folder_B):
        scans.append((yield from _scanned(folder)))
    paths = [path for scan, _ in scans for path in scan.pictures]
    keys = [_key(path) for path in paths]
    with Workers(_worker_count(len(paths)), _TIME_LIMIT) as workers:
        seen = yield from _looked(paths, keys, memory, workers)
        same, alike = yield from _related(paths, keys, seen, memory, workers)
    yield Preparing("Comparing the two sides")
    (scan_A, others_A), (scan_B, others_B) = scans
    count_A = len(scan_A.pictures)
    findings = judge(
        SideLook("A", name_A, scan_A, others_A, tuple(seen[:count_A])),
        SideLook("B", name_B, scan_B, others_B, tuple(seen[count_A:])),
        same,
        alike,
        config,
    )
    bad = {path for finding in findings for path in finding.leave_out}
    yield from findings
    yield Examined(
        count_A=count_A,
        count_B=len(scan_B.pictures),
        good_A=sum(path not in bad for path in scan_A.pictures),
        good_B=sum(path not in bad for path in scan_B.pictures),
        findings=len(findings),
        seconds=time.monotonic() - start,
    )


def _scanned(folder: Path) -> Generator[Preparing, None, tuple[FolderScan, tuple[Path, ...]]]:
    """What a folder holds, and its files that are no pictures."""
    contents: list[FolderContent] = []
    others: list[Path] = []
    count, due = 0, 0.0
    for content in walk_folder(folder):
        contents.append(content)
        count += len(content.pictures)
        if content.other_files:
            others += other_files_in(content.folder)
        if time.monotonic() >= due:
            due = time.monotonic() + _REPORT_SECONDS
            yield Preparing("Looking for pictures", count)
    return gather(folder, iter(contents)), tuple(others)


def _looked(
    paths: Sequence[Path], keys: Sequence[_Key], memory: Memory, workers: Workers
) -> Generator[Preparing, None, list[PictureLook | str]]:
    """Of every picture what was seen, or why it cannot be read."""
    new = [number for number, key in enumerate(keys) if key not in memory.looks]

    def submit(some: list[int]) -> Future[list[PictureLook | str]]:
        return workers.submit(look_at_some, [paths[number] for number in some], _TASK_SECONDS)

    def give_up(number: int, error: WorkerTimeoutError | WorkerDiedError) -> str:
        if isinstance(error, WorkerTimeoutError):
            return f"{paths[number].name} takes longer than {_TIME_LIMIT:g} seconds to open. Save it anew as PNG."
        return (
            f"{paths[number].name} cannot be opened: what reads it has crashed or needs too much memory. "
            "Save it anew as PNG, or leave it out."
        )

    known = len(paths) - len(new)
    answers = yield from _answers(new, submit, give_up, Preparing("Looking at the pictures", known, len(paths)))
    memory.looks.update((keys[number], answer) for number, answer in zip(new, answers, strict=True))
    return [memory.looks[key] for key in keys]


def _related(
    paths: Sequence[Path], keys: Sequence[_Key], seen: list[PictureLook | str], memory: Memory, workers: Workers
) -> Generator[Preparing, None, tuple[list[Pair], list[Pair]]]:
    """The pairs of pictures that are the same, and those that are alike; numbers count within `paths`."""
    telling = [
        number
        for number, look in enumerate(seen)
        if not isinstance(look, str) and look.contrast >= _LEAST_CONTRAST_TO_COMPARE
    ]
    looks = [look for number in telling if not isinstance(look := seen[number], str)]
    look_same = pairs_of_same(looks)
    # Of those that look the same one is compared with the rest.
    copies = {copy for _, copy in look_same}
    firsts = [place for place in range(len(looks)) if place not in copies]
    pairs = [(telling[first], telling[copy], True) for first, copy in look_same]
    most = max(_LEAST_PAIRS, _MOST_PAIRS_A_PICTURE * len(firsts))
    due = 0.0
    for block in pairs_of_alike([looks[place] for place in firsts], most=most):
        for first, second in ((firsts[a], firsts[b]) for a, b in block):
            pairs.append((telling[first], telling[second], may_be_same(looks[first], looks[second])))
        if time.monotonic() >= due:
            due = time.monotonic() + _REPORT_SECONDS
            yield Preparing("Looking for duplicates")

    def key_of(pair: tuple[int, int, bool]) -> tuple[_Key, _Key, bool]:
        return keys[pair[0]], keys[pair[1]], pair[2]

    def submit(some: list[tuple[int, int, bool]]) -> Future[list[Relation]]:
        return workers.submit(compare_some, [(paths[a], paths[b], same) for a, b, same in some], _TASK_SECONDS)

    def give_up(pair: tuple[int, int, bool], error: WorkerTimeoutError | WorkerDiedError) -> Relation:
        return "different"

    new = [pair for pair in pairs if key_of(pair) not in memory.relations]
    progress = Preparing("Comparing pictures that look alike", len(pairs) - len(new), len(pairs))
    answers = yield from _answers(new, submit, give_up, progress)
    memory.relations.update((key_of(pair), answer) for pair, answer in zip(new, answers, strict=True))
    same = [pair[:2] for pair in pairs if memory.relations[key_of(pair)] == "same"]
    alike = [pair[:2] for pair in pairs if memory.relations[key_of(pair)] == "alike"]
    return same, alike


def _answers(
    items: Sequence[_Item],
    submit: Callable[[list[_Item]], Future[list[_Answer]]],
    give_up: Callable[[_Item, WorkerTimeoutError | WorkerDiedError], _Answer],
    progress: Preparing,
) -> Generator[Preparing, None, list[_Answer]]:
    """Have something done with every item in processes.

    Args:
        items: What to do it with.
        submit: Has it done with some items in one task, which answers for the first of them, at least one.
        give_up: The answer for one item with which a process has hung or crashed.
        progress: What to tell, as of the beginning.

    Returns:
        The answers in the order of the items.
    """
    answers: dict[int, _Answer] = {}
    count = _worker_count(len(items))
    at_once = max(1, min(_MOST_A_TASK, len(items) // (4 * count)))
    waiting = deque(range(len(items)))
    alone: deque[int] = deque()
    running: dict[Future[list[_Answer]], list[int]] = {}
    due = 0.0
    while waiting or alone or running:
        while (waiting or alone) and len(running) < 2 * count:
            queue, most = (alone, 1) if alone else (waiting, at_once)
            numbers = [queue.popleft() for _ in range(min(most, len(queue)))]
            running[submit([items[number] for number in numbers])] = numbers
        if time.monotonic() >= due:
            due = time.monotonic() + _REPORT_SECONDS
            yield dataclasses.replace(progress, done=progress.done + len(answers))
        for future in wait(running, timeout=_REPORT_SECONDS, return_when=FIRST_COMPLETED).done:
            numbers = running.pop(future)
            try:
                got = future.result()
            except (WorkerTimeoutError, WorkerDiedError) as error:
                if len(numbers) == 1:
                    answers[numbers[0]] = give_up(items[numbers[0]], error)
                else:  # One of them is to blame.
                    alone.extend(numbers)
                continue
            except NoWorkerError as error:
                raise EngineError(
                    "The pictures cannot be looked at, since no process could be started for it. Close other "
                    "programs and try again."
                ) from error
            answers.update(zip(numbers, got, strict=False))
            waiting.extendleft(reversed(numbers[len(got) :]))
    return [answers[number] for number in range(len(items))]


def _worker_count(items: int) -> int:
    """Processes for so many items: starting one takes as long as looking at a hundred small pictures."""
    return max(1, min(_MOST_WORKERS, os.cpu_count() or 1, items // 50))


def _key(path: Path) -> _Key:
    try:
        status = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), status.st_size, status.st_mtime_ns
