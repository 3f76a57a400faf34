"""What a model is made of, in words."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication

from cyclegan_desktop.plain_text import shown_text
from engine.config import Direction
from engine.conversion.model_file import ModelInfo, moment_step, run_name
from engine.model.architecture import Architecture


def architecture_words(architecture: Architecture, name_A: str, name_B: str) -> str:
    """The generators in one line, such as "ResNet, 9 blocks, 64 channels, dropout".

    Args:
        architecture: What they are made of.
        name_A: Name of domain A, to say which one is grey.
        name_B: Name of domain B.
    """
    if architecture.generator == "unet":
        depth = _tr("U-Net, {n} halvings").format(n=architecture.halvings)
    elif architecture.blocks == 1:
        depth = _tr("ResNet, 1 block")
    else:
        depth = _tr("ResNet, {n} blocks").format(n=architecture.blocks)
    parts = [depth, _tr("{n} channels").format(n=architecture.channels)]
    if architecture.norm != "instance":
        parts.append(_tr("batch norm") if architecture.norm == "batch" else _tr("no norm"))
    if architecture.dropout:
        parts.append(_tr("dropout"))
    if architecture.grey_A and architecture.grey_B:
        parts.append(_tr("grey pictures"))
    elif architecture.grey_A or architecture.grey_B:
        parts.append(_tr("{name} in grey").format(name=name_A if architecture.grey_A else name_B))
    if architecture.long_skip:
        parts.append(_tr("long skip (predicts a change of the picture)"))
    if architecture.resize_conv:
        parts.append(_tr("resize-convolution"))
    return ", ".join(parts)


def direction_words(direction: Direction, name_A: str, name_B: str) -> str:
    """A direction, such as "Apples to Oranges"."""
    source, target = (name_A, name_B) if direction == "a2b" else (name_B, name_A)
    return _tr("{source} to {target}").format(source=source, target=target)


def directions_words(directions: Sequence[Direction], name_A: str, name_B: str) -> str:
    """What a model can do, such as "both directions" or "Apples to Oranges only"."""
    if len(directions) > 1:
        return _tr("both directions")
    return _tr("{direction} only").format(direction=direction_words(directions[0], name_A, name_B))


def pair_words(name_A: str, name_B: str) -> str:
    """What a model is called by its domains, such as "Apples and Oranges"."""
    return _tr("{A} and {B}").format(A=shown_text(name_A), B=shown_text(name_B))


def model_file_words(model: ModelInfo) -> str:
    """What a model file is called: that of a training by the training's name, that of a moment also by its step."""
    training, step = run_name(model.path), moment_step(model.path)
    if training is None or step is None:
        return shown_text(training or model.path.stem)
    return _tr("{training}, step {step:,}").format(training=shown_text(training), step=step)


def _tr(text: str) -> str:
    return QCoreApplication.translate("ModelWords", text)
