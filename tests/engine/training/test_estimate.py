from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from filelock import FileLock

from engine.config import TrainConfig
from engine.data import workers
from engine.errors import ConfigError, DataError, RunError
from engine.events import Estimated, Preparing, TooLarge
from engine.remedies import Remedy
from engine.training import estimate as module
from engine.training.estimate import estimate, estimated
from engine.training.trial import REPORT_NAME, Facts, Measured, Refused

FACTS = Facts(
    device="CPU, 1 thread",
    precision="bf16",
    memory_free_bytes=8_000,
    steps_per_epoch=100,
    total_steps=1000,
    remedies=({"text": "Smaller", "changes": [["size", 32]], "begins_anew": False, "hint": ""},),
)
MEASURED = Measured(
    facts=FACTS,
    prepare=0.0,
    step=1.0,
    first_step=1.0,
    sizes={1: 1.0},
    samples=0.0,
    save=0.0,
    quality=0.0,
    memory_bytes=5_000,
)


def seconds(config: TrainConfig, **values: object) -> float:
    return estimated(config, dataclasses.replace(MEASURED, **values)).seconds  # type: ignore[arg-type]


def leftovers() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("cyclegan-estimate-*"))


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("scratch")))


def test_a_training_is_measured_and_nothing_of_it_is_left(
    tiny_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(epochs=1, decay_epochs=2)
    before = sorted(tmp_path.rglob("*"))
    *preparing, result = estimate(config)
    assert all(isinstance(event, Preparing) for event in preparing)
    assert isinstance(result, Estimated)
    assert result.total_steps == 18
    assert result.seconds > 18 * result.seconds_per_step > 0
    assert result.fits
    # A process that trains such networks takes some megabytes more than one that has only loaded torch.
    assert 1e6 < result.memory_bytes < 1e9
    assert sorted(tmp_path.rglob("*")) == before
    assert not leftovers()


def test_closing_it_ends_the_measurement_at_once(tiny_config: Callable[..., TrainConfig]) -> None:
    events = estimate(tiny_config(epochs=10**6))
    while not isinstance(event := next(events), Preparing) or "Measuring" not in event.text:
        pass
    next(events)
    assert leftovers()
    events.close()  # type: ignore[attr-defined]  # A million epochs would take days.
    assert not leftovers()


def test_what_a_killed_program_left_behind_is_swept_and_what_is_at_work_is_not(
    tiny_config: Callable[..., TrainConfig],
) -> None:
    killed, at_work, young = (Path(tempfile.mkdtemp(prefix="cyclegan-estimate-")) for _ in range(3))
    (killed / "run").mkdir()
    (killed / "run" / "checkpoint").write_bytes(b"much")
    with FileLock(at_work / ".lock"):
        for folder in (killed, at_work):
            os.utime(folder, (0, 0))
        events = estimate(tiny_config())
        while not isinstance(event := next(events), Preparing) or "Measuring" not in event.text:
            pass
        next(events)
        events.close()  # type: ignore[attr-defined]
        assert sorted(leftovers()) == sorted([at_work, young])


def test_steps_samples_checkpoints_and_the_first_reading_add_up(tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config(save_minutes=1.0)
    assert seconds(config) == pytest.approx(1000)
    assert seconds(config, prepare=30.0) == pytest.approx(1030)
    assert seconds(config, first_step=1.5) == pytest.approx(1050)
    # At the beginning and at the end, and once a minute.
    assert seconds(config, save=6.0) == pytest.approx(1000 + (2 + 16) * 6)
    # Drawn at most a twentieth of the time.
    assert seconds(config, samples=1.0) == pytest.approx(1050, rel=0.02)
    assert 1002 < seconds(config, quality=1.0) < 1060


def test_small_pictures_of_a_growing_training_take_less(tiny_config: Callable[..., TrainConfig]) -> None:
    grows = tiny_config(size=64, load_size=72, grow_from=32, epochs=5, decay_epochs=5)
    # The first quarter of its steps at half the size.
    assert seconds(grows, sizes={1: 1.0, 2: 0.4}) == pytest.approx(1000 * (0.25 * 0.4 + 0.75))


def test_a_cap_on_minutes_caps_the_estimate(tiny_config: Callable[..., TrainConfig]) -> None:
    assert seconds(tiny_config(max_minutes=1)) == 60


def test_what_needs_more_than_is_free_does_not_fit_and_has_remedies(tiny_config: Callable[..., TrainConfig]) -> None:
    result = estimated(tiny_config(), dataclasses.replace(MEASURED, memory_bytes=8_001))
    assert not result.fits
    assert result.remedies == (Remedy("Smaller", (("size", 32),)),)
    assert estimated(tiny_config(), MEASURED).fits


def test_folders_that_cannot_be_trained_are_refused_as_by_the_training(
    tiny_config: Callable[..., TrainConfig],
) -> None:
    config = tiny_config()
    for path in config.folder_A.iterdir():
        path.unlink()
    with pytest.raises(DataError) as caught:
        list(estimate(config))
    assert caught.value.field == "folder_A"


class FakeWorkers:
    """In place of a process: writes what is known before the first step, then meets with this."""

    fate: object = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __enter__(self) -> FakeWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, function: object, values: dict[str, object], folder: str) -> Future[object]:
        (Path(folder) / REPORT_NAME).write_text(json.dumps(dataclasses.asdict(FACTS)) + "\n", encoding="ascii")
        future: Future[object] = Future()
        if isinstance(self.fate, Exception):
            future.set_exception(self.fate)
        else:
            future.set_result(self.fate)
        return future


@pytest.fixture
def let(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    monkeypatch.setattr(module, "Workers", FakeWorkers)
    return lambda fate: monkeypatch.setattr(FakeWorkers, "fate", fate)


@pytest.mark.parametrize(
    "fate",
    [
        Refused("OutOfMemoryError", "There is not enough memory.", ""),
        workers.WorkerDiedError("Its process was ended by the signal SIGKILL."),
    ],
)
def test_memory_that_runs_out_is_an_answer(
    tiny_config: Callable[..., TrainConfig], let: Callable[[object], None], fate: object
) -> None:
    let(fate)
    *_, result = estimate(tiny_config())
    assert result == TooLarge(1000, "CPU, 1 thread", "bf16", 8_000, (Remedy("Smaller", (("size", 32),)),))


def test_a_process_that_crashes_is_told_from_one_that_ran_out(
    tiny_config: Callable[..., TrainConfig], let: Callable[[object], None]
) -> None:
    let(workers.WorkerDiedError("Its process ended with the code 3."))
    with pytest.raises(RunError, match="could not be measured"):
        list(estimate(tiny_config()))


def test_what_the_process_refuses_is_refused_here(
    tiny_config: Callable[..., TrainConfig], let: Callable[[object], None]
) -> None:
    let(Refused("ConfigError", "No such device.", "device"))
    with pytest.raises(ConfigError, match="No such device") as caught:
        list(estimate(tiny_config()))
    assert caught.value.field == "device"


def test_the_process_has_as_many_threads_as_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with workers.Workers(1, 60.0, one_thread=False) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "7"
    with workers.Workers(1, 60.0) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
