from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.config import TrainConfig
from engine.device import ChosenPrecision
from engine.model import cyclegan
from engine.model.cyclegan import CycleGAN
from engine.model.finite import BadSteps, all_usable

CPU = torch.device("cpu")
INFINITY = float("inf")


def make_model(precision: ChosenPrecision = "fp32", **values: object) -> CycleGAN:
    small = {"size": 32, "load_size": 32, "blocks": 1, "channels": 4, "pool_size": 2}
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    return CycleGAN(TrainConfig(**{**places, **small, "seed": 5, **values}), CPU, precision)


def take_step(model: CycleGAN, number: int, *, spoilt: str = "") -> dict[str, Tensor]:
    count = model.config.batch_size * model.config.accumulate
    random = torch.Generator().manual_seed(number)
    real = torch.rand((2, count, 3, 32, 32), generator=random) * 2 - 1
    if spoilt:
        real["AB".index(spoilt), -1, 0, 3, 3] = INFINITY
    return model.step(real[0], real[1], first_number=count * number, learning_rate=2e-4, number=number)


def copied(model: CycleGAN) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state()[0].items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name, value in one.items() if not torch.equal(value, other[name])] == []


OPTIONS = [
    {},
    {"ema_decay": 0.9, "clip_gradient": 1.0, "gradient_penalty": 1.0, "spectral_norm": True, "diff_augment": True},
    {"norm": "batch", "batch_size": 2, "accumulate": 2, "ema_decay": 0.9, "dropout": True},
    {"generator": "unet", "halvings": 5, "norm": "batch", "gan_loss": "hinge"},
    {"preprocess": "none"},
]


@pytest.mark.parametrize("spoilt", ["A", "B"])
@pytest.mark.parametrize(
    ("values", "good_steps"),
    # With a pool that is still being filled, then with a full one.
    [({}, 1), *((values, 4) for values in OPTIONS)],
)
def test_a_batch_with_an_infinity_moves_nothing_and_the_next_step_is_as_if_it_had_not_been(
    values: dict[str, object], spoilt: str, good_steps: int
) -> None:
    spared, plain = make_model(**values), make_model(**values)
    for number in range(good_steps):
        for model in (spared, plain):
            take_step(model, number)
    before = copied(spared)
    take_step(spared, good_steps, spoilt=spoilt)
    assert_same(copied(spared), before)
    after_a_gap = good_steps + 1
    losses, expected = (take_step(model, after_a_gap) for model in (spared, plain))
    assert_same(losses, expected)
    assert_same(copied(spared), copied(plain))
    assert spared.bad_steps.take().tolist() == [1, 1]
    assert plain.bad_steps.take().tolist() == [0, 0]


@pytest.mark.parametrize("ill", ["G_AB", "G_BA", "D_A", "D_B"])
def test_gradients_of_one_network_alone_that_are_not_finite_hold_back_all_others(ill: str) -> None:
    model = make_model()
    take_step(model, 0)
    before = copied(model)
    parameter = next(model.networks[ill].parameters())
    handle = parameter.register_hook(lambda gradient: gradient * INFINITY)
    take_step(model, 1)
    assert_same(copied(model), before)
    handle.remove()
    take_step(model, 1)
    assert not torch.equal(copied(model)["D_A.model.0.weight"], before["D_A.model.0.weight"])


def test_a_loss_that_is_not_finite_holds_the_step_back_though_its_gradients_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make_model()
    take_step(model, 0)
    before = copied(model)
    real = cyclegan.cycle_loss
    monkeypatch.setattr(cyclegan, "cycle_loss", lambda a, b: real(a, b) + INFINITY)
    take_step(model, 1)
    assert_same(copied(model), before)


def test_an_overflow_that_a_lower_scale_of_fp16_answers_is_no_bad_step() -> None:
    model = make_model("fp16")
    model.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    before = copied(model)
    for number in range(4):
        take_step(model, number)
    for name, value in copied(model).items():
        if name in before:
            assert torch.equal(value, before[name])
    assert model.scaler.get_scale() == 2.0**96
    assert model.bad_steps.take().tolist() == [0, 0]
    model.scaler.update(new_scale=1024.0)
    take_step(model, 4)
    assert not torch.equal(copied(model)["G_AB.model.1.weight"], before["G_AB.model.1.weight"])


def test_in_fp16_what_no_scale_can_put_right_counts() -> None:
    model = make_model("fp16")
    for number in range(3):
        take_step(model, number, spoilt="A")
    assert model.bad_steps.take().tolist() == [3, 3]


def test_rows_of_bad_steps_are_counted_across_reports() -> None:
    counted = BadSteps(CPU)
    good, bad, never = torch.tensor(True), torch.tensor(False), torch.tensor(False)
    for is_good in (bad, good, bad, bad):
        counted.add(is_good, never)
    assert counted.take().tolist() == [3, 2]
    counted.add(bad, never)
    assert counted.take().tolist() == [1, 3]
    counted.add(good, never)
    counted.add(bad, is_excused=torch.tensor(True))
    assert counted.take().tolist() == [0, 0]


@pytest.mark.parametrize("value", [INFINITY, -INFINITY, float("nan"), 1e19, -1e19])
def test_one_gradient_that_is_of_no_use_is_found_among_many(value: float) -> None:
    tensors = [torch.rand(3, 4), torch.rand(5), torch.full((2, 2), 1e18)]
    assert all_usable(tensors)
    tensors[1][3] = value
    assert not all_usable(tensors)


def test_a_gradient_whose_square_is_infinite_leaves_no_weight_that_cannot_move() -> None:
    model = make_model()
    handle = next(model.D_A.parameters()).register_hook(lambda gradient: torch.full_like(gradient, 1e30))
    take_step(model, 0)
    assert model.bad_steps.take().tolist() == [1, 1]
    handle.remove()
    before = copied(model)
    take_step(model, 0)
    after = copied(model)
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert not torch.equal(after["D_A.model.0.weight"], before["D_A.model.0.weight"])
