"""Looking after the trainings on disk: what they are called, what room they take, and what of it can go.

Imports no torch, except to check a checkpoint before older ones go.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from filelock import Timeout

from engine.errors import ModelFileError, RunError
from engine.files import disk_sentence, write_atomically
from engine.tensor_file import read_tensors
from engine.training.moments import PATIENCE_SECONDS, DamagedStarsError, read_stars, stars_held
from engine.training.run import locked, read_run_summary

CleanKind = Literal["checkpoints", "moments", "samples"]
"""What `clean_up` can delete: all checkpoints but the newest, the models of moments, the sheets of samples. What is
starred, and the newest of each, always stays."""

LONGEST_NAME = 100
_LONGEST_NOTE = 10_000
_STEP = re.compile(r"step_(\d+)(?:_[ab]2[ab])?\.(?:safetensors|png)")
_LEFT_OVER = re.compile(r"\..*\.part-[0-9a-f]{8}|.*\.damaged")


@dataclass(frozen=True, slots=True)
class About:
    """What its user says about a training.

    Attributes:
        name: What it is called; "" for the names of its domains.
        note: Anything, on several lines if need be.
    """

    name: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The room that a training takes, in bytes.

    Attributes:
        checkpoints: What it takes to go on.
        moments: Models of moments.
        samples: Sheets of samples.
        models: The newest and the best model.
        other: All the rest.
    """

    checkpoints: int = 0
    moments: int = 0
    samples: int = 0
    models: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.checkpoints + self.moments + self.samples + self.models + self.other


def read_about(folder: Path) -> About:
    """What the user has said; nothing where that cannot be read."""
    try:
        values = json.loads((folder / "about.json").read_bytes())
        return About(str(values.get("name", ""))[:LONGEST_NAME], str(values.get("note", ""))[:_LONGEST_NOTE])
    except (OSError, ValueError, AttributeError):
        return About()


def write_about(folder: Path, about: About) -> None:
    """Keep what the user says, also while the training is at work.

    Raises:
        RunError: It is no run, the disk does not allow it, or the name is none.
    """
    read_run_summary(folder)
    name = about.name.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise RunError(f"A name has at most {LONGEST_NAME} characters, on one line. Choose a shorter one.")
    if len(about.note) > _LONGEST_NOTE:
        raise RunError(f"A note has at most {_LONGEST_NOTE:,} characters. Shorten it.")
    document = json.dumps(asdict(About(name, about.note.strip())), indent=2)
    try:
        write_atomically(folder / "about.json", f"{document}\n".encode("ascii"))
    except OSError as error:
        raise RunError(disk_sentence(error, folder)) from error


def disk_use(folder: Path) -> DiskUse:
    """The room that a run takes; files that come and go meanwhile may be missed."""
    sizes = dict.fromkeys(("checkpoints", "moments", "samples", "models", "other"), 0)
    for path in _files(folder):
        part = path.relative_to(folder).parts[0]
        if path.parent == folder and path.suffix == ".safetensors":
            part = "models"
        sizes[part if part in sizes else "other"] += _size(path)
    return DiskUse(**sizes)


def cleanable(folder: Path, kinds: Collection[CleanKind]) -> tuple[Path, ...]:
    """The files that `clean_up` would delete, and what saves that were cut off have left behind."""
    files = list(_files(folder))
    found = [path for path in files if _LEFT_OVER.fullmatch(path.name)]
    try:
        starred = read_stars(folder)
    except DamagedStarsError:
        # Any moment may be starred.
        kinds = [kind for kind in kinds if kind == "checkpoints"]
        starred = ()
    for kind in kinds:
        steps: dict[int, list[Path]] = {}
        for path in files:
            if path.parent == folder / kind and (match := _STEP.fullmatch(path.name)):
                steps.setdefault(int(match[1]), []).append(path)
        kept = {max(steps, default=None), *(() if kind == "checkpoints" else starred)}
        found += [path for step, paths in steps.items() if step not in kept for path in paths]
    return tuple(sorted(found))


def freeable(folder: Path) -> dict[CleanKind, int]:
    """What deleting each kind would free, in bytes; what cut-off saves have left behind counts with the first."""
    freed: dict[CleanKind, int] = {}
    for kind in get_args(CleanKind):
        others = set() if not freed else set(cleanable(folder, ()))
        freed[kind] = sum(_size(path) for path in cleanable(folder, (kind,)) if path not in others)
    return freed


def clean_up(folder: Path, kinds: Collection[CleanKind]) -> int:
    """Delete what is not needed to go on or to convert.

    Args:
        folder: A run that is not being trained.
        kinds: What may go.

    Returns:
        Bytes that are free now.

    Raises:
        RunError: It is no run, it is being trained, the checkpoint that would stay is damaged, or the disk does not
            allow it; nothing was deleted in the first three cases.
    """
    read_run_summary(folder)
    with at_rest(folder), _stars_at_rest(folder):
        files = cleanable(folder, kinds)
        if "checkpoints" in kinds and any(path.suffix == ".safetensors" for path in files):
            _require_whole(folder)
        freed = 0
        for path in files:
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise RunError(disk_sentence(error, path)) from error
            freed += size
    return freed


@contextlib.contextmanager
def at_rest(folder: Path) -> Iterator[None]:
    """Keep a run from being trained meanwhile.

    Raises:
        RunError: It is being trained.
    """
    lock = locked(folder)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _stars_at_rest(folder: Path) -> Iterator[None]:
    """Keep everybody from starring what is just being deleted.

    Raises:
        RunError: Somebody is at it and does not finish, or the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(stars_held(folder, PATIENCE_SECONDS))
        except Timeout as error:
            raise RunError(
                f"Another program is changing the stars of {folder} and does not finish; close it, then try again."
            ) from error
        except OSError as error:
            raise RunError(disk_sentence(error, folder)) from error
        yield


def _require_whole(folder: Path) -> None:
    newest = max(_files(folder / "checkpoints"), key=_step_of, default=None)
    if newest is None or _step_of(newest) < 0:
        return
    try:
        read_tensors(newest)
    except ModelFileError as error:
        raise RunError(
            f"The newest checkpoint, {newest}, is damaged, so the older ones are kept. Resume the training, which goes "
            "on from a whole one, and clean up after that."
        ) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _step_of(path: Path) -> int:
    match = _STEP.fullmatch(path.name)
    return int(match[1]) if match else -1


def _files(folder: Path) -> Iterator[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return
    for child in children:
        # Links are not followed: what they lead to is not the run's.
        if child.is_symlink():
            continue
        if child.is_dir():
            yield from _files(child)
        else:
            yield child
