"""Signs that a training is ill: pure functions from numbers to alarms, and what collects the numbers. Without torch.

Losses come with every report. What translated pictures look like comes with every measurement of the quality, since
they are translated then anyway; see `engine/training/measuring.py`. How the thresholds were found is in
`docs/decisions/0011-quality-and-health.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.config import AdversarialLoss, Direction, TrainConfig
from engine.events import Alarm, AlarmKind, Losses
from engine.remedies import Remedy
from engine.words import listed

KINDS: tuple[AlarmKind, ...] = (
    "not_finite",
    "collapsed",
    "discriminator_won",
    "inverted",
    "hidden_information",
    "identity_only",
)
"""All alarms, the worst first."""

# Nothing is said of a training that has only begun.
_LEAST_STEPS = 200
# Losses of single steps jump: they are smoothed over about so many steps, and count once they have stood as long.
_SMOOTH_STEPS = 100
# Before anything can have been translated: pictures of each side.
_PICTURES_BEFORE_IDENTITY = 2000
# An alarm about pictures rises and falls when this many measurements in a row say so.
_IN_A_ROW = 2
# How long numbers that were not finite are told.
_NOT_FINITE_STEPS = 1000

# The loss of a discriminator that is hardly ever wrong, and of a generator that hardly ever deceives it. An even game
# has 0.25 and 0.25 (lsgan), 0.69 and 0.69 (vanilla), 1 and 0 (hinge).
_WON: dict[AdversarialLoss, tuple[float, float]] = {
    "lsgan": (0.02, 0.8),
    "vanilla": (0.05, 3.0),
    "hinge": (0.05, 0.9),
}

# An alarm that stands needs clearly better numbers to fall, so that none flickers.
_SLACK = 1.4


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What translated pictures look like at one moment, in one direction, in a few numbers.

    Attributes:
        direction: Which.
        change: Mean difference between pictures and their translations, on [-1, 1], a change of contrast left out.
        likeness: Whether light stays light: the correlation of brightness within pictures before and after, averaged
            over pictures; -1 are negatives.
        diversity: How much translations differ from one another: their mean difference from their mean picture.
        source_diversity: The same of the pictures that were translated.
        real_diversity: The same of real pictures of the other domain.
        cycle_error: Mean difference of a few pictures from themselves translated and back.
        disturbed_error: The same where the translations were blurred a little before they went back.
        honest_error: What the same blur changes in what is made of real pictures of the other domain.
        score: As in `DirectionQuality.distance`.
        start_line: As there.
        finish_line: As there.
    """

    direction: Direction
    change: float
    likeness: float
    diversity: float
    source_diversity: float
    real_diversity: float
    cycle_error: float
    disturbed_error: float
    honest_error: float
    score: float
    start_line: float
    finish_line: float


def discriminator_won(kind: AdversarialLoss, discriminator: float, generator: float, *, slack: float = 1.0) -> bool:
    """Whether a discriminator tells all pictures apart, so that its generator learns little more from it.

    Args:
        kind: The adversarial loss.
        discriminator: Its loss.
        generator: The adversarial loss of the generator that it judges.
        slack: Above 1, less is needed.
    """
    low, high = _WON[kind]
    return discriminator < slack * low and generator > high / slack


def is_collapsed(look: Look, *, slack: float = 1.0) -> bool:
    """Whether all pictures become nearly the same one, though they and real ones of the other domain differ."""
    expected = min(look.source_diversity, look.real_diversity)
    return expected > 0.02 and look.diversity < slack * 0.25 * expected


def is_inverted(look: Look, *, slack: float = 1.0) -> bool:
    """Whether light has become dark and dark light."""
    return look.likeness < -0.4 / slack


def hides_information(look: Look, *, slack: float = 1.0) -> bool:
    """Whether pictures find their way back by a pattern too fine to be seen (Chu et al. 2017).

    A slight blur, which leaves honest pictures as they are to the eye, then destroys the way back: the cycle error
    jumps by more than the blur of real pictures changes what is made of them, and to several times what it was.
    """
    jump = look.disturbed_error - look.cycle_error
    return jump > max(0.1, 2.5 * look.honest_error) / slack and look.disturbed_error > 3 * look.cycle_error / slack


def is_identity(look: Look, *, slack: float = 1.0) -> bool:
    """Whether pictures come out as they went in, though the domains differ and the score stays at the start line."""
    differ = look.start_line > 1.5 * look.finish_line
    return differ and look.change < slack * 0.03 and look.score > 0.8 / slack * look.start_line


@dataclass(slots=True)
class _Sign:
    """One kind of alarm, which rises and falls only when several checks in a row say so."""

    stands: bool = False
    count: int = 0
    evidence: str = ""

    def take(self, evidence: str, in_a_row: int = _IN_A_ROW) -> None:
        """What one check has found; "" is nothing."""
        self.count = self.count + 1 if bool(evidence) != self.stands else 0
        if self.count >= in_a_row:
            self.stands, self.count = bool(evidence), 0
        if evidence:
            self.evidence = evidence


@dataclass(slots=True)
class _Game:
    """Smoothed losses of one discriminator and of the generator that it judges, and since when it has won."""

    discriminator: float = math.nan
    generator: float = math.nan
    won_since: int | None = None
    stands: bool = False


@dataclass(slots=True)
class Health:
    """Collects the numbers of a training, and says which alarms stand.

    Attributes:
        config: Its settings.
        rate_factor: What the learning rate is multiplied with since the training went back; 1 if it never did.
    """

    config: TrainConfig
    rate_factor: float = 1.0
    _signs: dict[AlarmKind, _Sign] = field(default_factory=lambda: {kind: _Sign() for kind in KINDS})
    _games: tuple[_Game, _Game] = field(default_factory=lambda: (_Game(), _Game()))
    _loss_step: int = 0
    _bad_step: int | None = None
    _has_looked: bool = False
    _told: frozenset[AlarmKind] | None = None

    def take_losses(self, step: int, losses: Losses) -> None:
        """Means over the steps since the last call, up to `step`."""
        share = 1 - math.exp(-max(1, step - self._loss_step) / _SMOOTH_STEPS)
        self._loss_step = step
        won = []
        config = self.config
        names = ((config.name_B, losses.D_B, losses.G_AB), (config.name_A, losses.D_A, losses.G_BA))
        for game, (name, discriminator, generator) in zip(self._games, names, strict=True):
            game.discriminator = _smoothed(game.discriminator, discriminator, share)
            game.generator = _smoothed(game.generator, generator, share)
            slack = _SLACK if game.stands else 1.0
            if not discriminator_won(config.gan_loss, game.discriminator, game.generator, slack=slack):
                game.won_since, game.stands = None, False
                continue
            game.won_since = step if game.won_since is None else game.won_since
            game.stands = step >= _LEAST_STEPS and step - game.won_since >= _SMOOTH_STEPS
            if game.stands:
                won.append(
                    f"The loss of the discriminator that judges {name} is down at {game.discriminator:.3f}, and that "
                    f"of the generator that wants to deceive it up at {game.generator:.2f}."
                )
        self._signs["discriminator_won"].take(" ".join(won), in_a_row=1)
        if self._bad_step is not None and step > self._bad_step + _NOT_FINITE_STEPS:
            self._bad_step = None
            self._signs["not_finite"].take("", in_a_row=1)

    def take_looks(self, step: int, looks: Sequence[Look]) -> None:
        """What the translated pictures look like after `step` steps, in both directions."""
        if step < _LEAST_STEPS:
            return
        self._has_looked = True
        pictures = step * self.config.batch_size * self.config.accumulate
        found: dict[AlarmKind, list[str]] = {
            "collapsed": [],
            "inverted": [],
            "hidden_information": [],
            "identity_only": [],
        }
        for look in looks:
            words = self._direction_words(look.direction)
            if is_collapsed(look, slack=self._slack("collapsed")):
                share = look.diversity / min(look.source_diversity, look.real_diversity)
                found["collapsed"].append(
                    f"{words}: the results differ from one another only {share:.0%} as much as real pictures do."
                )
                # What is the same whatever it is made of says nothing more.
                continue
            if is_inverted(look, slack=self._slack("inverted")):
                found["inverted"].append(
                    f"{words}: the brightness of a result goes against that of its picture (correlation "
                    f"{look.likeness:.2f}; 1 is alike, -1 a negative)."
                )
            if hides_information(look, slack=self._slack("hidden_information")):
                found["hidden_information"].append(
                    f"{words} and back: the way back is {look.cycle_error:.3f} off, but {look.disturbed_error:.3f} "
                    f"once the results are blurred a little; real pictures lose {look.honest_error:.3f} by that."
                )
            is_old = pictures >= _PICTURES_BEFORE_IDENTITY
            if is_old and is_identity(look, slack=self._slack("identity_only")):
                found["identity_only"].append(
                    f"{words}: pictures change by {look.change:.3f} (of 2) on average, and score {look.score:.0f}; "
                    f"untranslated ones score {look.start_line:.0f}, real ones {look.finish_line:.0f}."
                )
        for kind, evidence in found.items():
            self._signs[kind].take(" ".join(evidence))

    def take_roll_back(self, step: int, back_to: int, rate_factor: float) -> None:
        """Numbers were not finite several times in a row, so the training has gone back, with a lower rate."""
        self.rate_factor = rate_factor
        self._bad_step = step
        # Told again, though it may have stood before: the evidence and the remedies are others now.
        self._told = None
        self._loss_step = back_to
        evidence = f"They were not finite several times in a row at step {step:,}; it goes on from step {back_to:,}."
        self._signs["not_finite"].take(evidence, in_a_row=1)

    def alarms(self) -> tuple[Alarm, ...]:
        """All that stand now, the worst first."""
        standing = [kind for kind in KINDS if self._signs[kind].stands]
        return tuple(
            Alarm(kind, _SENTENCES[kind], self._signs[kind].evidence, remedies(kind, self.config, self.rate_factor))
            for kind in standing
        )

    def changed(self) -> tuple[Alarm, ...] | None:
        """The alarms, if others stand than at the last call; else None. That all is well is said once, too."""
        kinds = frozenset(kind for kind in KINDS if self._signs[kind].stands)
        if kinds == self._told or not (kinds or self._told or self._has_looked):
            return None
        self._told = kinds
        return self.alarms()

    def _slack(self, kind: AlarmKind) -> float:
        return _SLACK if self._signs[kind].stands else 1.0

    def _direction_words(self, direction: Direction) -> str:
        names = (self.config.name_A, self.config.name_B)
        return " to ".join(names if direction == "a2b" else names[::-1])


_SENTENCES: dict[AlarmKind, str] = {
    "not_finite": "The numbers of this training grew beyond all bounds, and it had to go back.",
    "collapsed": "A generator has collapsed: whatever it is given, it makes nearly the same picture of it.",
    "discriminator_won": "A discriminator has won: it tells every result from a real picture, and its generator learns "
    "little more from it.",
    "inverted": "Light and dark are swapped: results look like negatives.",
    "hidden_information": "The results hide their originals in a pattern too fine to see, so that the way back "
    "succeeds without an honest translation.",
    "identity_only": "Hardly anything is translated: results look as their pictures did.",
}


def remedies(kind: AlarmKind, config: TrainConfig, rate_factor: float = 1.0) -> tuple[Remedy, ...]:
    """What can be done, the best first.

    Args:
        kind: What is ill.
        config: The settings now.
        rate_factor: What their learning rate is multiplied with now. A rate that is chosen stands for itself, so that
            half of the configured one would be no change, or a rise, after the training has gone back.
    """
    names = listed([config.name_A, config.name_B])
    reseed = Remedy(
        "Begin anew with another seed",
        (("seed", (config.seed + 1) % 2**63),),
        begins_anew=True,
        hint="Which way a training goes is decided early and partly by chance; this one stays as it is.",
    )
    slower = Remedy("Halve the learning rate", (("learning_rate", rate_factor * config.learning_rate / 2),))
    weaker = Remedy(
        "Halve the discriminators' rate",
        (("discriminator_rate", config.discriminator_rate / 2),),
        hint="The generators get time to catch up.",
    )
    augmented = Remedy(
        "Show the discriminators altered pictures",
        (("diff_augment", True),),
        hint="Then they cannot learn a small set by heart (DiffAugment).",
    )
    more_data = Remedy("Add more pictures", hint=f"More, and more varied, pictures of {names}, in a new training.")
    looser = Remedy(
        "Halve the cycle weights",
        (("lambda_A", config.lambda_A / 2), ("lambda_B", config.lambda_B / 2)),
        hint="Results may differ more from their pictures.",
    )
    identity = config.lambda_identity
    raised = 0.5 if identity == 0 else 2 * identity
    lowered = 0.0 if identity <= 0.125 else identity / 2
    can_compare = config.grey_A == config.grey_B
    more_identity = Remedy(
        "Raise the identity weight",
        (("lambda_identity", raised),),
        hint="It holds on to colours and brightness.",
    )
    less_identity = Remedy("Lower the identity weight", (("lambda_identity", lowered),))
    exact = Remedy("Compute in fp32", (("precision", "fp32"),), hint="Slower, with more room for large numbers.")
    clipped = Remedy("Limit the gradients", (("clip_gradient", 1.0),))
    match kind:
        case "not_finite":
            others = ([] if config.precision == "fp32" else [exact]) + ([] if config.clip_gradient else [clipped])
            return (slower, *others)
        case "collapsed":
            return (reseed, weaker, more_data)
        case "discriminator_won":
            return (weaker, *([] if config.diff_augment else [augmented]), slower, more_data)
        case "inverted":
            return (*([more_identity] if can_compare else []), reseed)
        case "hidden_information":
            return (looser, reseed)
        case "identity_only":
            return (*([less_identity] if identity > 0 and can_compare else []), looser, more_data)


def _smoothed(old: float, new: float, share: float) -> float:
    return new if math.isnan(old) else old + share * (new - old)
