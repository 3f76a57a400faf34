"""Each option of the training step against its definition."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.config import TrainConfig
from engine.device import ChosenPrecision
from engine.model.cyclegan import CycleGAN, LossTensors
from engine.model.diff_augment import diff_augment
from engine.model.losses import fooling_loss, gan_loss, gradient_penalty

CPU = torch.device("cpu")
RATE = 2e-4


def make_config(**values: object) -> TrainConfig:
    defaults: dict[str, object] = {"size": 32, "load_size": 32, "blocks": 1, "channels": 4, "pool_size": 0}
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    return TrainConfig(**{**places, **defaults, **values})


def make_model(**values: object) -> CycleGAN:
    return CycleGAN(make_config(**values), CPU, dtype=torch.float64)


def pictures(number: int = 0, count: int = 1, *, side: int = 32, channels: tuple[int, int] = (3, 3)) -> list[Tensor]:
    random = torch.Generator().manual_seed(number)
    return [torch.rand((count, c, side, side), generator=random, dtype=torch.float64) * 2 - 1 for c in channels]


def step(model: CycleGAN, batch: list[Tensor], *, number: int = 0, rate: float = RATE) -> LossTensors:
    real_A, real_B = batch
    return model.step(real_A, real_B, first_number=number * len(real_A), learning_rate=rate, number=number)


def gradients(model: CycleGAN, names: tuple[str, ...]) -> Tensor:
    """What the last step left, of several networks as one vector."""
    return torch.cat([p.grad.flatten() for name in names for p in model.networks[name].parameters()])


def moments(model: CycleGAN) -> dict[str, Tensor]:
    """Adam's running means of the gradients."""
    return {name: value.clone() for name, value in model.state()[0].items() if name.endswith("exp_avg")}


@pytest.mark.parametrize("kind", ["vanilla", "hinge"])
def test_the_chosen_adversarial_loss_is_used_on_both_sides(kind: str) -> None:
    model = make_model(gan_loss=kind)
    real_A, real_B = batch = pictures()
    fake_B = model.G_AB(real_A).detach()
    fooling = fooling_loss(model.D_B(fake_B), kind)
    judging = 0.5 * (
        gan_loss(model.D_B(real_B), real=True, kind=kind) + gan_loss(model.D_B(fake_B), real=False, kind=kind)
    )
    losses = step(model, batch)
    assert losses["G_AB"].item() == pytest.approx(fooling.item())
    assert losses["D_B"].item() == pytest.approx(judging.item())


def test_the_loss_of_a_discriminator_includes_the_weighted_gradient_penalty() -> None:
    with_it, without = make_model(gradient_penalty=7.0), make_model()
    real_A, real_B = batch = pictures()
    penalties = {
        name: gradient_penalty(with_it.networks[name], real).item() for name, real in (("D_A", real_A), ("D_B", real_B))
    }
    losses, plain = step(with_it, batch), step(without, batch)
    for name, penalty in penalties.items():
        assert penalty > 0
        assert (losses[name] - plain[name]).item() == pytest.approx(7 * penalty)
    assert losses["G_AB"] == plain["G_AB"]
    fresh = make_model().D_A
    by_hand = torch.autograd.grad(7 * gradient_penalty(fresh, real_A), list(fresh.parameters()), materialize_grads=True)
    difference = gradients(with_it, ("D_A",)) - gradients(without, ("D_A",))
    torch.testing.assert_close(difference, torch.cat([g.flatten() for g in by_hand]), atol=1e-12, rtol=1e-8)


def test_clipping_keeps_the_direction_and_bounds_the_norm_of_both_networks_together() -> None:
    free, clipped, loose = make_model(), make_model(clip_gradient=0.01), make_model(clip_gradient=1e6)
    for model in (free, clipped, loose):
        step(model, pictures())
    for names in (("G_AB", "G_BA"), ("D_A", "D_B")):
        whole, short = gradients(free, names), gradients(clipped, names)
        assert whole.norm() > 0.02
        torch.testing.assert_close(short, whole * (0.01 / whole.norm()), atol=1e-12, rtol=1e-4)
        assert torch.equal(gradients(loose, names), whole)


def test_gradients_that_are_zero_at_each_step_stay_so_though_others_are_no_numbers() -> None:
    model = make_model(clip_gradient=1.0)
    taken_away, *others = model.optimizer_G.param_groups[0]["params"]
    # As on a GPU, where a bias before a norm has none.
    zeros = model._zeros[taken_away] = taken_away.grad = torch.zeros_like(taken_away)
    for weight in others:
        weight.grad = torch.full_like(weight, torch.nan)
    model._descend(torch.tensor(False))
    assert not zeros.any()


@pytest.mark.parametrize("values", [{}, {"gradient_penalty": 10.0, "diff_augment": True, "gan_loss": "hinge"}])
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batches_taken_in_parts_are_one_large_batch(batch_size: int, values: dict[str, object]) -> None:
    """Also where the last part is smaller: 4 pictures in parts of 3."""
    whole = make_model(batch_size=4, pool_size=3, **values)
    parts = make_model(batch_size=batch_size, accumulate=4, pool_size=3, **values)
    for number in range(2):
        expected, losses = (step(model, pictures(number, 4), number=number, rate=0.0) for model in (whole, parts))
        for name, value in expected.items():
            assert losses[name].item() == pytest.approx(value.item(), rel=1e-12, abs=1e-15), name
    for name, value in moments(whole).items():
        torch.testing.assert_close(moments(parts)[name], value, atol=1e-12, rtol=0)
    for ours, theirs in ((parts.pool_A, whole.pool_A), (parts.pool_B, whole.pool_B)):
        torch.testing.assert_close(torch.cat(ours.pictures), torch.cat(theirs.pictures), atol=1e-12, rtol=0)


def test_the_averaged_generators_follow_the_trained_ones() -> None:
    model = make_model(ema_decay=0.4)
    expected = {name: p.detach().clone() for name, p in model.G_AB.named_parameters()}
    for number in range(7):
        step(model, pictures(number), number=number)
        # After n steps (1 + n) / (10 + n), until that is more than the decay: 2/11, 3/12, 4/13, 5/14, 6/15 = 0.4, 0.4.
        share = min(0.4, (number + 2) / (number + 11))
        for name, p in model.G_AB.named_parameters():
            expected[name] = share * expected[name] + (1 - share) * p.detach()
    assert model.ema_G_AB is not None
    for name, p in model.ema_G_AB.named_parameters():
        torch.testing.assert_close(p, expected[name], atol=1e-14, rtol=0)


def test_generators_for_use_are_the_averaged_ones_where_there_are_some_and_never_drop_anything() -> None:
    averaged, trained = make_model(ema_decay=0.9, dropout=True), make_model(dropout=True)
    assert averaged.generators_for_use == {"a2b": averaged.ema_G_AB, "b2a": averaged.ema_G_BA}
    assert trained.generators_for_use == {"a2b": trained.G_AB, "b2a": trained.G_BA}
    assert trained.ema_G_AB is None
    (x, _) = pictures()
    for model in (averaged, trained):
        generator = model.generators_for_use["a2b"]
        assert torch.equal(generator(x), generator(x))
        step(model, pictures())
        assert model.G_AB.training and model.G_BA.training
        assert not averaged.ema_G_AB.training


def test_dropout_is_decided_by_the_number_of_the_picture_and_leaves_torchs_own_randomness_alone() -> None:
    def losses(number: int, state: int) -> list[float]:
        model = make_model(dropout=True)
        real_A, real_B = pictures()
        torch.manual_seed(state)
        before = torch.get_rng_state()
        taken = model.step(real_A, real_B, first_number=number, learning_rate=RATE, number=0)
        assert torch.equal(torch.get_rng_state(), before)
        return [value.item() for value in taken.values()]

    assert losses(3, 0) == losses(3, 1)
    assert losses(3, 0) != losses(4, 0)


def test_discriminators_see_every_picture_changed_in_the_same_way_and_cycles_see_none() -> None:
    model, plain = make_model(diff_augment=True, seed=5), make_model(seed=5)
    real_A, real_B = pictures(count=1)
    fake_B = model.G_AB(real_A).detach()
    shown, real = (diff_augment(x, 5, 40) for x in (fake_B, real_B))
    fooling = fooling_loss(model.D_B(shown))
    judging = 0.5 * (gan_loss(model.D_B(real), real=True) + gan_loss(model.D_B(shown), real=False))
    losses, without = (m.step(real_A, real_B, first_number=40, learning_rate=RATE, number=40) for m in (model, plain))
    assert losses["G_AB"].item() == pytest.approx(fooling.item())
    assert losses["D_B"].item() == pytest.approx(judging.item())
    for name in ("cycle_A", "cycle_B", "idt_A", "idt_B"):
        assert losses[name] == without[name]
    assert losses["G_AB"] != without["G_AB"]


def test_grey_and_coloured_domains_train_without_an_identity_loss() -> None:
    model = make_model(grey_A=True, diff_augment=True, pool_size=2)
    losses = step(model, pictures(channels=(1, 3)))
    assert losses["idt_A"] == losses["idt_B"] == 0
    assert losses["cycle_A"] > 0 and losses["cycle_B"] > 0
    assert model.pool_A.pictures[0].shape[1] == 1 and model.pool_B.pictures[0].shape[1] == 3
    both = make_model(grey_A=True, grey_B=True)
    assert step(both, pictures(channels=(1, 1)))["idt_A"] > 0


def test_a_training_that_grows_begins_its_pools_anew() -> None:
    model = make_model(size=64, load_size=64, grow_from=32, pool_size=4)
    for number, side in enumerate((32, 32, 64)):
        step(model, pictures(number, side=side), number=number)
    assert [p.shape[-1] for p in model.pool_A.pictures] == [64]


def test_whole_pictures_of_many_sizes_share_a_pool_and_a_checkpoint() -> None:
    config: dict[str, object] = {"preprocess": "none", "pool_size": 3}
    model, resumed = make_model(**config), make_model(**config)
    for number, side in enumerate((32, 40, 32, 48)):
        step(model, pictures(number, side=side), number=number)
    assert len({p.shape for p in model.pool_A.pictures}) > 1
    resumed.load_state(*model.state())
    for ours, theirs in zip(resumed.pool_A.pictures, model.pool_A.pictures, strict=True):
        assert torch.equal(ours, theirs)
    batch = pictures(9, side=36)
    assert step(resumed, batch, number=4) == step(model, batch, number=4)


def test_spectral_norm_keeps_every_layer_of_a_discriminator_from_stretching() -> None:
    model = make_model(spectral_norm=True)
    for number in range(10):
        step(model, pictures(number), number=number, rate=1e-3)
    for layer in model.D_A.modules():
        if isinstance(layer, torch.nn.Conv2d):
            largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
            assert largest == pytest.approx(1, abs=0.05)


EVERYTHING: dict[str, object] = {
    "gan_loss": "hinge",
    "gradient_penalty": 10.0,
    "clip_gradient": 1.0,
    "diff_augment": True,
    "ema_decay": 0.9,
    "accumulate": 2,
    "dropout": True,
    "norm": "batch",
    "spectral_norm": True,
    "pool_size": 3,
}


@pytest.mark.parametrize(
    "values", [EVERYTHING, EVERYTHING | {"generator": "unet", "halvings": 5}], ids=["resnet", "unet"]
)
def test_with_all_options_a_restored_state_continues_exactly(values: dict[str, object]) -> None:
    def steps(model: CycleGAN, numbers: range) -> list[float]:
        return [
            value.item()
            for number in numbers
            for value in step(model, [x.float() for x in pictures(number, 2)], number=number).values()
        ]

    whole, first, second = (CycleGAN(make_config(**values), CPU) for _ in range(3))
    expected = steps(whole, range(6))
    begun = steps(first, range(3))
    _ = first.generators_for_use
    tensors, scaler = first.state()
    second.load_state({name: value.clone() for name, value in tensors.items()}, scaler)
    assert begun + steps(second, range(3, 6)) == expected
    ours, theirs = second.state()[0], whole.state()[0]
    assert ours.keys() == theirs.keys() and any(name.startswith("ema_G_AB.") for name in ours)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_state_stored_with_its_pools_in_one_tensor_is_taken_up() -> None:
    model, resumed = make_model(pool_size=4), make_model(pool_size=4)
    for number in range(3):
        step(model, pictures(number), number=number)
    tensors, scaler = model.state()
    for name, pool in (("pool_A", model.pool_A), ("pool_B", model.pool_B)):
        tensors = {key: value for key, value in tensors.items() if not key.startswith(f"{name}.")}
        tensors[name] = torch.cat(pool.pictures)
    resumed.load_state(tensors, scaler)
    assert step(resumed, pictures(3), number=3) == step(model, pictures(3), number=3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_with_all_options_half_precision_keeps_losses_and_weights_in_fp32(precision: ChosenPrecision) -> None:
    model = CycleGAN(make_config(**EVERYTHING), CPU, precision)
    before = {name: p.detach().clone() for name, p in model.G_AB.named_parameters()}
    for number in range(4):
        losses = step(model, [x.float() for x in pictures(number, 2)], number=number)
        assert all(value.isfinite() and value.dtype == torch.float32 for value in losses.values())
    assert model.is_finite()
    assert {p.dtype for network in model.networks.values() for p in network.parameters()} == {torch.float32}
    assert any(not torch.equal(p, before[name]) for name, p in model.G_AB.named_parameters())


def test_fine_tuning_begins_with_the_stored_networks_and_their_average() -> None:
    trained = make_model(seed=1)
    step(trained, pictures())
    tensors = {
        f"{name}.{key}": value.half()
        for name, network in trained.networks.items()
        for key, value in network.state_dict().items()
    }
    model = make_model(seed=2, ema_decay=0.9)
    model.start_from(tensors)
    for name, network in model.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, tensors[f"{name}.{key}"].double())
    for key, value in model.ema_G_BA.state_dict().items():
        assert torch.equal(value, tensors[f"G_BA.{key}"].double())
    step(model, pictures())


def test_fine_tuning_without_stored_discriminators_begins_with_new_ones() -> None:
    trained, model = make_model(seed=1), make_model(seed=2)
    before = {key: value.clone() for key, value in model.D_A.state_dict().items()}
    model.start_from(
        {f"{name}.{key}": v for name in ("G_AB", "G_BA") for key, v in trained.networks[name].state_dict().items()}
    )
    assert all(torch.equal(value, before[key]) for key, value in model.D_A.state_dict().items())
    assert torch.equal(model.G_AB.model[1].weight, trained.G_AB.model[1].weight)


ALL = ("G_AB", "G_BA", "D_A", "D_B")


@pytest.mark.parametrize(
    ("saving", "values"),
    [
        ({"recompute": True}, {}),
        ({"recompute": True}, {"dropout": True, "norm": "batch", "batch_size": 2, "accumulate": 2, "ema_decay": 0.9}),
        ({"per_direction": True}, {"pool_size": 2}),
        ({"per_direction": True}, {"lambda_identity": 0.0, "batch_size": 2, "accumulate": 2, "diff_augment": True}),
        ({"per_direction": True}, {"generator": "unet", "halvings": 5}),
        ({"recompute": True, "per_direction": True}, {"clip_gradient": 0.1, "spectral_norm": True}),
    ],
)
def test_what_saves_memory_changes_no_gradient(saving: dict[str, bool], values: dict[str, object]) -> None:
    plain, sparing = make_model(blocks=2, **values), make_model(blocks=2, **values, **saving)
    count = plain.config.batch_size * plain.config.accumulate
    for number in range(2):
        expected, losses = (step(model, pictures(number, count), number=number) for model in (plain, sparing))
        for name, value in expected.items():
            assert losses[name].item() == pytest.approx(value.item(), rel=1e-12), name
        theirs, ours = gradients(plain, ALL), gradients(sparing, ALL)
        assert (ours - theirs).norm() <= 1e-12 * theirs.norm() * (1 if number == 0 else 1e3)
    for name, value in plain.state()[0].items():
        # Adam divides gradients that are rounding noise (of biases before a norm) by themselves.
        if not name.endswith("bias") and name.partition(".")[0] not in ("optimizer_G", "optimizer_D"):
            torch.testing.assert_close(sparing.state()[0][name], value, atol=1e-9, rtol=0, msg=name)


def test_recomputing_remembers_less_for_the_backward_pass() -> None:
    def remembered(model: CycleGAN) -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            model.G_AB(pictures()[0])
        return sum(sizes)

    assert remembered(make_model(blocks=6, recompute=True)) < 0.6 * remembered(make_model(blocks=6))


def test_the_rate_of_the_discriminators_is_a_multiple_of_the_rate() -> None:
    plain, slower = make_model(), make_model(discriminator_rate=0.25)
    before = {name: value.clone() for name, value in plain.state()[0].items()}
    for model in (plain, slower):
        step(model, pictures())
    for name in ("G_AB.model.1.weight", "D_A.model.0.weight"):
        moved, moved_less = (model.state()[0][name] - before[name] for model in (plain, slower))
        share = 0.25 if name.startswith("D") else 1.0
        torch.testing.assert_close(moved_less, share * moved, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"lambda_identity": 0.0, "pool_size": 2},
        {"batch_size": 2, "accumulate": 2, "diff_augment": True},
        {"gradient_penalty": 10.0, "gan_loss": "hinge"},
        {"generator": "unet", "halvings": 5, "norm": "none"},
    ],
    ids=lambda values: ",".join(values) or "plain",
)
def test_two_batches_in_one_call_change_no_number(values: dict[str, object]) -> None:
    config = make_config(**values)
    single, batched = (CycleGAN(config, CPU, dtype=torch.float64, batched=on) for on in (False, True))
    calls: Counter[CycleGAN] = Counter()
    for model in (single, batched):
        for network in model.networks.values():
            network.register_forward_hook(lambda *_, model=model: calls.update([model]))
    for number in range(2):
        batch = pictures(number, config.batch_size * config.accumulate)
        expected, losses = (step(model, batch, number=number) for model in (single, batched))
        for name, value in expected.items():
            assert losses[name].item() == pytest.approx(value.item(), rel=1e-12), name
        theirs, ours = gradients(single, ALL), gradients(batched, ALL)
        assert (ours - theirs).norm() <= 1e-12 * theirs.norm() * (1 if number == 0 else 1e3)
    for name, value in single.state()[0].items():
        # Adam divides gradients that are rounding noise (of biases before a norm) by themselves.
        if not name.endswith("bias") and name.partition(".")[0] not in ("optimizer_G", "optimizer_D"):
            torch.testing.assert_close(batched.state()[0][name], value, atol=1e-9, rtol=0, msg=name)
    assert calls[batched] < calls[single]


def test_two_batches_in_one_call_have_the_same_losses_and_gradients_in_32_bits() -> None:
    single, batched = (CycleGAN(make_config(), CPU, batched=on) for on in (False, True))
    batch = [picture.float() for picture in pictures()]
    expected, losses = (step(model, batch, rate=0.0) for model in (single, batched))
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-5), name
    for name, network in single.networks.items():
        for weight, other in zip(network.parameters(), batched.networks[name].parameters(), strict=True):
            # What instance norm takes away again, a bias, has gradients that are rounding noise.
            if weight.ndim > 1:
                assert (weight.grad - other.grad).norm() <= 1e-5 * weight.grad.norm(), name


@pytest.mark.parametrize(
    "values",
    [{"norm": "batch"}, {"dropout": True}, {"spectral_norm": True}, {"per_direction": True}, {"recompute": True}],
    ids=str,
)
def test_what_depends_on_the_call_or_saves_memory_is_never_batched(values: dict[str, object]) -> None:
    assert not CycleGAN(make_config(**values), CPU, batched=True).batched


def test_batches_of_two_shapes_take_two_calls() -> None:
    model = CycleGAN(make_config(preprocess="none", pool_size=1), CPU, dtype=torch.float64, batched=True)
    single = CycleGAN(make_config(preprocess="none", pool_size=1), CPU, dtype=torch.float64)
    for number, side in enumerate((32, 40)):
        batch = [pictures(number)[0], pictures(number, side=side)[1]]
        losses, expected = step(model, batch, number=number), step(single, batch, number=number)
        for name, value in expected.items():
            assert losses[name].item() == pytest.approx(value.item(), rel=1e-12), name
