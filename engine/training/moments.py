"""The moments of a training on disk: which are kept, which have their model, and which the user has starred.

A moment is a step whose samples are kept. Drawn every few seconds, they would fill a disk, so the trainer thins them
after each drawing; `docs/decisions/0010` says how. Imports no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from engine.config import TrainConfig
from engine.data.images import read_pixels
from engine.errors import RunError
from engine.events import Moment, Sample
from engine.files import disk_sentence, set_aside, write_atomically
from engine.training.run import Pictures, Run, read_settings, sample_folder
from engine.training.sheets import MOST_SAMPLES, direction_of, read_sheet
from engine.words import counted

MOST_MOMENTS = 240
"""Moments kept beside those that are starred."""

MOST_MODELS = 20
"""Moments that keep their model, starred ones included."""

_SHEET = re.compile(r"step_(\d{8,12})_(a2b|b2a)\.png")
_MODEL = re.compile(r"step_(\d{8,12})\.safetensors")
_STARS = "stars.json"
PATIENCE_SECONDS = 10.0
"""How long to wait for the stars: a trainer holds them for as long as it takes to delete some files."""


class DamagedStarsError(RunError):
    """stars.json cannot be understood, so that nobody knows which moments are starred."""


def read_moments(folder: Path) -> tuple[Moment, ...]:
    """All moments of a training that are kept, in the order of their steps; none where there is no such folder."""
    try:
        starred = set(read_stars(folder))
    except DamagedStarsError:
        starred = set()
    sheets: dict[int, list[Path]] = {}
    for step, path in _numbered_files(folder / "samples", _SHEET):
        sheets.setdefault(step, []).append(path)
    models = dict(_numbered_files(folder / "moments", _MODEL))
    return tuple(
        Moment(step, tuple(sorted(files)), models.get(step), step in starred) for step, files in sorted(sheets.items())
    )


def read_stars(folder: Path) -> tuple[int, ...]:
    """Starred steps, in the order in which they were.

    Raises:
        DamagedStarsError: The file is there and cannot be understood.
    """
    path = folder / _STARS
    try:
        steps = json.loads(path.read_bytes())["steps"]
        if not all(isinstance(step, int) and not isinstance(step, bool) for step in steps):
            raise TypeError("no steps")
        return tuple(dict.fromkeys(steps))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedStarsError(
            f"{path} cannot be read, so nobody knows which moments are starred, and none is deleted for now. Star a "
            "moment to begin that file anew, or restore it from a backup."
        ) from error


def read_moment_samples(moment: Moment) -> tuple[Sample, ...]:
    """The samples of a moment, those of A first; what has been deleted or is damaged is left out."""
    samples: list[Sample] = []
    with contextlib.suppress(RunError, IndexError):
        config, pictures = read_settings(moment.files[0].parent.parent)
        for path in moment.files:
            direction = direction_of(path)
            folder = sample_folder(config, direction)
            supposed = pictures.sample_A if direction == "a2b" else pictures.sample_B
            with contextlib.suppress(OSError, ValueError):
                samples += read_sheet(path, folder, supposed=supposed, crop_size=config.crop_size)
    return tuple(samples)


def model_file(folder: Path, step: int) -> Path:
    """Where the model of a moment is stored."""
    return folder / "moments" / f"step_{step:08d}.safetensors"


def thin(steps: Sequence[int], kept: Collection[int], most: int) -> frozenset[int]:
    """Which of some steps to do without, so that the others tell the whole story.

    Spread evenly over the square root of the steps: half of the moments show the first quarter of a training, in which
    most happens. Called again and again as steps come, it keeps that spread. The first and the newest always stay.

    Args:
        steps: In order.
        kept: Those that stay in any case, and do not count.
        most: How many others may stay, at least 2.
    """
    return _sparest(steps, np.sqrt(np.asarray(steps, np.float64)), kept, most)


def thin_models(steps: Sequence[int], starred: Sequence[int], most: int) -> frozenset[int]:
    """Which of the moments that have a model lose it: starred ones last, the others evenly; the newest stays.

    Args:
        steps: Those that have one, in order.
        starred: Starred moments, in the order in which they were: of too many the first keep theirs.
        most: How many may have one.
    """
    first = [step for step in starred if step in steps][:most]
    others = [step for step in steps if step not in first]
    room = most - len(first)
    if room < 2:
        return frozenset(others if room == 0 else others[:-1])
    return _sparest(others, np.asarray(others, np.float64), (), room)


def thin_run(folder: Path, step: int) -> tuple[Moment, ...]:
    """Delete the samples and models that are too many; for the trainer, after each drawing.

    Moments later than the newest step are left from before a crash or a going back, and are deleted too, unless
    starred. While somebody stars a moment nothing is deleted; the next time will do.

    Args:
        folder: The run.
        step: The newest step.

    Returns:
        The moments that are left.

    Raises:
        DamagedStarsError: Nobody knows what is starred, so nothing was deleted.
    """
    with contextlib.suppress(Timeout, OSError), stars_held(folder, 0):
        starred = read_stars(folder)
        moments = read_moments(folder)
        gone = {moment.step for moment in moments if moment.step > step and moment.step not in starred}
        gone |= thin([moment.step for moment in moments if moment.step not in gone], starred, MOST_MOMENTS)
        for moment in moments:
            if moment.step in gone:
                _delete(moment.files)
        shown = {moment.step for moment in moments} - gone
        models = dict(sorted(_numbered_files(folder / "moments", _MODEL)))
        useless = [each for each in models if each not in shown]
        useless += thin_models([each for each in models if each in shown], starred, MOST_MODELS)
        _delete(models[each] for each in useless)
    return read_moments(folder)


def has_room_for_a_model(folder: Path) -> bool:
    """Whether a new moment would keep its model: not where starred ones have taken all places.

    Raises:
        DamagedStarsError: Nobody knows what is starred.
    """
    have = {each for each, _ in _numbered_files(folder / "moments", _MODEL)}
    return len(have.intersection(read_stars(folder))) < MOST_MODELS


def set_star(folder: Path, step: int, on: bool) -> tuple[Moment, ...]:
    """Star a moment, which then is kept for good, or take its star away.

    Its model is kept too if it still has one, and if there are no 20 others starred before it that have theirs.

    Args:
        folder: The run; it may be under way.
        step: The moment's step.
        on: Whether it is starred from now on.

    Returns:
        All moments, which say what each of them has.

    Raises:
        RunError: There is no such moment, or no longer; or the folder cannot be written.
    """
    try:
        with stars_held(folder, PATIENCE_SECONDS):
            _require_moment(folder, step, on=on)
            try:
                stars = read_stars(folder)
            except DamagedStarsError:
                set_aside(folder / _STARS)
                stars = ()
            others = [each for each in stars if each != step]
            if on and step in stars:
                others = list(stars)
            elif on:
                others.append(step)
            write_atomically(folder / _STARS, (json.dumps({"steps": others}) + "\n").encode("ascii"))
    except Timeout as error:
        raise RunError(
            f"Another program is changing the stars of {folder} and does not finish; close it, then try again."
        ) from error
    except OSError as error:
        raise RunError(disk_sentence(error, folder)) from error
    return read_moments(folder)


def choose_samples(folder: Path, pictures_A: Sequence[Path] = (), pictures_B: Sequence[Path] = ()) -> Pictures:
    """Show other pictures as samples from the next step on; older moments keep showing what they show.

    Args:
        folder: A run that is not being trained.
        pictures_A: Pictures of A, wherever they are; none leaves those of this side.
        pictures_B: The same for B.

    Returns:
        The pictures of the training from now on; `shows_held_out` says whether those shown are kept from training.

    Raises:
        RunError: It is being trained, is no run or cannot be written, or there are too many pictures.
        PictureError: One of them cannot be read.
    """
    for chosen in (pictures_A, pictures_B):
        if len(chosen) > MOST_SAMPLES:
            raise RunError(
                f"At most {counted(MOST_SAMPLES, 'picture')} of a side can be shown as samples, not {len(chosen)}; "
                "leave some out."
            )
        for path in chosen:
            read_pixels(path)
    run = Run.open(folder)
    with contextlib.closing(run):
        pictures = run.pictures
        changed = dataclasses.replace(
            pictures,
            shown_A=_as_known(pictures_A, (*pictures.train_A, *pictures.sample_A)) or pictures.shown_A,
            shown_B=_as_known(pictures_B, (*pictures.train_B, *pictures.sample_B)) or pictures.shown_B,
        )
        try:
            run.change_pictures(changed)
        except OSError as error:
            raise RunError(disk_sentence(error, folder)) from error
        run.log("The pictures shown as samples were changed")
    return changed


def branch_config(folder: Path, step: int, new_run: Path) -> TrainConfig:
    """The settings of a new training that begins with the networks of a moment, with fresh optimizers.

    They are those of its run, the seed included: it decides which pictures are held out, and these networks have been
    trained on the others. Caps are left out, and it does not begin small once more where the run had grown.

    Args:
        folder: The run.
        step: The moment's step.
        new_run: Folder of the new training.

    Raises:
        RunError: It is no run, or the moment has no model.
    """
    config, _ = read_settings(folder)
    models = {moment.step: moment.model for moment in read_moments(folder) if moment.model is not None}
    if step not in models:
        there = f"of the steps {_listed(models)}" if models else "of none yet"
        raise RunError(
            f"The model of step {step:,} is not kept in {folder}, so no training can begin with it. There are models "
            f"{there}; star a moment early to keep its model."
        )
    return dataclasses.replace(
        config, run=new_run, start_from=models[step], max_steps=None, max_minutes=None, grow_from=None
    )


def _sparest(steps: Sequence[int], places: npt.NDArray[np.float64], kept: Collection[int], most: int) -> frozenset[int]:
    """Which to do without so that the places of the others are even; see `thin`."""
    excess = sum(step not in kept for step in steps) - most
    if excess <= 0:
        return frozenset()
    free = np.array([step not in kept for step in steps])
    free[[0, -1]] = False
    left = np.arange(len(steps))
    dropped = []
    for _ in range(min(excess, int(free.sum()))):
        # The one whose absence leaves the smallest gap.
        gaps = places[left[2:]] - places[left[:-2]]
        gaps[~free[left[1:-1]]] = np.inf
        place = 1 + int(gaps.argmin())
        dropped.append(steps[left[place]])
        left = np.delete(left, place)
    return frozenset(dropped)


def _numbered_files(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[int, Path]]:
    """Step and path of each file of a name, in any order."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if match := pattern.fullmatch(path.name):
                yield int(match[1]), path


def _delete(paths: Iterable[Path]) -> None:
    """Delete files; one that another program has open is tried again the next time."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def stars_held(folder: Path, seconds: float) -> Iterator[None]:
    """Alone with stars.json and what it protects, so that nobody stars what is just being deleted.

    Raises:
        Timeout: Another one held it all that time.
        OSError: The folder cannot be written.
    """
    with FileLock(folder / ".stars.lock", timeout=seconds):
        yield


def _require_moment(folder: Path, step: int, *, on: bool) -> None:
    """See that there is something to star.

    Raises:
        RunError: There is not.
    """
    steps = [moment.step for moment in read_moments(folder)]
    if not on or step in steps:
        return
    if not steps:
        raise RunError(f"{folder} has no samples that could be starred; choose the folder of a training.")
    nearest = min(steps, key=lambda each: abs(each - step))
    raise RunError(
        f"The samples of step {step:,} are not kept in {folder}, or have just been thinned away. The nearest that are "
        f"kept are those of step {nearest:,}; star these."
    )


def _as_known(chosen: Sequence[Path], known: Sequence[Path]) -> tuple[Path, ...]:
    """The chosen pictures, each once, by the paths under which the training knows them."""
    by_name: dict[str, list[Path]] = {}
    for path in known:
        by_name.setdefault(path.name, []).append(path)
    paths = []
    for path in chosen:
        same = [each for each in by_name.get(path.name, ()) if each.exists() and each.samefile(path)]
        paths.append(same[0] if same else path.absolute())
    return tuple(dict.fromkeys(paths))


def _listed(steps: Iterable[int]) -> str:
    return ", ".join(f"{step:,}" for step in steps)
