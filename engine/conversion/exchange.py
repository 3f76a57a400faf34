"""Import and export: the reference's `.pth`, ONNX, and the model card.

Nothing is ever overwritten, and what is written appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch

from engine.config import Direction, TrainConfig
from engine.conversion.model_file import (
    DISCRIMINATORS,
    GENERATORS,
    ModelInfo,
    load_generator,
    load_networks,
    model_bytes,
    model_path,
    read_model_info,
    run_name,
)
from engine.conversion.onnx_file import onnx_bytes, require_onnx
from engine.conversion.reference_file import REFERENCE_NAMES, ReferenceModel, read_reference_files
from engine.errors import ModelFileError
from engine.events import LOSS_NAMES
from engine.files import disk_sentence, is_folder, publish_new, temporary_beside, write_new
from engine.model.generator import make_generator
from engine.training.loss_table import read_loss_table
from engine.training.run import read_pictures, read_run_summary
from engine.words import listed

__all__ = ["ReferenceModel", "export_card", "export_onnx", "export_pth", "import_model", "read_reference_files"]

CARD_FORMAT_VERSION = 1

# What layers of the reference have, in its order.
_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def import_model(files: Sequence[Path], *, names: tuple[str, str], to: Path, size: int = 256) -> ModelInfo:
    """Make a model file of ours of the reference's `.pth` files.

    Args:
        files: The reference's files, in any order; see `read_reference_files`.
        names: Names of domain A and domain B.
        to: The model file, which must not exist yet; its folder is made.
        size: Side of the crops it was trained on, in pixels: the file does not say.

    Returns:
        The story of the model, its path being where it was written.

    Raises:
        ConfigError: A name or the size makes no sense.
        ModelFileError: The files cannot be used, or `to` cannot be written.
    """
    if to.suffix.lower() != ".safetensors":
        raise ModelFileError(f"{to} does not end in .safetensors, as a model file does; choose another name.")
    _require_free(to)
    reference = read_reference_files(files)
    architecture = reference.architecture
    # A training that could have made it: its checks are those of the names and of the size.
    nowhere = Path("nowhere")
    config = TrainConfig(
        folder_A=nowhere,
        folder_B=nowhere,
        run=nowhere,
        name_A=names[0],
        name_B=names[1],
        size=size,
        load_size=size,
        discriminator="pixel",
        **asdict(architecture),
    )
    info = ModelInfo(
        path=to,
        name_A=config.name_A,
        name_B=config.name_B,
        size=config.size,
        architecture=architecture,
        preset="reference",
        steps=0,
        date=date.today().isoformat(),
        note=f"Imported from {listed([path.name for path, _ in reference.files])}.",
        directions=reference.directions,
        discriminators=reference.discriminators,
    )
    return read_model_info(_write(to, model_bytes(info, reference.tensors)))


def export_pth(model: Path, folder: Path) -> tuple[Path, ...]:
    """Write the networks of a model as the reference does: `latest_net_G_A.pth` and so on, weights only.

    The discriminators are written too if the model file holds them or, for the folder of a training, its newest
    checkpoint does.

    Args:
        model: A model file, or the folder of a training.
        folder: Where to; it is made.

    Returns:
        The files written.

    Raises:
        ModelFileError: The reference has no such networks, the model cannot be read, or a file is there already.
    """
    tensors, info = load_networks(model)
    _require_known_to_reference(model, info)
    there = [
        name for name in (*GENERATORS.values(), *DISCRIMINATORS) if any(key.startswith(f"{name}.") for key in tensors)
    ]
    targets = {name: folder / f"latest_net_{REFERENCE_NAMES[name]}.pth" for name in there}
    _require_free(*targets.values())
    written: list[Path] = []
    for name, target in targets.items():
        prefix = f"{name}."
        keys = [key.removeprefix(prefix) for key in tensors if key.startswith(prefix)]
        buffer = io.BytesIO()
        torch.save(OrderedDict((key, tensors[prefix + key]) for key in sorted(keys, key=_place)), buffer)
        written.append(_write(target, buffer.getvalue()))
    return tuple(written)


def export_onnx(model: Path, folder_or_file: Path) -> tuple[Path, ...]:
    """Write the generators of a model as ONNX, one file a direction; see `onnx_bytes` for what they take and give.

    Args:
        model: A model file, or the folder of a training.
        folder_or_file: With the ending ".onnx" a file: "NAME.onnx" of a model of one direction, "NAME_a2b.onnx" and
            "NAME_b2a.onnx" of one of both. Else a folder, which is made, for files called after the model.

    Returns:
        The files written.

    Raises:
        ModelFileError: The package onnx is missing, the model cannot be read, or a file is there already.
    """
    require_onnx()
    info = read_model_info(model)
    targets = _onnx_targets(model, info.directions, folder_or_file)
    _require_free(*targets.values())
    written: list[Path] = []
    for direction, target in targets.items():
        generator, _ = load_generator(model, direction, torch.device("cpu"))
        channels = [info.architecture.channels_of("A"), info.architecture.channels_of("B")]
        in_channels, out_channels = channels if direction == "a2b" else channels[::-1]
        metadata = {
            "name_A": info.name_A,
            "name_B": info.name_B,
            "direction": direction,
            "size": str(info.size),
            "multiple": str(info.architecture.multiple),
            "licence": info.licence,
            "note": info.note,
        }
        content = onnx_bytes(generator, in_channels=in_channels, out_channels=out_channels, metadata=metadata)
        written.append(_write(target, content))
    return tuple(written)


def export_card(model: Path, file: Path) -> Path:
    """Write the model card, everything known about a model, as JSON.

    - format_version: 1, of this layout; newer versions only add.
    - names: of the domains A and B.
    - directions: each with its name in words, its number of parameters, and a command that uses it.
    - architecture, discriminators: what the networks are made of; no discriminators are null.
    - size: side of the crops trained on, in pixels; multiple: of which sides of pictures must be multiples.
    - preset, steps (null where not known), date, licence, note: its story.
    - file: name, bytes and SHA-256 of the model file, and the version of its format.
    - training: for the folder of a training its settings without the places of its folders, the numbers of its
      pictures, seconds, and the last losses with their step; else null.

    Args:
        model: A model file, or the folder of a training.
        file: The card, which must not exist yet.

    Returns:
        Where it was written.

    Raises:
        ModelFileError: The model cannot be read or is damaged, or the card cannot be written.
        RunError: The folder of the training is damaged.
    """
    _require_free(file)
    path = model_path(model)
    _, info = load_networks(path)
    content = path.read_bytes()
    card = {
        "format_version": CARD_FORMAT_VERSION,
        "names": {"A": info.name_A, "B": info.name_B},
        "directions": {
            direction: {
                "name": info.direction_name(direction),
                "parameters": _parameters(info, direction),
                "command": f"cyclegan convert {path.name} PICTURES --to RESULTS --direction {direction}",
            }
            for direction in info.directions
        },
        "architecture": asdict(info.architecture),
        "discriminators": None if info.discriminators is None else asdict(info.discriminators),
        "size": info.size,
        "multiple": info.architecture.multiple,
        "preset": info.preset,
        "steps": info.steps or None,
        "date": info.date,
        "licence": info.licence,
        "note": info.note,
        "file": {
            "name": path.name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "format_version": info.format_version,
        },
        "training": _training(model) if model.is_dir() else None,
    }
    return _write(file, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())


def _require_known_to_reference(model: Path, info: ModelInfo) -> None:
    where = info.path
    if info.architecture.long_skip:
        raise ModelFileError(
            f"{where} predicts a change of the picture (long skip). The reference has no such thing, so it cannot be "
            "exported as .pth; export it as ONNX, or train without the long skip."
        )
    if info.architecture.resize_conv:
        raise ModelFileError(
            f"{where} enlarges by resize-convolution. The reference has no such thing, so it cannot be exported as "
            ".pth; export it as ONNX, or train without resize-convolution."
        )
    if info.discriminators is not None and info.discriminators.spectral_norm:
        raise ModelFileError(
            f"The discriminators of {model} have a spectral norm. The reference has no such thing, so they cannot be "
            f"exported as .pth; give {where} instead, which exports the generators alone."
        )


def _onnx_targets(model: Path, directions: Sequence[Direction], folder_or_file: Path) -> dict[Direction, Path]:
    if folder_or_file.suffix.lower() != ".onnx" or is_folder(folder_or_file):
        path = model_path(model).absolute()
        name = run_name(path) or path.stem
        return {direction: folder_or_file / f"{name}_{direction}.onnx" for direction in directions}
    if len(directions) == 1:
        return {directions[0]: folder_or_file}
    return {direction: folder_or_file.with_stem(f"{folder_or_file.stem}_{direction}") for direction in directions}


def _place(key: str) -> tuple[list[int], int]:
    """Sorts keys as the network itself has them, "model.4" before "model.10"; a model file has them by the alphabet."""
    layer, _, part = key.rpartition(".")
    places = [int(step) if step.isdecimal() else -1 for step in layer.split(".")]
    return places, _PARTS.index(part) if part in _PARTS else len(_PARTS)


def _parameters(info: ModelInfo, direction: Direction) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in make_generator(info.architecture, direction).parameters())


def _training(folder: Path) -> dict[str, Any]:
    summary = read_run_summary(folder)
    pictures = read_pictures(folder)
    losses = None
    for steps, table in read_loss_table(folder):
        losses = {"step": int(steps[-1]), **dict(zip(LOSS_NAMES, table[:, -1].tolist(), strict=True))}
    settings = {name: value for name, value in asdict(summary.config).items() if not isinstance(value, Path)}
    return {
        "settings": settings,
        "pictures": {name: len(getattr(pictures, name)) for name in ("train_A", "train_B", "sample_A", "sample_B")},
        "held_out": pictures.held_out,
        "seconds": round(summary.seconds, 1),
        "losses": losses,
    }


def _require_free(*targets: Path) -> None:
    for target in targets:
        if os.path.lexists(target):
            raise ModelFileError(f"{target} exists already; choose another name or folder. Nothing was written.")


def _write(target: Path, content: bytes) -> Path:
    """Write a new file, whole or not at all; should its name be taken in the meantime, under one with a number."""
    temporary = temporary_beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_new(temporary, content, sync=True)
        return publish_new(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ModelFileError(disk_sentence(error, target)) from error
