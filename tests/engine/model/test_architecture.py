from __future__ import annotations

from typing import Any

import pytest

from engine.model.architecture import Architecture


@pytest.mark.parametrize(
    "values",
    [
        {"blocks": 0},
        {"blocks": 65},
        {"channels": 0},
        {"halvings": 4},
        {"halvings": 11},
        {"generator": "transformer"},
        {"norm": "layer"},
    ],
)
def test_what_no_generator_can_be_is_refused_before_memory_is_taken_for_it(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no generator"):
        Architecture(**values)


def test_sides_are_multiples_of_what_the_layers_halve() -> None:
    assert Architecture().multiple == 4
    assert Architecture(generator="unet", halvings=7).multiple == 128


def test_a_grey_domain_has_one_channel() -> None:
    architecture = Architecture(grey_A=True)
    assert (architecture.channels_of("A"), architecture.channels_of("B")) == (1, 3)
