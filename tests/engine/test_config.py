from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from engine.config import PRESETS, ConvertJob, TrainConfig, preset_config, suggests_diff_augment
from engine.errors import ConfigError

PLACES = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 0),
        ("size", 30),
        ("size", 66),
        ("size", 64.0),
        ("size", True),
        ("load_size", 100),
        ("blocks", 0),
        ("channels", -1),
        ("epochs", -1),
        ("max_steps", 0),
        ("max_minutes", 0),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", "fast"),
        ("beta1", 1.0),
        ("lambda_A", -1),
        ("lambda_identity", float("inf")),
        ("pool_size", -1),
        ("precision", "fp8"),
        ("device", "toaster"),
        ("device", "cuda:x"),
        ("preset", ""),
        ("preset", "two\nlines"),
        ("preset", 7),
        ("seed", -1),
        ("save_minutes", 0),
        ("name_A", "  "),
        ("name_A", "B"),
        ("name_B", "one\ntwo"),
        ("width", 66),
        ("preprocess", "magic"),
        ("generator", "transformer"),
        ("halvings", 4),
        ("norm", "layer"),
        ("init", "zeros"),
        ("init_gain", 0),
        ("discriminator", "judge"),
        ("discriminator_layers", 7),
        ("discriminator_channels", 0),
        ("gan_loss", "wgan"),
        ("schedule", "triangle"),
        ("step_epochs", 0),
        ("accumulate", 0),
        ("gradient_penalty", -1),
        ("clip_gradient", 0),
        ("ema_decay", 1.0),
        ("grow_from", 100),
        ("grow_from", 256),
        ("flip", "no"),
        ("dropout", 1),
    ],
)
def test_nonsense_is_refused_with_a_sentence_beside_its_field(field: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**{**PLACES, field: value})
    expected = "name_B" if (field, value) == ("name_A", "B") else field
    assert caught.value.field == expected
    assert str(caught.value)[0].isupper() and str(caught.value).endswith(".")


def test_a_training_of_no_epochs_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to train"):
        TrainConfig(**PLACES, epochs=0, decay_epochs=0)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        (
            {"generator": "unet", "size": 128, "load_size": 143},
            "size",
            "multiple of 256, which 8 halvings need; take 256, or 7 halvings.",
        ),
        ({"generator": "unet", "resize_conv": True}, "resize_conv", "choose the ResNet generator"),
        ({"size": 32, "discriminator_layers": 4}, "discriminator_layers", "at least 48 px"),
        ({"grow_from": 16}, "grow_from", "at least 24 px, and this training begins with 16 px"),
        ({"grow_from": 64, "width": 264}, "grow_from", "no multiples of 4"),
        ({"grow_from": 64, "epochs": 0}, "grow_from", "set the epochs to 1 or more"),
        ({"preprocess": "none", "batch_size": 2}, "batch_size", "one at a time"),
        ({"preprocess": "none", "accumulate": 2}, "accumulate", "one at a time"),
        ({"preprocess": "scale_width", "grow_from": 64}, "grow_from", "cannot grow"),
        ({"preprocess": "scale_width_and_crop", "width": 512}, "load_size", "at least the picture width (512)"),
    ],
)
def test_settings_that_do_not_fit_together_name_the_one_to_change(
    values: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**PLACES, **values)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_u_net_leaves_out_what_a_preset_has_for_the_resnet() -> None:
    config = preset_config("quick", **PLACES, generator="unet", halvings=6)
    assert not config.resize_conv and config.long_skip
    with pytest.raises(ConfigError, match="choose the ResNet generator"):
        preset_config("quick", **PLACES, generator="unet", halvings=6, resize_conv=True)


def test_each_side_of_a_u_net_is_a_multiple_of_two_to_its_depth() -> None:
    config = TrainConfig(**PLACES, generator="unet", halvings=7, size=128, width=384, load_size=143)
    assert config.crop_size == (128, 384)
    assert config.architecture.multiple == 128


def test_the_presets_of_others_use_nothing_of_ours() -> None:
    ours = ("ema_decay", "clip_gradient", "diff_augment", "long_skip", "grow_from", "gradient_penalty")
    ours += ("spectral_norm", "resize_conv", "start_from", "accumulate", "jitter_in_decay")
    plain = {field.name: field.default for field in dataclasses.fields(TrainConfig) if field.name in ours}
    for preset in ("paper", "reference"):
        config = preset_config(preset, **PLACES)
        assert {name: getattr(config, name) for name in ours} == plain
    assert not plain["long_skip"] and plain["ema_decay"] == 0 and plain["jitter_in_decay"]


def test_settings_stored_before_an_option_existed_are_still_read() -> None:
    stored = TrainConfig(**PLACES).to_json()
    for field in ("generator", "ema_decay", "width", "start_from", "flip"):
        del stored[field]
    assert TrainConfig.from_json(stored) == TrainConfig(**PLACES)


def test_the_presets_are_what_their_names_promise() -> None:
    paper, reference = preset_config("paper", **PLACES), preset_config("reference", **PLACES)
    for config in (paper, reference):
        assert (config.size, config.load_size, config.blocks, config.channels, config.batch_size) == (
            256,
            286,
            9,
            64,
            1,
        )
        assert (config.epochs, config.decay_epochs, config.learning_rate, config.beta1) == (100, 100, 2e-4, 0.5)
        assert (config.lambda_A, config.lambda_B, config.pool_size) == (10, 10, 50)
        assert config.precision == "fp32" and not config.long_skip and not config.hold_out
    assert paper.lambda_identity == 0
    assert reference.lambda_identity == 0.5
    assert preset_config("standard", **PLACES).lambda_identity == 0.5
    assert preset_config("quick", **PLACES).long_skip


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_configuration_survives_json(preset: str) -> None:
    config = preset_config(preset, **PLACES, test_A=Path("t"), max_steps=7)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_pictures_left_out_are_stored_from_their_folders_and_follow_them_when_these_move() -> None:
    out = (Path("a/one.png"), Path("b/sub/two.png"), Path("t/three.png"), Path("elsewhere.png"))
    config = TrainConfig(**PLACES, test_A=Path("t"), left_out=out)
    assert config.left_out == tuple(path.absolute() for path in out)
    stored = json.loads(json.dumps(config.to_json()))
    assert stored["left_out"]["folder_B"] == ["sub/two.png"]
    assert TrainConfig.from_json(stored) == config
    moved = TrainConfig.from_json({**stored, "folder_B": "/moved"})
    assert moved.left_out[1] == Path("/moved/sub/two.png").absolute()


@pytest.mark.parametrize("left_out", [{"nowhere": ["x"]}, {"test_A": [1]}, {"folder_A": 3}, 5])
def test_damaged_lists_of_what_is_left_out_are_refused(left_out: object) -> None:
    with pytest.raises(ConfigError):
        TrainConfig.from_json({**TrainConfig(**PLACES).to_json(), "left_out": left_out})


def test_another_size_keeps_the_proportion_of_the_crops() -> None:
    assert preset_config("standard", **PLACES, size=128).load_size == 143
    assert preset_config("quick", **PLACES, size=128).load_size == 144


def test_unknown_settings_in_json_are_named() -> None:
    with pytest.raises(ConfigError, match="warp_drive"):
        TrainConfig.from_json({**preset_config("quick", **PLACES).to_json(), "warp_drive": 9})


@pytest.mark.parametrize(
    ("field", "value"),
    [("sources", ()), ("direction", "up"), ("format", "bmp2"), ("quality", 0), ("resize", 2), ("resize", "small")],
)
def test_a_nonsensical_job_is_refused_beside_its_field(field: str, value: object) -> None:
    job = {"model": Path("m"), "sources": (Path("s"),), "to": Path("t"), "direction": "a2b"}
    with pytest.raises(ConfigError) as caught:
        ConvertJob(**{**job, field: value})
    assert caught.value.field == field


def test_augmentation_is_suggested_to_standard_trainings_with_few_pictures_on_a_side() -> None:
    assert suggests_diff_augment("standard", is_on=False, count_A=499, count_B=10_000)
    assert suggests_diff_augment("standard", is_on=False, count_A=10_000, count_B=499)
    assert not suggests_diff_augment("standard", is_on=False, count_A=500, count_B=500)
    assert not suggests_diff_augment("standard", is_on=True, count_A=10, count_B=10)
    for preset in ("quick", "paper", "reference"):
        assert not suggests_diff_augment(preset, is_on=False, count_A=10, count_B=10)
