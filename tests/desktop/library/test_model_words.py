from __future__ import annotations

import pytest

from cyclegan_desktop.library.model_words import architecture_words, directions_words
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
