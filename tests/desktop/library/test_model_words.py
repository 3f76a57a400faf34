from __future__ import annotations

from pathlib import Path

import pytest

from cyclegan_desktop.library.model_words import architecture_words, directions_words, model_file_words
from engine.conversion.model_file import ModelInfo
from engine.model.architecture import Architecture


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (Architecture(), "ResNet, 9 blocks, 64 channels"),
        (Architecture(blocks=1, channels=32), "ResNet, 1 block, 32 channels"),
        (Architecture(generator="unet", halvings=7, norm="batch"), "U-Net, 7 halvings, 64 channels, batch norm"),
        (Architecture(norm="none", dropout=True), "ResNet, 9 blocks, 64 channels, no norm, dropout"),
        (Architecture(grey_A=True), "ResNet, 9 blocks, 64 channels, Drawings in grey"),
        (Architecture(grey_B=True), "ResNet, 9 blocks, 64 channels, Photos in grey"),
        (Architecture(grey_A=True, grey_B=True), "ResNet, 9 blocks, 64 channels, grey pictures"),
        (
            Architecture(long_skip=True, resize_conv=True),
            "ResNet, 9 blocks, 64 channels, long skip (predicts a change of the picture), resize-convolution",
        ),
    ],
)
def test_an_architecture_is_told_with_what_is_unusual_about_it(architecture, words):
    assert architecture_words(architecture, "Drawings", "Photos") == words


@pytest.mark.parametrize(
    ("directions", "words"),
    [(("a2b", "b2a"), "both directions"), (("a2b",), "Apples to Oranges only"), (("b2a",), "Oranges to Apples only")],
)
def test_directions_are_told_by_the_domains_names(directions, words):
    assert directions_words(directions, "Apples", "Oranges") == words


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/trainings/Apples to Oranges/model.safetensors", "Apples to Oranges"),
        ("/trainings/Apples to Oranges/moments/step_00001250.safetensors", "Apples to Oranges, step 1,250"),
        ("/shared/step_00001250.safetensors", "step_00001250"),
        ("/shared/mine.safetensors", "mine"),
    ],
)
def test_a_model_file_is_called_after_its_training_and_moment(path, words):
    model = ModelInfo(
        path=Path(path),
        name_A="Apples",
        name_B="Oranges",
        size=64,
        architecture=Architecture(),
        preset="quick",
        steps=1250,
        date="2026-03-01",
    )
    assert model_file_words(model) == words
