"""What the film asks of the disk, as work for threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from engine.data.images import read_thumbnail
from engine.errors import EngineError, PictureError
from engine.events import Moment, Picture, Sample
from engine.training import moments
from engine.training.run import Pictures, read_pictures, read_run_summary
from engine.training.sheets import MOST_SAMPLES

MOST_OFFERED: Final = 240
"""Pictures of a side offered to be shown; any other can be browsed for."""

THUMBNAIL_SIDE: Final = 88
_CACHE_BYTES: Final = 96_000_000


class ExportFilm(Protocol):
    """Writes a film as an animated picture."""

    def __call__(self, folder: Path, source: Path | None, to: Path, /, **choices: Any) -> Iterator[object]:
        """Yield what is done as it goes."""
        ...


def export_film(folder: Path, source: Path | None, to: Path, /, **choices: Any) -> Iterator[object]:
    """The engine's, loaded once somebody exports."""
    from engine.training import film

    yield from film.export_film(folder, source, to, **choices)


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmEngine:
    """The engine's functions that a film needs; tests put others in their place."""

    read_moments: Callable[[Path], tuple[Moment, ...]] = moments.read_moments
    read_samples: Callable[[Moment], tuple[Sample, ...]] = moments.read_moment_samples
    set_star: Callable[[Path, int, bool], tuple[Moment, ...]] = moments.set_star
    read_pictures: Callable[[Path], Pictures] = read_pictures
    choose_samples: Callable[[Path, Sequence[Path], Sequence[Path]], object] = moments.choose_samples
    export_film: ExportFilm = export_film


@dataclass(frozen=True, slots=True)
class FilmOpened:
    """A run as its film begins.

    Attributes:
        names: Of its domains; None where its settings cannot be read.
        held_out: Whether the pictures shown are kept from training.
        moments: All that are kept.
    """

    names: tuple[str, str] | None
    held_out: bool
    moments: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class PictureChoice:
    """What can be shown of one side.

    Attributes:
        shown: The pictures shown now.
        offered: Those to choose from, the ones shown first.
        left_off: How many more there are.
    """

    shown: tuple[Path, ...]
    offered: tuple[Path, ...]
    left_off: int


def open_film(run: Path, engine: FilmEngine) -> Iterator[FilmOpened]:
    """Read what a run has."""
    names: tuple[str, str] | None = None
    held_out = True
    # A sentence about a damaged run comes from whoever resumes it; its pictures may be there all the same.
    with suppress(EngineError):
        config = read_run_summary(run).config
        names = config.name_A, config.name_B
    with suppress(EngineError):
        held_out = engine.read_pictures(run).shows_held_out
    yield FilmOpened(names, held_out, engine.read_moments(run))


def picture_choices(run: Path, engine: FilmEngine) -> Iterator[tuple[PictureChoice, PictureChoice]]:
    """What can be shown of both sides: pictures kept from training.

    Raises:
        RunError: It is no run, or is damaged.
    """
    pictures = engine.read_pictures(run)
    yield (
        _choice(pictures.shown_A or pictures.sample_A[:MOST_SAMPLES], pictures.sample_A),
        _choice(pictures.shown_B or pictures.sample_B[:MOST_SAMPLES], pictures.sample_B),
    )


def read_thumbnails(paths: Sequence[Path]) -> Iterator[tuple[Path, Picture | None]]:
    """The pictures, small, one after the other; None for one that cannot be read."""
    for path in paths:
        picture: Picture | None = None
        with suppress(PictureError, MemoryError, OSError):
            picture = read_thumbnail(path, THUMBNAIL_SIDE)
        yield path, picture


class SampleCache:
    """The samples of the moments seen last, by their steps, as many as fit into `limit` bytes."""

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit = limit
        self._samples: OrderedDict[int, tuple[Sample, ...]] = OrderedDict()
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes of the pictures in it."""
        return self._used

    def get(self, step: int) -> tuple[Sample, ...] | None:
        """The samples of a moment, if they are here."""
        if step in self._samples:
            self._samples.move_to_end(step)
        return self._samples.get(step)

    def put(self, step: int, samples: tuple[Sample, ...]) -> None:
        """Keep these; those not seen for longest give way, but never the newest to come."""
        self.forget(step)
        self._samples[step] = samples
        self._used += _bytes(samples)
        while self._used > self._limit and len(self._samples) > 1:
            self.forget(next(iter(self._samples)))

    def forget(self, step: int) -> None:
        """Keep these no longer."""
        self._used -= _bytes(self._samples.pop(step, ()))

    def clear(self) -> None:
        """Keep nothing."""
        self._samples.clear()
        self._used = 0


def _bytes(samples: Sequence[Sample]) -> int:
    return sum(s.original.nbytes + s.translated.nbytes + s.back.nbytes for s in samples)


def _choice(shown: tuple[Path, ...], held: tuple[Path, ...]) -> PictureChoice:
    offered = tuple(dict.fromkeys([*shown, *held]))
    return PictureChoice(shown, offered[:MOST_OFFERED], max(0, len(offered) - MOST_OFFERED))
