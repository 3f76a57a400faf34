"""Measuring the quality of a training: held-out pictures are translated and compared with real ones."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import Direction, TrainConfig
from engine.data.images import read_pixels
from engine.device import ChosenPrecision, autocast
from engine.errors import PictureError
from engine.events import DirectionQuality, Picture
from engine.model.generator import AnyGenerator
from engine.model.picture_tensors import to_tensor
from engine.randomness import Stream, random_at
from engine.training.health import Look
from engine.training.patches import PatchDistance, scales_of
from engine.training.run import Pictures
from engine.training.samples import middle

MOST_MEASURED = 64
"""Pictures translated a side; fewer above 128 px, where each takes longer and holds more patches."""

_LEAST_MEASURED = 16
_FULL_SIDE = 128
_COMPARED_FOR_EACH = 2
_BATCH_PIXELS = 8 * 128 * 128
_COARSE = 16
_DISTURBED = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measurement gives: the quality in both directions, and what the health signs are taken from."""

    directions: tuple[DirectionQuality, DirectionQuality]
    looks: tuple[Look, Look]


@dataclass(frozen=True, slots=True)
class _Direction:
    """What stays the same from one measurement of a direction to the next.

    Attributes:
        pictures: [N, C, H, W] float32 in [-1, 1], on the CPU: what is translated.
        others: The same of the other domain: what an honest translation would look like.
        distance: From the real other domain.
        start: Of the untranslated pictures.
        finish: Of other real pictures.
        real_diversity: Of the real other domain.
    """

    name: Direction
    pictures: Tensor
    others: Tensor
    distance: PatchDistance
    start: tuple[float, ...]
    finish: tuple[float, ...]
    real_diversity: float


@dataclass(frozen=True, slots=True)
class _Work:
    """The generators of one measurement, and where they compute."""

    generators: Mapping[Direction, AnyGenerator]
    device: torch.device
    precision: ChosenPrecision

    def translated(self, direction: Direction, pictures: Tensor) -> Generator[None, None, Tensor]:
        """[N, C, H, W] on the CPU -> what the generator makes of them, float32 in [-1, 1] on the CPU."""
        generator = self.generators[direction]
        parts = []
        for part in _batches(pictures):
            with torch.inference_mode(), autocast(self.device, self.precision):
                result = generator(part.to(self.device)).float().cpu()
            # A tensor of inference mode could not be used outside of it.
            parts.append(result.clone())
            yield
        return torch.cat(parts)


class QualityMeter:
    """Measures a training again and again with the same pictures, patches and projections, so that scores compare.

    Up to 64 held-out pictures a side are translated, cut to their middle at the size that is trained on, and compared
    with up to twice as many real ones of the other domain. Those may be pictures that are trained on: they are real.
    The finish line is taken from held-out pictures of the other domain, as many as are translated, against the same
    real ones; where there are too few of them, more are taken of those trained on that are not compared with. Where
    nothing is held out, half of the pictures are translated and the other half compared with.

    Attributes:
        held_out: Whether none of the pictures translated is trained on.
    """

    def __init__(self, config: TrainConfig, pictures: Pictures) -> None:
        """Look at nothing yet.

        Args:
            config: The training: the size of its crops, its seed, and which domain is grey.
            pictures: Its pictures.
        """
        self._config = config
        most = max(_LEAST_MEASURED, MOST_MEASURED * _FULL_SIDE // max(_FULL_SIDE, *config.crop_size))
        self._most = most
        sides = (
            (pictures.held_A or pictures.sample_A, pictures.train_A),
            (pictures.held_B or pictures.sample_B, pictures.train_B),
        )
        self.held_out = not any(set(held) & set(trained) for held, trained in sides)
        self._chosen = [self._choose(held, trained, side) for side, (held, trained) in enumerate(sides)]
        self._directions: tuple[_Direction, _Direction] | None = None

    def measure(
        self, generators: Mapping[Direction, AnyGenerator], device: torch.device, precision: ChosenPrecision
    ) -> Measured | None:
        """Measure generators as they are now; see `measuring`."""
        measuring = self.measuring(generators, device, precision)
        while True:
            try:
                next(measuring)
            except StopIteration as end:
                return cast("Measured | None", end.value)

    def measuring(
        self, generators: Mapping[Direction, AnyGenerator], device: torch.device, precision: ChosenPrecision
    ) -> Generator[None, None, Measured | None]:
        """Measure generators as they are now, batch by batch: whoever stops in between has lost nothing.

        Args:
            generators: Both, in evaluation, on the device.
            device: Where everything is computed.
            precision: Arithmetic of the generators.

        Returns:
            None where no picture of a side can be read.
        """
        if self._directions is None:
            self._directions = self._look(device)
            yield
        if self._directions is None:
            return None
        work = _Work(generators, device, precision)
        there, back = self._directions
        first, look_1 = yield from self._measured(there, work)
        second, look_2 = yield from self._measured(back, work)
        return Measured((first, second), (look_1, look_2))

    def _choose(
        self, held: Sequence[Path], trained: Sequence[Path], side: int
    ) -> tuple[list[Path], list[Path], list[Path]]:
        """Of one side: pictures to translate, real ones to compare with, and more for the finish line, all disjoint."""
        most, compared = self._most, _COMPARED_FOR_EACH * self._most

        def shuffled(paths: Sequence[Path], number: int) -> list[Path]:
            random = random_at(self._config.seed, Stream.MEASURED, 2 * side + number)
            return [paths[place] for place in random.permutation(len(paths))]

        rest = shuffled(trained, 1)
        if self.held_out:
            translated = shuffled(held, 0)[:most]
            return translated, rest[:compared], rest[compared : compared + most]
        half = min(most, (len(rest) + 1) // 2)
        # Of a single picture there is nothing else to compare with than itself.
        others = rest[half:] or rest
        return rest[:half], others[:compared], others[compared : compared + most]

    def _look(self, device: torch.device) -> tuple[_Direction, _Direction] | None:
        """Read the pictures and take the lines that stay, once."""
        config = self._config
        read = [[self._read(paths) for paths in chosen] for chosen in self._chosen]
        if not all(chosen[0] and chosen[1] for chosen in read):
            return None
        directions: list[_Direction] = []
        names: tuple[Direction, Direction] = ("a2b", "b2a")
        for name, source, target in zip(names, read, read[::-1], strict=True):
            grey_source, grey_target = (config.grey_A, config.grey_B)[:: 1 if name == "a2b" else -1]
            pictures = self._tensor(source[0], grey=grey_source)
            others = self._tensor(target[0], grey=grey_target)
            real = self._tensor(target[1], grey=grey_target)
            # As many as are translated: fewer pictures are further from everything.
            finish = self._tensor((target[0] + target[2])[: len(source[0])], grey=grey_target)
            distance = PatchDistance(real.to(device), config.seed)
            untranslated = self._tensor(source[0], grey=grey_target)
            directions.append(
                _Direction(
                    name=name,
                    pictures=pictures,
                    others=others,
                    distance=distance,
                    start=distance.to(untranslated.to(device)),
                    finish=distance.to(finish.to(device)),
                    real_diversity=_diversity(real),
                )
            )
        return directions[0], directions[1]

    def _read(self, paths: Sequence[Path]) -> list[Picture]:
        """Pictures cut to their middle; those that cannot be read are left out, as they are from the training."""
        found = []
        for path in paths:
            try:
                found.append(middle(read_pixels(path), self._config))
            except PictureError:
                continue
        return found

    def _tensor(self, pictures: Sequence[Picture], *, grey: bool) -> Tensor:
        cpu = torch.device("cpu")
        return torch.cat([to_tensor(picture, cpu, grey=grey) for picture in pictures])

    def _measured(self, direction: _Direction, work: _Work) -> Generator[None, None, tuple[DirectionQuality, Look]]:
        there: Direction = direction.name
        back: Direction = "b2a" if there == "a2b" else "a2b"
        fake = yield from work.translated(there, direction.pictures)
        # Half of the pictures say enough about the way back, which costs as much as the way there.
        count = (len(fake) + 1) // 2
        real = direction.pictures[:count]
        rec = yield from work.translated(back, fake[:count])
        cycle_error = _difference(rec, real)
        quality = DirectionQuality(
            direction=direction.name,
            scales=scales_of(*real.shape[-2:]),
            distances=direction.distance.to(fake.to(work.device)),
            start=direction.start,
            finish=direction.finish,
            cycle_error=cycle_error,
        )
        few = min(_DISTURBED, count)
        disturbed = yield from work.translated(back, _disturbed(fake[:few]))
        others = direction.others[:few]
        others_disturbed = yield from work.translated(back, _disturbed(others))
        honest = _difference(others_disturbed, (yield from work.translated(back, others)))
        look = Look(
            direction=direction.name,
            change=_change(_alike(direction.pictures, fake), fake),
            likeness=_likeness(direction.pictures, fake),
            diversity=_diversity(fake),
            source_diversity=_diversity(direction.pictures),
            real_diversity=direction.real_diversity,
            cycle_error=_difference(rec[:few], real[:few]),
            disturbed_error=_difference(disturbed, real[:few]),
            honest_error=honest,
            score=quality.distance,
            start_line=quality.start_line,
            finish_line=quality.finish_line,
        )
        return quality, look


def _batches(pictures: Tensor) -> Iterator[Tensor]:
    yield from torch.split(pictures, max(1, _BATCH_PIXELS // (pictures.shape[-1] * pictures.shape[-2])))


def _difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().mean().item()


def _change(pictures: Tensor, translated: Tensor) -> float:
    """The mean difference, but for one change of contrast of all: the long skip begins with 0.9 times its pictures."""
    contrast = (pictures * translated).sum() / pictures.square().sum().clamp_min(1e-6)
    return _difference(contrast.clamp(0.8, 1.25) * pictures, translated)


def _alike(pictures: Tensor, others: Tensor) -> Tensor:
    """The pictures with as many channels as the others have, where one domain is grey."""
    return pictures if pictures.shape[1] == others.shape[1] else pictures.mean(1, keepdim=True).expand_as(others)


def _coarse(pictures: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(pictures, _COARSE)


def _diversity(pictures: Tensor) -> float:
    """How much pictures differ from one another: the mean difference from their mean picture, details left out."""
    coarse = _coarse(pictures)
    return (coarse - coarse.mean(0, keepdim=True)).abs().mean().item()


def _likeness(pictures: Tensor, translated: Tensor) -> float:
    """Whether light stays light: the correlation of brightness over the places of a picture, averaged over pictures."""
    one, other = (_coarse(each.mean(1, keepdim=True)).flatten(1) for each in (pictures, translated))
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    norms = one.norm(dim=1) * other.norm(dim=1)
    # Of a flat picture nobody can say.
    clear = norms > 1e-3
    return ((one * other).sum(1)[clear] / norms[clear]).mean().item() if clear.any() else 1.0


def _disturbed(pictures: Tensor) -> Tensor:
    """The pictures as if they had been stored and shared once: rounded to 256 levels and blurred a little."""
    levels = ((pictures + 1) * 127.5).round() / 127.5 - 1
    padded = F.pad(levels, (1, 1, 1, 1), mode="reflect")
    kernel = torch.tensor((0.25, 0.5, 0.25))
    weights = torch.outer(kernel, kernel).expand(pictures.shape[1], 1, 3, 3)
    return F.conv2d(padded, weights, groups=pictures.shape[1])
