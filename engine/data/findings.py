"""What the doctor says of what was seen: counts, sizes, colours, duplicates, and whether the two sides differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from engine.config import SMALL_SET, TrainConfig, suggests_diff_augment
from engine.data.duplicates import Groups, Pair
from engine.data.folders import FolderScan
from engine.data.images import Trait
from engine.data.picture_look import PictureLook
from engine.events import Finding, FindingKind, Severity, Side
from engine.words import counted

FEW_PICTURES = 100
"""Good pictures of a side below which results are poor."""

# Standard deviation in levels of 256 up to which a picture shows nothing.
_FLAT_CONTRAST = 2.0
# One side has so many times the pictures of the other.
_IMBALANCE, _SEVERE_IMBALANCE = 4, 20
_TINY_SIDE = 32
# Longer side by shorter side of what is squashed beyond recognition.
_STRIP_ASPECT = 3.0
# How many times as wide by their height the pictures of one side are as those of the other.
_ASPECTS_APART = 1.4
_SIZES_APART = 2.5
_FEW_GREY, _MOST_GREY = 0.25, 0.9
# Share of a side that is also on the other one from which on it looks like a mistake in the folders.
_MISTAKEN_SHARE = 0.5

# Pictures of each side by which it is learned to tell the sides apart, and how many it takes to judge that.
_MOST_LEARNED, _LEAST_LEARNED = 1500, 60
_FOLDS = 5
_RIDGE = 3.0
# Chance is 0.5. Apples and oranges are told apart in more than 0.9, photographs of two seasons in 0.8.
_TOLD_APART = 0.56

_SEVERITIES: tuple[Severity, ...] = ("stop", "warning", "note")
_KINDS: tuple[FindingKind, ...] = (
    *("too_few", "unreadable", "unreadable_folder", "same_on_both", "alike_on_both", "domains_alike"),
    *("few_pictures", "imbalance", "same", "alike", "flat", "tiny", "small", "strips", "grey_among_colour"),
    *("colour_among_grey", "all_grey", "small_set", "sizes_apart", "squashed", "sixteen_bits", "cmyk"),
    *("wide_gamut", "frames", "transparent", "other_files"),
)
"""In the order in which findings of one severity are told."""


@dataclass(frozen=True, slots=True)
class SideLook:
    """All that was seen of one side.

    Attributes:
        side: Which.
        name: What it is called in sentences.
        scan: Its folder.
        others: Its files that are no pictures.
        seen: Of each picture of `scan` what was seen, or why it cannot be read.
    """

    side: Side
    name: str
    scan: FolderScan
    others: tuple[Path, ...]
    seen: tuple[PictureLook | str, ...]

    @property
    def looks(self) -> list[tuple[Path, PictureLook]]:
        """The pictures that can be read."""
        both = zip(self.scan.pictures, self.seen, strict=True)
        return [(path, look) for path, look in both if not isinstance(look, str)]


def judge(
    side_A: SideLook, side_B: SideLook, same: Sequence[Pair], alike: Sequence[Pair], config: TrainConfig | None
) -> list[Finding]:
    """Everything worth saying, the worst first.

    Args:
        side_A: What was seen of A.
        side_B: What was seen of B.
        same: Pairs of pictures with the same pixels; numbers count pictures of A and then of B.
        alike: Pairs that show the same otherwise.
        config: The settings that pictures are to fit, if they are known.
    """
    sides = (side_A, side_B)
    findings: list[Finding] = []
    for side in sides:
        findings += [*_unreadable(side), *_flat(side), *_sizes(side, config), *_grey(side, config), *_files(side)]
    # Last: of pictures that look alike the one that stays must not be left out for another reason.
    findings += _duplicates(sides, same, alike, {path for finding in findings for path in finding.leave_out})
    findings += [*_sizes_apart(sides, config), *_aspects(sides, config), *_alike_domains(sides, findings)]
    bad = {path for finding in findings for path in finding.leave_out}
    good = [sum(path not in bad for path, _ in side.looks) for side in sides]
    findings += _counts(sides, good, config)
    return sorted(findings, key=lambda f: (_SEVERITIES.index(f.severity), _KINDS.index(f.kind), f.sides))


# Counts


def _counts(sides: tuple[SideLook, SideLook], good: list[int], config: TrainConfig | None) -> list[Finding]:
    found = []
    for side, count in zip(sides, good, strict=True):
        readable = len(side.looks)
        if readable < 2:
            words = "no picture" if readable == 0 else "only one picture"
            found.append(
                _finding(
                    "too_few",
                    "stop",
                    side,
                    f"{side.name} has {words} that can be read, and a training needs at least two on each side; a few "
                    "hundred give good results. Choose another folder, or add pictures.",
                )
            )
        elif count < FEW_PICTURES:
            found.append(
                _finding(
                    "few_pictures",
                    "warning",
                    side,
                    f"{side.name} has only {counted(count, 'good picture')}, and results of fewer than {FEW_PICTURES} "
                    "are poor: add more, a few hundred if you can.",
                )
            )
    if any(finding.severity == "stop" for finding in found):
        return found
    is_on = config is not None and config.diff_augment
    small = [side for side, count in zip(sides, good, strict=True) if FEW_PICTURES <= count < SMALL_SET]
    preset = "standard" if config is None else config.preset
    if small and suggests_diff_augment(preset, is_on=is_on, count_A=good[0], count_B=good[1]):
        who = " and ".join(f"{side.name} has {good[sides.index(side)]:,}" for side in small)
        found.append(
            Finding(
                "small_set",
                "note",
                tuple(side.side for side in small),
                f"{who} good pictures. With fewer than {SMALL_SET} the discriminators may learn them by heart in a "
                "long training: turn on DiffAugment (--diff-augment), or add pictures.",
            )
        )
    few, many = sorted(zip(good, sides, strict=True), key=lambda pair: pair[0])
    if many[0] >= _IMBALANCE * max(1, few[0]):
        times = f"{many[0] / max(1, few[0]):.0f}"
        found.append(
            Finding(
                "imbalance",
                "warning" if many[0] >= _SEVERE_IMBALANCE * few[0] else "note",
                ("A", "B"),
                f"{many[1].name} has {times} times as many pictures as {few[1].name} ({many[0]:,} and {few[0]:,}), so "
                f"that each picture of {few[1].name} is shown {times} times as often: add pictures to "
                f"{few[1].name}.",
            )
        )
    return found


# Files


def _unreadable(side: SideLook) -> list[Finding]:
    found = []
    both = zip(side.scan.pictures, side.seen, strict=True)
    bad = [(path, look) for path, look in both if isinstance(look, str)]
    if bad:
        files = tuple(path for path, _ in bad)
        one = len(bad) == 1
        found.append(
            Finding(
                "unreadable",
                "warning",
                (side.side,),
                f"{counted(len(bad), 'picture')} of {side.name} cannot be read: replace "
                f"{'it by a whole one' if one else 'them by whole ones'}, or leave {_them(files)} out.",
                files,
                leave_out=files,
                reasons=tuple(reason for _, reason in bad),
            )
        )
    if side.scan.unreadable_folders:
        count = len(side.scan.unreadable_folders)
        found.append(
            _finding(
                "unreadable_folder",
                "warning",
                side,
                f"{counted(count, 'folder')} within {side.name} cannot be looked into, so that pictures may be "
                "missing: change the permissions.",
                side.scan.unreadable_folders,
            )
        )
    if side.others:
        are = "is no picture and is" if len(side.others) == 1 else "are no pictures and are"
        found.append(
            _finding(
                "other_files",
                "note",
                side,
                f"{counted(len(side.others), 'file')} in {side.name} {are} left alone; you need do nothing.",
                side.others,
            )
        )
    return found


_TRAIT_WORDS: dict[Trait, tuple[FindingKind, str, str]] = {
    "sixteen_bits": ("sixteen_bits", "more than 8 bits a colour", "the training uses all of them, results have 8"),
    "cmyk": ("cmyk", "the colours of printing (CMYK)", "they are brought into sRGB, which may shift colours a little"),
    "wide_gamut": ("wide_gamut", "a colour space other than sRGB", "they are brought into sRGB"),
    "frames": ("frames", "several pages or frames", "only the first is trained on: save others as files of their own"),
    "transparent": ("transparent", "transparent parts", "these are trained on as white: fill them if white is wrong"),
}


def _files(side: SideLook) -> list[Finding]:
    found = []
    for trait, (kind, what, consequence) in _TRAIT_WORDS.items():
        files = tuple(path for path, look in side.looks if trait in look.traits)
        if files:
            has = "has" if len(files) == 1 else "have"
            sentence = f"{_share(len(files), side)} {has} {what}; {consequence}."
            found.append(_finding(kind, "note", side, sentence, files))
    return found


# What they show


def _flat(side: SideLook) -> list[Finding]:
    files = tuple(path for path, look in side.looks if look.contrast <= _FLAT_CONTRAST)
    if not files:
        return []
    verb = "shows" if len(files) == 1 else "show"
    return [
        _finding(
            "flat",
            "warning",
            side,
            f"{_share(len(files), side)} {verb} nothing but one colour, from which nothing is learned: leave "
            f"{_them(files)} out.",
            files,
            leave_out=files,
        )
    ]


def _grey(side: SideLook, config: TrainConfig | None) -> list[Finding]:
    telling = [(path, look) for path, look in side.looks if look.contrast > _FLAT_CONTRAST]
    grey = tuple(path for path, look in telling if look.is_grey)
    coloured = tuple(path for path, look in telling if not look.is_grey)
    if not grey or len(telling) < 2:
        return []
    option, flag = f"grey_{side.side}", f"--grey-{side.side.lower()}"
    if len(grey) < _MOST_GREY * len(telling):
        is_few = len(grey) <= _FEW_GREY * len(telling)
        remedy = (
            f"leave {_them(grey)} out."
            if is_few
            else f"keep either the grey or the coloured ones, or train {side.name} in grey ({flag})."
        )
        teach = "teaches" if len(grey) == 1 else "teach"
        return [
            _finding(
                "grey_among_colour",
                "warning",
                side,
                f"{_share(len(grey), side)} {_are(grey)} grey among coloured ones, and {teach} that colours may "
                f"vanish: {remedy}",
                grey,
                leave_out=grey if is_few else (),
            )
        ]
    if config is not None and getattr(config, option):
        return []
    found = [
        _finding(
            "all_grey",
            "note",
            side,
            f"{'All' if not coloured else 'Nearly all'} pictures of {side.name} are grey: turn on the option for grey "
            f"pictures ({flag}), with which results are grey, too, and training is a "
            "little faster.",
        )
    ]
    if coloured:
        found.append(
            _finding(
                "colour_among_grey",
                "warning",
                side,
                f"{_share(len(coloured), side)} {_are(coloured)} coloured among grey ones: leave {_them(coloured)} "
                "out, or train in grey.",
                coloured,
                leave_out=coloured,
            )
        )
    return found


def _sizes(side: SideLook, config: TrainConfig | None) -> list[Finding]:
    found = []
    strips = tuple(path for path, look in side.looks if _aspect(look) > _STRIP_ASPECT)
    if strips:
        found.append(
            _finding(
                "strips",
                "warning",
                side,
                f"{_share(len(strips), side)} {_are(strips)} more than {_STRIP_ASPECT:g} times as long as wide, and "
                f"would be squashed beyond recognition: cut {_them(strips)} into squarer pictures, or leave "
                f"{_them(strips)} out.",
                strips,
                leave_out=strips,
            )
        )
    usual = tuple((path, look) for path, look in side.looks if _aspect(look) <= _STRIP_ASPECT)
    size = None if config is None or config.preprocess in ("none", "scale_width") else min(config.crop_size)
    tiny = tuple(path for path, look in usual if min(look.width, look.height) < _tiny_below(size))
    small = () if size is None else tuple(path for path, look in usual if min(look.width, look.height) < size)
    if size is not None and len(small) > len(usual) / 2:
        typical = int(median(min(look.width, look.height) for _, look in usual))
        fitting = max(32, typical // 4 * 4)
        if fitting < size:
            found.append(
                _finding(
                    "small",
                    "warning",
                    side,
                    f"{_share(len(small), side)} {_are(small)} smaller than the {size} px that are trained on (most "
                    f"about {typical} px) and would be enlarged and blurry: choose a picture size of {fitting} px "
                    f"(--size {fitting}), or larger pictures.",
                    small,
                )
            )
            tiny = tuple(path for path, look in usual if min(look.width, look.height) < _TINY_SIDE)
    if tiny and len(tiny) < max(2, len(side.looks)):
        found.append(
            _finding(
                "tiny",
                "warning",
                side,
                f"{_share(len(tiny), side)} {_are(tiny)} less than {_tiny_below(size)} px high or wide and would be "
                f"enlarged until {'it is' if len(tiny) == 1 else 'they are'} a blur: replace {_them(tiny)} by larger "
                f"ones, or leave {_them(tiny)} out.",
                tiny,
                leave_out=tiny,
            )
        )
    return found


def _tiny_below(size: int | None) -> int:
    return _TINY_SIDE if size is None else max(_TINY_SIDE, size // 2)


def _sizes_apart(sides: tuple[SideLook, SideLook], config: TrainConfig | None) -> list[Finding]:
    """Where one side is much coarser than the other, sharpness is what is translated."""
    if not all(side.looks for side in sides):
        return []
    typical = [median(min(look.width, look.height) for _, look in side.looks) for side in sides]
    (low, coarse), (high, fine) = sorted(zip(typical, sides, strict=True), key=lambda pair: pair[0])
    enough = 256 if config is None else config.load_size
    if high < _SIZES_APART * low or low >= enough:
        return []
    return [
        Finding(
            "sizes_apart",
            "note",
            ("A", "B"),
            f"Pictures of {coarse.name} are much smaller than those of {fine.name} (about {low:.0f} and {high:.0f} "
            f"px), so that blur may be learned as a mark of {coarse.name}: take larger pictures of {coarse.name}, or "
            f"a picture size of at most {max(32, int(low) // 4 * 4)} px.",
        )
    ]


def _aspects(sides: tuple[SideLook, SideLook], config: TrainConfig | None) -> list[Finding]:
    """Where the two sides are squashed differently, shapes differ for that reason alone."""
    if config is not None and config.preprocess != "resize_and_crop":
        return []
    if not all(side.looks for side in sides):
        return []
    aspects = [median(look.width / look.height for _, look in side.looks) for side in sides]
    (low, tall), (high, wide) = sorted(zip(aspects, sides, strict=True), key=lambda pair: pair[0])
    if high < _ASPECTS_APART * low:
        return []
    return [
        Finding(
            "squashed",
            "note",
            ("A", "B"),
            f"Pictures of {wide.name} are wider for their height than those of {tall.name} (about {high:.1f} and "
            f"{low:.1f} to 1). All are squashed to squares, which makes shapes differ: choose another preprocessing, "
            "such as --preprocess scale_width_and_crop.",
        )
    ]


# Duplicates


def _duplicates(
    sides: tuple[SideLook, SideLook], same: Sequence[Pair], alike: Sequence[Pair], bad: Collection[Path]
) -> list[Finding]:
    paths = [path for side in sides for path in side.scan.pictures]
    seen = [look for side in sides for look in side.seen]
    first_B = len(sides[0].scan.pictures)
    copies = Groups(len(paths))
    for pair in same:
        copies.join(*pair)
    found = _of_groups(sides, paths, first_B, copies.of_several(), "same")
    # Copies stand for one another.
    families = Groups(len(paths))
    for first, second in alike:
        families.join(copies.leader(first), copies.leader(second))
    on_both = {number for group in copies.of_several() if _is_on_both(group, first_B) for number in group}
    groups = []
    for group in families.of_several():
        # Of copies on both sides all has been said.
        members = [number for number in group if number not in on_both]
        # The largest good one is the best, the first of several such.
        members.sort(key=lambda number: (paths[number] in bad, -_pixels(seen[number]), number))
        if len(members) > 1:
            groups.append(members)
    return found + _of_groups(sides, paths, first_B, groups, "alike")


def _of_groups(
    sides: tuple[SideLook, SideLook], paths: list[Path], first_B: int, groups: list[list[int]], how: str
) -> list[Finding]:
    found = []
    across = [group for group in groups if _is_on_both(group, first_B)]
    what = "the same" if how == "same" else "nearly the same (saved anew, resized, brightened or cropped)"
    if across:
        files = tuple(paths[number] for group in across for number in group)
        least = min(len(side.scan.pictures) for side in sides)
        is_mistake = len(across) >= max(2, _MISTAKEN_SHARE * least)
        remedy = (
            "which looks as if the same pictures had been chosen twice: choose another folder for one side."
            if is_mistake
            else f"so that nothing tells where {'it belongs' if len(across) == 1 else 'they belong'}: remove each from "
            "the side where it is wrong, or leave out both."
        )
        found.append(
            Finding(
                "same_on_both" if how == "same" else "alike_on_both",
                "warning",
                ("A", "B"),
                f"{counted(len(across), 'picture')} of {sides[0].name} {'is' if len(across) == 1 else 'are'} {what} on "
                f"the side of {sides[1].name}, {remedy}",
                files,
                groups=tuple(tuple(paths[number] for number in group) for group in across),
                leave_out=() if is_mistake else files,
            )
        )
    for side in sides:
        within = [group for group in groups if group not in across and (group[0] >= first_B) == (side.side == "B")]
        if not within:
            continue
        more = tuple(paths[number] for group in within for number in group[1:])
        found.append(
            Finding(
                "same" if how == "same" else "alike",
                "warning" if how == "same" else "note",
                (side.side,),
                f"{counted(len(more), 'picture')} of {side.name} {'is' if len(more) == 1 else 'are'} {what} as "
                f"{'another one' if len(more) == 1 else 'others'}, which weighs {'it' if len(more) == 1 else 'them'} "
                f"twice: leave out all but {'the first' if how == 'same' else 'the largest good one'} of each group.",
                tuple(paths[number] for group in within for number in group),
                groups=tuple(tuple(paths[number] for number in group) for group in within),
                leave_out=more,
            )
        )
    return found


def _is_on_both(group: list[int], first_B: int) -> bool:
    return min(group) < first_B <= max(group)


def _pixels(look: PictureLook | str) -> int:
    return 0 if isinstance(look, str) else look.width * look.height


# Whether the sides differ


def _alike_domains(sides: tuple[SideLook, SideLook], findings: Sequence[Finding]) -> list[Finding]:
    if any(finding.kind in ("same_on_both", "alike_on_both") and not finding.leave_out for finding in findings):
        return []
    bad = {path for finding in findings for path in finding.leave_out}
    chosen = [[look for path, look in side.looks if path not in bad] for side in sides]
    if min(len(looks) for looks in chosen) < _LEAST_LEARNED:
        return []
    told = told_apart(*(_features(looks) for looks in chosen))
    if told >= _TOLD_APART:
        return []
    return [
        Finding(
            "domains_alike",
            "warning",
            ("A", "B"),
            f"{sides[0].name} and {sides[1].name} hardly differ: by colours and textures {told:.0%} of the pictures "
            "are told apart, and by chance it would be 50%. Check that both folders hold what you mean, or expect "
            "little to change.",
        )
    ]


def told_apart(features_A: npt.NDArray[np.float32], features_B: npt.NDArray[np.float32]) -> float:
    """The share of pictures whose side a linear classifier finds that has not learned from them; 0.5 is chance.

    Args:
        features_A: [N, F].
        features_B: [M, F].
    """
    features = np.concatenate([features_A, features_B]).astype(np.float64)
    labels = np.concatenate([np.full(len(features_A), 1.0), np.full(len(features_B), -1.0)])
    features -= features.mean(axis=0)
    features /= np.maximum(features.std(axis=0), 1e-3)
    # Both sides count alike, however many pictures they have.
    weights = np.where(labels > 0, 1 / len(features_A), 1 / len(features_B)) * len(labels) / 2
    folds = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    right = np.zeros(len(labels), bool)
    ridge = _RIDGE * np.eye(features.shape[1]) * np.sqrt(features.shape[1])
    for fold in range(_FOLDS):
        known = folds != fold
        weighted = features[known] * weights[known, None]
        mean = weighted.mean(axis=0)
        direction = np.linalg.solve(features[known].T @ weighted + ridge, weighted.T @ labels[known])
        right[~known] = ((features[~known] - mean) @ direction > 0) == (labels[~known] > 0)
    return float((right * weights).mean())


def _features(looks: list[PictureLook]) -> npt.NDArray[np.float32]:
    some = looks[:: max(1, -(-len(looks) // _MOST_LEARNED))]
    return np.stack([np.frombuffer(look.features, np.float16) for look in some]).astype(np.float32)


# Words


def _finding(
    kind: FindingKind,
    severity: Severity,
    side: SideLook,
    sentence: str,
    files: tuple[Path, ...] = (),
    leave_out: tuple[Path, ...] = (),
) -> Finding:
    return Finding(kind, severity, (side.side,), sentence, files, leave_out=leave_out)


def _share(count: int, side: SideLook) -> str:
    """Such as "3 of the 995 pictures of Apples" or "All 995 pictures of Apples"; singular if `count` is 1."""
    total = len(side.scan.pictures)
    if total == 1:
        return f"The only picture of {side.name}"
    if count == total:
        return f"All {total:,} pictures of {side.name}"
    return f"{count:,} of the {total:,} pictures of {side.name}"


def _are(files: tuple[Path, ...]) -> str:
    return "is" if len(files) == 1 else "are"


def _them(files: tuple[Path, ...]) -> str:
    return "it" if len(files) == 1 else "them"


def _aspect(look: PictureLook) -> float:
    return max(look.width, look.height) / min(look.width, look.height)
