from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from engine import config as config_module
from engine.config import PRESETS, TrainConfig, preset_config
from engine.errors import ConfigError
from engine.options import OPTIONS, Option

PLACES = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}

# What is asked for elsewhere: where the pictures are, and the few settings that everybody sees.
ELSEWHERE = {
    *("folder_A", "folder_B", "run", "test_A", "test_B", "left_out", "name_A", "name_B"),
    *("preset", "size", "epochs", "decay_epochs", "device"),
}


def test_every_setting_of_a_training_can_be_chosen() -> None:
    fields = [field.name for field in dataclasses.fields(TrainConfig)]
    assert sorted([option.field for option in OPTIONS] + sorted(ELSEWHERE)) == sorted(fields)


def test_groups_stay_together() -> None:
    groups = [option.group for option in OPTIONS]
    assert len(set(groups)) == sum(before != after for before, after in zip([None, *groups], groups, strict=False))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_an_explanation_is_one_line(option: Option) -> None:
    assert 10 <= len(option.explanation) <= 120
    assert option.explanation.endswith(".")
    assert not option.title.endswith(".")


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.kind == "choice"], ids=lambda option: option.field)
def test_the_choices_offered_are_those_that_exist(option: Option) -> None:
    hints = get_type_hints(TrainConfig, vars(config_module))
    assert tuple(value for value, _ in option.choices) == get_args(hints[option.field])


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.kind in ("int", "float")], ids=lambda option: option.field)
def test_every_preset_lies_within_the_limits_offered(option: Option) -> None:
    for preset in PRESETS:
        value = getattr(preset_config(preset, **PLACES), option.field)
        assert value is None if option.none and value is None else option.low <= value <= option.high


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.none], ids=lambda option: option.field)
def test_what_may_be_left_open_is_open_in_every_preset(option: Option) -> None:
    assert all(getattr(preset_config(preset, **PLACES), option.field) is None for preset in PRESETS)


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.kind == "bool"], ids=lambda option: option.field)
def test_both_states_of_a_switch_make_a_training(option: Option) -> None:
    for value in (False, True):
        assert getattr(TrainConfig(**PLACES, **{option.field: value}), option.field) is value


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.kind == "bool"], ids=lambda option: option.field)
def test_a_switch_is_nothing_but_on_or_off(option: Option) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**PLACES, **{option.field: "yes"})
    assert caught.value.field == option.field


def test_every_option_is_described_for_its_users() -> None:
    text = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
    missing = [o.flag for o in OPTIONS if f"{o.flag}`" not in text and f"{o.flag} " not in text]
    missing = [flag for flag in missing if f"--no-{flag[2:]}`" not in text]
    assert not missing


def test_every_preset_is_described_for_its_users() -> None:
    text = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
    assert not [name for name in PRESETS if f"| `{name}` |" not in text]
