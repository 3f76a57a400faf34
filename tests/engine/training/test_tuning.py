"""What is fastest here is measured once, changes nothing, and stays with the training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
import torch

from engine.config import TrainConfig
from engine.events import Notice, Preparing, TrainStarted
from engine.model.cyclegan import CycleGAN
from engine.stopwatch import Stopwatch
from engine.training import preparing, tuning
from engine.training.preparing import choose, make_model
from engine.training.run import Choices, Run
from engine.training.trainer import resume, train
from engine.training.tuning import fastest, tuned

MakeConfig = Callable[..., TrainConfig]
ON_A_GPU = Choices(device="cuda:0", hardware="a GPU", precision="bf16", threads=1)


@pytest.fixture
def measures_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small trainings are measured too, with one thread and with two."""
    monkeypatch.setattr(tuning, "_LEAST_WORK", 0)
    monkeypatch.setattr(tuning, "_ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(tuning, "threads_to_try", lambda: (1, 2))
    monkeypatch.setattr(preparing, "compute_threads", lambda: 1)


@pytest.fixture
def last_is_fastest(measures_all: None, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Choices]]:
    """Measures nothing, and finds the last way the fastest; the ways asked about."""
    asked: list[Sequence[Choices]] = []

    def measured(
        ways: Sequence[Choices], _act: object, _clock: Stopwatch
    ) -> Generator[Preparing, None, dict[Choices, float]]:
        yield from ()
        asked.append(ways)
        return {way: float(len(ways) - place) for place, way in enumerate(ways)}

    monkeypatch.setattr(tuning, "_measured", measured)
    return asked


def result_of(measuring: Generator[Preparing, None, Choices]) -> tuple[Choices, list[Preparing]]:
    told = []
    while True:
        try:
            told.append(next(measuring))
        except StopIteration as end:
            assert isinstance(end.value, Choices)
            return end.value, told


def test_another_way_than_the_rule_must_be_clearly_faster() -> None:
    assert fastest({"rule": 1.0, "other": 0.95}) == "rule"
    assert fastest({"rule": 1.0, "other": 0.7}) == "other"
    assert fastest({"rule": 1.0, "other": 1.5}) == "rule"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"norm": "batch", "dropout": True, "spectral_norm": True, "ema_decay": 0.9},
        {"recompute": True, "grey_A": True},
        {"generator": "unet", "halvings": 5},
    ],
    ids=lambda values: ",".join(values) or "plain",
)
def test_measuring_leaves_everything_as_it_was(
    values: dict[str, object], measures_all: None, tiny_config: MakeConfig
) -> None:
    config = tiny_config(**values)
    choices = choose(config)
    model, untouched = make_model(config, choices), make_model(config, choices)
    before, random_before = model.state()[0], torch.get_rng_state()
    before = {name: value.clone() for name, value in before.items()}
    _, told = result_of(tuned(config, choices, model, Stopwatch()))
    if told:
        assert told[0] == Preparing(tuning.MEASURING)
    after = model.state()[0]
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), random_before)
    assert all(weight.grad is None for network in model.networks.values() for weight in network.parameters())
    assert not model.pool_A.pictures
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(one_step(model), one_step(untouched), strict=True))


def one_step(model: CycleGAN) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    sides = [
        torch.rand(1, 1 if grey else 3, 32, 32, generator=random) * 2 - 1
        for grey in (model.config.grey_A, model.config.grey_B)
    ]
    losses = model.step(*sides, first_number=0, learning_rate=1e-3, number=0)
    return [*losses.values(), *model.state()[0].values()]


def test_what_is_fastest_is_told_stored_and_kept(
    last_is_fastest: list[Sequence[Choices]], tiny_config: MakeConfig
) -> None:
    config = tiny_config(max_steps=2)
    events = list(train(config))
    started = next(event for event in events if isinstance(event, TrainStarted))
    assert started.device == "CPU, 2 threads"
    said = "It trains with 2 threads: measured here, that is faster than 1."
    assert any(isinstance(event, Notice) and said in event.text for event in events)
    assert [way.threads for way in last_is_fastest[0]] == [1, 2]
    torch.set_num_threads(1)
    events = list(resume(config.run, max_steps=4))
    assert len(last_is_fastest) == 1
    assert torch.get_num_threads() == 2
    assert not any(isinstance(event, Notice) for event in events)


def test_other_hardware_is_measured_anew(
    last_is_fastest: list[Sequence[Choices]], tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(max_steps=2)
    list(train(config))
    monkeypatch.setattr(preparing, "hardware_name", lambda _device: "another processor")
    list(resume(config.run, max_steps=4))
    assert len(last_is_fastest) == 2
    run = Run.open(config.run)
    run.close()
    assert (run.choices.hardware, run.choices.threads) == ("another processor", 2)


def test_a_training_of_before_goes_on_as_it_was(
    last_is_fastest: list[Sequence[Choices]], tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_LEAST_WORK", 10**9)
        config = tiny_config(max_steps=2)
        list(train(config))
    path = config.run / "config.json"
    document = json.loads(path.read_text("ascii"))
    del document["choices"]["batched"]
    path.write_text(json.dumps(document), "ascii")
    list(resume(config.run, max_steps=4))
    assert last_is_fastest == []
    assert torch.get_num_threads() == 1


def test_memory_that_runs_out_while_measuring_ends_no_training(
    measures_all: None, tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs_out(_model: CycleGAN, way: Choices) -> None:
        if way.threads == 2:
            raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(tuning, "_pass", runs_out)
    config = tiny_config(max_steps=1)
    assert type(list(train(config))[-1]).__name__ == "TrainFinished"
    assert torch.get_num_threads() == 1


def test_nothing_is_measured_where_it_cannot_matter(
    last_is_fastest: list[Sequence[Choices]], tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    list(train(tiny_config(max_steps=1, max_minutes=0.5)))
    monkeypatch.undo()
    list(train(tiny_config(max_steps=1, run=tmp_path / "small")))
    assert last_is_fastest == []


def test_only_one_process_on_a_processor_is_asked_about_threads(measures_all: None, tiny_config: MakeConfig) -> None:
    assert tuning._ways(tiny_config(), ON_A_GPU) == [ON_A_GPU]
    alone = dataclasses.replace(ON_A_GPU, device="cpu")
    assert [way.threads for way in tuning._ways(tiny_config(), alone)] == [1, 2]
    together = dataclasses.replace(alone, ranks=2)
    assert tuning._ways(tiny_config(), together) == [together]


def test_a_model_takes_batches_in_one_call_as_chosen(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    assert not make_model(config, choose(config)).batched
    assert make_model(config, dataclasses.replace(choose(config), batched=True)).batched


def test_a_gpu_takes_batches_in_one_call_by_rule(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "choose_device", lambda _name: torch.device("cuda", 0))
    monkeypatch.setattr(preparing, "hardware_name", lambda _device: "a GPU")
    assert choose(tiny_config(precision="bf16")).batched
    assert not choose(tiny_config(precision="bf16", norm="batch")).batched
