from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.config import TrainConfig
from engine.conversion.model_file import load_generator, load_networks
from engine.model.cyclegan import CycleGAN
from engine.training import moment_keeper
from engine.training.moment_keeper import MomentKeeper
from engine.training.moments import model_file, read_moments
from engine.training.run import Choices, Pictures, Run

CPU = torch.device("cpu")


class Kept:
    """A keeper whose training is at whatever step the test says."""

    def __init__(self, config: TrainConfig) -> None:
        choices = Choices(device="cpu", hardware="a processor", precision="fp32", threads=1)
        pictures = Pictures(train_A=(), train_B=(), sample_A=(), sample_B=(), held_out=False)
        self.run = Run.create(config, choices, pictures)
        self.model = CycleGAN(config, CPU)
        self.notes: list[str] = []
        self.errors: list[OSError] = []
        self.keeper = MomentKeeper(self.run, self.model, note=self.notes.append, note_disk=self.errors.append)

    def keep(self, step: int, *, is_last: bool = False) -> list[int]:
        """Steps that have a model afterwards."""
        self.run.sheet(step, "a2b").touch()
        return [m.step for m in self.keeper.keep(step, is_last=is_last) if m.model is not None]


@pytest.fixture
def kept(tiny_config: Callable[..., TrainConfig]) -> Kept:
    kept = Kept(tiny_config(ema_decay=0.5))
    yield kept
    kept.run.close()


def test_a_moment_keeps_all_four_networks_for_converting_and_for_training_on(kept: Kept) -> None:
    assert kept.keep(5) == [5]
    path = model_file(kept.run.folder, 5)
    tensors, info = load_networks(path)
    assert (info.steps, info.has_discriminators, info.directions) == (5, True, ("a2b", "b2a"))
    assert {name.partition(".")[0] for name in tensors} == {"G_AB", "G_BA", "D_A", "D_B"}
    generator, _ = load_generator(path, "b2a", CPU)
    for name, weight in kept.model.generators_for_use["b2a"].state_dict().items():
        assert torch.equal(generator.state_dict()[name], weight)


def test_models_take_a_twentieth_of_the_time_at_most_but_the_last_is_there(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(moment_keeper.time, "monotonic", lambda: now[0])
    real = moment_keeper.write_model

    def slow(*arguments: object, **values: object) -> None:
        real(*arguments, **values)
        now[0] += 3

    monkeypatch.setattr(moment_keeper, "write_model", slow)
    assert kept.keep(0) == []
    assert kept.keep(5) == [5]
    now[0] += 59
    assert kept.keep(6) == [5]
    # What is drawn anew is stored anew.
    model_file(kept.run.folder, 5).write_bytes(b"of before a crash")
    assert kept.keep(5) == [5]
    assert model_file(kept.run.folder, 5).stat().st_size > 100
    now[0] += 59
    assert kept.keep(7) == [5]
    assert kept.keep(8, is_last=True) == [5, 8]
    now[0] += 61
    assert kept.keep(9) == [5, 8, 9]


def test_a_full_disk_is_told_and_leaves_nothing_half(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("engine.tensor_file.write_atomically", full)
        assert kept.keep(5) == []
    assert [error.errno for error in kept.errors] == [28]
    assert kept.keep(6, is_last=True) == [6]


def test_networks_that_are_not_finite_are_not_kept(kept: Kept) -> None:
    with torch.no_grad():
        next(kept.model.D_A.parameters()).fill_(float("nan"))
    assert kept.keep(5) == []


def test_damaged_stars_are_told_once(kept: Kept) -> None:
    (kept.run.folder / "stars.json").write_text("?")
    kept.keep(5)
    kept.keep(6)
    assert len(kept.notes) == 1 and "stars.json" in kept.notes[0]
    assert len(read_moments(kept.run.folder)) == 2


def test_an_older_run_has_no_folder_of_moments_until_now(kept: Kept) -> None:
    assert not (kept.run.folder / "moments").exists()
    assert kept.keep(5) == [5]
    assert Path(kept.run.folder / "moments").is_dir()
