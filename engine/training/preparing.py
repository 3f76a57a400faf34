"""What is settled before the first step: pictures, device, precision, the model, and what a resumed training keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from engine.config import SMALL_SET, TrainConfig, suggests_diff_augment
from engine.conversion.model_file import Discriminators, ModelInfo, load_networks, read_model_info
from engine.data.folders import FolderScan, check_training_folders, scan_folder
from engine.device import choose_device, choose_precision, compute_threads, gpus_together, hardware_name, use_threads
from engine.errors import ConfigError, DataError, ModelFileError
from engine.files import is_folder
from engine.model.cyclegan import CycleGAN, can_batch
from engine.randomness import Stream, random_at
from engine.ranks import rank_and_count
from engine.training.run import Choices, Pictures, Run
from engine.training.samples import FixedPicture, read_fixed_pictures
from engine.training.schedule import steps_per_epoch, total_steps
from engine.training.sheets import MOST_SAMPLES
from engine.training.tensorboard_log import require_tensorboard
from engine.training.tuning import measures
from engine.words import counted, listed

# Enough for a score, and what a small set can spare; a very small one can spare none.
_HOLD_OUT_SHARE = 0.1
_HOLD_OUT_MOST = 64
_HOLD_OUT_FROM = 25

# Discriminators learn the pictures of a small set by heart when they see each of them this often.
_MANY_TIMES = 50
_NOTHING_TO_MEASURE = (
    "There was nothing to measure again: only a training of one process on a processor chooses by measurement, and "
    "only where networks and sitting are not too small for it. It goes on as before."
)


def find_pictures(config: TrainConfig) -> Pictures:
    """Choose what is trained on and what is shown as samples; nothing of it is left out by the settings.

    Raises:
        DataError: The folders do not allow a training, or too much is left out of them.
    """
    scans = check_training_folders(config.folder_A, config.folder_B, config.run)
    scan_A, scan_B = (
        _without_left_out(scan, config, field, name)
        for scan, field, name in zip(scans, ("folder_A", "folder_B"), (config.name_A, config.name_B), strict=True)
    )
    left_out = set(config.left_out)
    test_A, test_B = (
        None if t is None else tuple(path for path in scan_folder(t).pictures if path not in left_out)
        for t in (config.test_A, config.test_B)
    )
    train_A, held_A = _hold_out(scan_A, test_A, config, Stream.HOLD_OUT_A)
    train_B, held_B = _hold_out(scan_B, test_B, config, Stream.HOLD_OUT_B)
    held_out = bool(held_A and held_B)
    return Pictures(
        train_A=train_A if held_out else scan_A.pictures,
        train_B=train_B if held_out else scan_B.pictures,
        sample_A=held_A if held_out else _spread(scan_A.pictures),
        sample_B=held_B if held_out else _spread(scan_B.pictures),
        held_out=held_out,
        held_A=held_A if held_out else (),
        held_B=held_B if held_out else (),
    )


def ranks_of(config: TrainConfig) -> int:
    """Processes that a training with these settings would have, started from this one."""
    together = rank_and_count()[1]
    return max(1, gpus_together()) if together == 1 and config.device == "all" else together


def choose(config: TrainConfig) -> Choices:
    """Choose device, precision, threads and batched calls by rule; `tuning` then measures which threads are faster.

    Raises:
        ConfigError: This machine has no such device.
    """
    device = choose_device(config.device)
    threads = compute_threads()
    use_threads(threads)
    return Choices(
        device=str(device),
        hardware=hardware_name(device),
        precision=choose_precision(config.precision, device, config.generator),
        threads=threads,
        ranks=rank_and_count()[1],
        # A processor is kept busy by one picture: see docs/decisions/0015 and 0022.
        batched=device.type == "cuda" and can_batch(config),
    )


def make_model(config: TrainConfig, choices: Choices) -> CycleGAN:
    """The model of a training that begins, with first weights of its own."""
    return CycleGAN(config, torch.device(choices.device), choices.precision, batched=choices.batched)  # type: ignore[arg-type]


def check_start(config: TrainConfig) -> None:
    """See that the model to start from has what these settings ask for; its weights are not looked at yet.

    Raises:
        ConfigError: It cannot be read, has one direction only, or is made of something else; or TensorBoard is missing.
    """
    require_tensorboard(config)
    if config.start_from is None:
        return
    try:
        info = read_model_info(config.start_from)
    except ModelFileError as error:
        raise ConfigError("start_from", str(error)) from error
    if len(info.directions) < 2:
        raise ConfigError(
            "start_from",
            f"{config.start_from} has only the direction {info.direction_name(info.directions[0])}, and a training "
            "needs both. Choose another model to start from.",
        )
    flags = _differences(info, config)
    if flags:
        raise ConfigError(
            "start_from",
            f"The networks of {config.start_from} are made otherwise than these settings ask for. To start from them, "
            f"train with {' '.join(flags)}; or choose another model.",
        )


def start_model(config: TrainConfig, model: CycleGAN) -> None:
    """Give a model that begins the weights that it is to start from, if any.

    Raises:
        ConfigError: They cannot be read, or do not fit.
    """
    if config.start_from is None:
        return
    try:
        tensors, _ = load_networks(config.start_from)
    except ModelFileError as error:
        raise ConfigError("start_from", str(error)) from error
    model.start_from(tensors)


def fixed_pictures(config: TrainConfig, pictures: Pictures) -> list[FixedPicture]:
    """The pictures shown as samples: the user's choice, or the first few samples, also where that has gone."""
    return [
        *(
            read_fixed_pictures("a2b", pictures.shown_A, config)
            or read_fixed_pictures("a2b", pictures.sample_A, config)
        ),
        *(
            read_fixed_pictures("b2a", pictures.shown_B, config)
            or read_fixed_pictures("b2a", pictures.sample_B, config)
        ),
    ]


def advice(config: TrainConfig, pictures: Pictures) -> list[str]:
    """What is worth saying when a training begins."""
    said = [words] if (words := _left_out_words(config)) else []
    if config.lambda_identity > 0 and config.grey_A != config.grey_B:
        said.append("There is no identity loss in this training: it would compare grey pictures with coloured ones.")
    counts = len(pictures.train_A), len(pictures.train_B)
    epoch = steps_per_epoch(config, *counts)
    # The smaller set comes round more often.
    times = total_steps(config, epoch) / epoch * max(counts) / min(counts)
    is_small = suggests_diff_augment(config.preset, is_on=config.diff_augment, count_A=counts[0], count_B=counts[1])
    if is_small and times >= _MANY_TIMES:
        said.append(
            f"With fewer than {SMALL_SET} pictures on a side (here {counts[0]:,} and {counts[1]:,}), the "
            "discriminators may learn them by heart. If results get worse again, train anew with DiffAugment "
            "(--diff-augment)."
        )
    return said


def choices_on_resume(run: Run, config: TrainConfig, *, measure_again: bool = False) -> tuple[Choices, list[str]]:
    """The stored choices where device, precision and ranks are as they were; otherwise new ones, and a sentence.

    Args:
        run: The training.
        config: Its settings from now on.
        measure_again: Whether to choose anew nevertheless, but for device and precision.
    """
    stored, ranks = run.choices, rank_and_count()[1]
    try:
        device = choose_device(stored.device if ranks == 1 else config.device)
        same = hardware_name(device) == stored.hardware
    except ConfigError:
        same = False
    same = same and (config.device, config.precision) == (run.config.device, run.config.precision)
    if same and ranks == stored.ranks and not (measure_again and measures(config, stored)):
        use_threads(stored.threads)
        return stored, [_NOTHING_TO_MEASURE] if measure_again else []
    choices = dataclasses.replace(choose(config), offset=stored.offset)
    if same:
        choices = dataclasses.replace(choices, precision=stored.precision)
    if same and measure_again:
        return choices, ["What is fastest here was measured again; from here on results may differ in their last bits."]
    if same or (choices.hardware, choices.precision) == (stored.hardware, stored.precision):
        return choices, []
    return choices, [
        f"This training was begun on {stored.hardware} in {stored.precision} and goes on on {choices.hardware} in "
        f"{choices.precision}: the result will be as good, but not bit for bit the same."
    ]


def refuse_vanished_folders(config: TrainConfig) -> None:
    """See that the pictures are where they were.

    Raises:
        DataError: They are not.
    """
    for name, folder in ((config.name_A, config.folder_A), (config.name_B, config.folder_B)):
        if not is_folder(folder):
            raise DataError(
                f"The pictures of {name} are not in {folder} any more. Bring the folder back, or correct its path in "
                f"{config.run / 'config.json'}."
            )


def _hold_out(
    scan: FolderScan, test: tuple[Path, ...] | None, config: TrainConfig, stream: Stream
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Training pictures and held-out pictures of one side; nothing is held out of very small sets."""
    if test:
        return scan.pictures, test
    number = len(scan.pictures)
    can_spare = config.hold_out and number >= _HOLD_OUT_FROM
    count = min(_HOLD_OUT_MOST, round(_HOLD_OUT_SHARE * number)) if can_spare else 0
    chosen = set(random_at(config.seed, stream).permutation(len(scan.pictures))[:count].tolist())
    kept = tuple(path for i, path in enumerate(scan.pictures) if i not in chosen)
    return kept, tuple(path for i, path in enumerate(scan.pictures) if i in chosen)


def _without_left_out(scan: FolderScan, config: TrainConfig, field: str, name: str) -> FolderScan:
    """One side without what is left out of it.

    Raises:
        DataError: Too little remains.
    """
    left_out = set(config.left_out)
    kept = tuple(path for path in scan.pictures if path not in left_out)
    if len(kept) < 2:
        remain = "none" if not kept else "only one"
        raise DataError(
            f"Of the {counted(len(scan.pictures), 'picture')} of {name} {remain} would remain, since the others are "
            "left out. A training needs at least two on each side: leave out fewer.",
            field=field,
        )
    return dataclasses.replace(scan, pictures=kept)


def _left_out_words(config: TrainConfig) -> str:
    """Such as "3 pictures of Apples and 1 picture of Oranges are left out of this training."; "" for none."""
    counts = [
        (sum(path.is_relative_to(folder) for path in config.left_out), name)
        for folder, name in ((config.folder_A, config.name_A), (config.folder_B, config.name_B))
    ]
    parts = [f"{counted(count, 'picture')} of {name}" for count, name in counts if count]
    if not parts:
        return ""
    verb = "is" if sum(count for count, _ in counts) == 1 else "are"
    return f"{listed(parts)} {verb} left out of this training, as the settings say. The files stay where they are."


def _spread(pictures: tuple[Path, ...]) -> tuple[Path, ...]:
    """A few pictures from all over the list."""
    return pictures[:: max(1, len(pictures) // (2 * MOST_SAMPLES))][: 2 * MOST_SAMPLES]


def _differences(info: ModelInfo, config: TrainConfig) -> list[str]:
    """The flags with which networks would be made as those of a model, where the settings differ."""
    theirs, wanted = (dataclasses.asdict(architecture) for architecture in (info.architecture, config.architecture))
    # What only another kind of network has says nothing.
    idle = {"halvings"} if info.architecture.generator == "resnet" else {"blocks", "resize_conv"}
    if info.discriminators is not None:
        theirs |= info.discriminators.settings
        wanted |= Discriminators.of(config).settings
        if info.discriminators.kind == "pixel":
            idle.add("discriminator_layers")
    flags = []
    for field, value in theirs.items():
        if field not in idle and value != wanted[field]:
            flag = field.replace("_", "-").lower()
            flags.append((f"--{flag}" if value else f"--no-{flag}") if isinstance(value, bool) else f"--{flag} {value}")
    return flags
