"""What a conversion is to do: which pictures there are, where each result goes, and what comes new while watching."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Generator as Work
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from engine.config import ConvertJob
from engine.data.folders import (
    VIDEO_SUFFIXES,
    FolderContent,
    FolderScan,
    gather,
    is_within,
    video_sentence,
    walk_folder,
)
from engine.errors import DataError
from engine.events import Preparing
from engine.files import disk_sentence, is_folder, require_writable

_PREPARING_SECONDS = 0.25

# A camera or another program that is still writing a file has written something within this time.
_SETTLED_SECONDS = 2.0
_LOOKING_SECONDS = 1.0
# On a network disk looking takes long; it is not to be all that the disk does.
_SHARE_OF_LOOKING = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """One picture.

    Attributes:
        source: Where it is.
        folder: The folder of its result.
        number: Its place among the pictures of all processes, from 1.
        problem: Why it cannot be read, if that is known already; a sentence.
    """

    source: Path
    folder: Path
    number: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is known before the start.

    Attributes:
        tasks: The pictures, each once, in the order of work.
        other_files: Files in the folders that are no pictures.
        homes: By key, each folder that is mirrored and the folder of its results.
    """

    tasks: tuple[Task, ...]
    other_files: int
    homes: dict[str, tuple[Path, Path]]


Stamp: TypeAlias = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds: while both stay a file is taken for the same."""


def make_plan(job: ConvertJob) -> Work[Preparing, None, Plan]:
    """Find every picture and the folder of its result, and see that the results can be written there.

    Raises:
        DataError: There is nothing to convert, nor to watch (field "sources"), or the output folder cannot be used
            (field "to").
    """
    folders = [source for source in job.sources if is_folder(source)]
    if job.watch and not folders:
        raise DataError("Watching needs a folder. Add one to the sources, or do without watching.", field="sources")
    roots = _distinct([*folders, *job.roots])
    _check_output_folder(job.to, roots)
    homes = _homes(roots, job.to)
    tasks: list[Task] = []
    other_files = 0
    for source in _distinct(job.sources):
        if not is_folder(source):
            tasks.append(Task(source, _home_of(source, homes, job.to), problem=_problem_of(source)))
            continue
        scan = yield from _look_into(source, len(tasks))
        other_files += scan.other_files
        home = homes[key_of(source)][1]
        # One path for each folder of results: with a path of its own, each of many pictures would take more memory.
        homes_of = {parent: home / parent.relative_to(source) for parent in {path.parent for path in scan.pictures}}
        tasks.extend(Task(path, homes_of[path.parent]) for path in scan.pictures)
        tasks.extend(
            Task(folder, home, problem=f"{folder} cannot be looked into. Change its permissions.")
            for folder in scan.unreadable_folders
        )
    plan = Plan(_numbered(_without_repeats(tasks)), other_files, homes)
    if all(task.problem for task in plan.tasks) and not job.watch:
        raise DataError(_nothing_to_do(job, plan), field="sources")
    _check_results_stay_outside({task.folder for task in plan.tasks}, job.to, roots)
    return plan


def own_share(plan: Plan, rank: int, count: int) -> Plan:
    """What one of several processes does of a plan that all of them have made alike: every n-th picture of n."""
    return Plan(plan.tasks[rank::count], plan.other_files if rank == 0 else 0, plan.homes)


def key_of(path: Path) -> str:
    """The same for two ways to write the same path; links are not looked through."""
    return os.path.normcase(os.path.normpath(path.absolute()))


def stamp_of(path: Path) -> Stamp | None:
    """What tells whether a file has changed; None where it cannot be asked for."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


class FolderWatch:
    """Notices pictures that are new in the source folders of a job, or have changed.

    It looks again and again, since network disks tell of nothing by themselves.

    Args:
        job: Whose source folders are watched.
        plan: What is done already or will be; each picture counts as it is now.
        rank: Number of this process.
        count: Number of processes, each of which takes a share of what it finds.
    """

    def __init__(self, job: ConvertJob, plan: Plan, rank: int = 0, count: int = 1) -> None:
        self._folders = [source for source in _distinct(job.sources) if is_folder(source)]
        self._homes = plan.homes
        self._inside = _inside(job.to, [root for root, _ in plan.homes.values()])
        self._rank, self._count = rank, count
        self._handled = {key_of(task.source): stamp_of(task.source) for task in plan.tasks}
        self._unsettled: dict[str, tuple[Stamp, float]] = {}
        self._next_number = len(plan.tasks) + 1
        self.pause = _LOOKING_SECONDS
        """Seconds to wait before looking again."""

    def look(self) -> Work[Preparing, None, list[Task]]:
        """Look once through all folders.

        Returns:
            The pictures whose size and time have stood still long enough, in natural order, folder by folder.
        """
        started = time.monotonic()
        tasks: list[Task] = []
        unsettled: dict[str, tuple[Stamp, float]] = {}
        for folder in self._folders:
            scan = yield from _look_into(folder, 0, "Watching for new pictures")
            home = self._homes[key_of(folder)][1]
            for path in scan.pictures:
                key = key_of(path)
                stamp = stamp_of(path)
                if stamp is None or stamp == self._handled.get(key) or not self._is_mine(key):
                    continue
                now = time.monotonic()
                before, since = self._unsettled.get(key, (stamp, now))
                if before == stamp and now - since >= _SETTLED_SECONDS:
                    self._handled[key] = stamp
                    target = home / path.parent.relative_to(folder)
                    problem = _sentence_if_within(target, self._inside)
                    tasks.append(Task(path, target, self._next_number, problem))
                    self._next_number += 1
                else:
                    unsettled[key] = (stamp, since if before == stamp else now)
        self._unsettled = unsettled
        self.pause = max(_LOOKING_SECONDS, (time.monotonic() - started) / _SHARE_OF_LOOKING)
        return tasks

    def _is_mine(self, key: str) -> bool:
        return zlib.crc32(os.fsencode(key)) % self._count == self._rank


# Finding


def _look_into(folder: Path, found: int, text: str = "Looking for pictures") -> Work[Preparing, None, FolderScan]:
    """The pictures of a folder; tells now and then how many there are, beside those found before."""
    contents: list[FolderContent] = []
    reported = time.monotonic()
    for content in walk_folder(folder):
        contents.append(content)
        found += len(content.pictures)
        if time.monotonic() - reported >= _PREPARING_SECONDS:
            yield Preparing(text, done=found)
            reported = time.monotonic()
    return gather(folder, iter(contents))


def _problem_of(source: Path) -> str:
    if not os.path.lexists(source):
        return f"{source} is not there. Check its name and its disk."
    return video_sentence(source) if source.suffix.lower() in VIDEO_SUFFIXES else ""


def _nothing_to_do(job: ConvertJob, plan: Plan) -> str:
    problems = [task.problem for task in plan.tasks]
    if problems:
        others = f" ({len(problems) - 1} more like this.)" if len(problems) > 1 else ""
        return f"Nothing can be converted: {problems[0]}{others}"
    where = str(job.sources[0]) if len(job.sources) == 1 else f"these {len(job.sources)} folders"
    others = f" but {plan.other_files} other files" if plan.other_files else ""
    return f"There are no pictures in {where}{others}. Add pictures such as JPEG, PNG, WebP or TIFF."


def _distinct(paths: Sequence[Path]) -> list[Path]:
    return list({key_of(path): path for path in reversed(paths)}.values())[::-1]


def _without_repeats(tasks: Sequence[Task]) -> list[Task]:
    """A picture given twice, by itself and with its folder, is converted once."""
    first: dict[str, Task] = {}
    for task in tasks:
        first.setdefault(key_of(task.source), task)
    return list(first.values())


def _numbered(tasks: Sequence[Task]) -> tuple[Task, ...]:
    return tuple(Task(task.source, task.folder, number, task.problem) for number, task in enumerate(tasks, 1))


# The output folder


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
    inside = _inside(to, roots)
    for folder in sorted(folders) if inside else ():
        sentence = _sentence_if_within(folder, inside)
        if sentence:
            raise DataError(sentence, field="to")


def _inside(to: Path, roots: Sequence[Path]) -> list[Path]:
    return [root for root in roots if is_within(root, to)]


def _sentence_if_within(folder: Path, roots: Sequence[Path]) -> str:
    for root in roots:
        if is_within(folder, root):
            return (
                f"Results would be written into {folder}, which belongs to the source folder {root}. "
                "Choose an output folder elsewhere."
            )
    return ""


def _homes(roots: Sequence[Path], to: Path) -> dict[str, tuple[Path, Path]]:
    """The folder of results of each source folder: `to` itself for a single one, else a subfolder of its name."""
    if len(roots) == 1:
        return {key_of(roots[0]): (roots[0], to)}
    homes: dict[str, tuple[Path, Path]] = {}
    taken: set[str] = set()
    for root in roots:
        plain = Path(os.path.normpath(root.absolute())).name or "pictures"  # The root of a disk has no name.
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain} ({number})"
        taken.add(name.casefold())
        homes[key_of(root)] = (root, to / name)
    return homes


def _home_of(source: Path, homes: dict[str, tuple[Path, Path]], to: Path) -> Path:
    """The folder of the result of a picture that was given by itself: below a root it keeps its subfolder."""
    for root, home in homes.values():
        if source.is_relative_to(root):
            return home / source.parent.relative_to(root)
    return to
