from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from engine import train
from engine.config import TrainConfig
from engine.errors import PictureError, RunError
from engine.events import Moment, SamplesDrawn, TrainStarted
from engine.training import moments
from engine.training.moments import (
    branch_config,
    choose_samples,
    has_room_for_a_model,
    model_file,
    read_moment_samples,
    read_moments,
    set_star,
    thin,
    thin_models,
    thin_run,
)
from engine.training.run import read_pictures
from engine.training.trainer import resume

MakeConfig = Callable[..., TrainConfig]


def _make_run(folder: Path, steps: list[int], models: list[int] = ()) -> Path:
    """What thinning looks at: names of files."""
    for part in ("samples", "moments"):
        (folder / part).mkdir(parents=True)
    for step in steps:
        for direction in ("a2b", "b2a"):
            (folder / "samples" / f"step_{step:08d}_{direction}.png").touch()
    for step in models:
        model_file(folder, step).touch()
    return folder


def _steps(found: tuple[Moment, ...]) -> list[int]:
    return [moment.step for moment in found]


def _with_models(found: tuple[Moment, ...]) -> list[int]:
    return [moment.step for moment in found if moment.model is not None]


def test_few_moments_are_all_kept() -> None:
    assert thin([0, 5, 9], (), 3) == frozenset()


def test_thinning_drops_no_more_than_it_must_and_never_the_first_the_newest_or_a_star() -> None:
    steps = list(range(0, 1000, 10))
    dropped = thin(steps, {110, 120, 130}, 20)
    left = [step for step in steps if step not in dropped]
    assert len(left) == 23
    assert {0, 110, 120, 130, 990} <= set(left)


def test_only_stars_and_the_ends_are_left_where_nothing_else_can_go() -> None:
    assert thin([0, 1, 2, 3, 4], {1, 2, 3}, 2) == frozenset()


@pytest.mark.parametrize("pace", [lambda n: 37 * n, lambda n: int(1.02**n * 50), lambda n: 3 * n * n])
def test_a_film_thinned_as_it_grows_is_even_over_the_root_of_the_steps(pace: Callable[[int], int]) -> None:
    left: list[int] = []
    for number in range(600):
        left.append(pace(number))
        dropped = thin(left, (), 60)
        left = [step for step in left if step not in dropped]
    assert len(left) == 60
    roots = np.sqrt(left)
    # No gap is more than a few times what it would be if all were equal, or than what was ever drawn.
    drawn = np.diff(np.sqrt([pace(number) for number in range(600)])).max()
    assert np.diff(roots).max() <= max(3 * roots[-1] / 59, 2 * drawn)
    assert sum(root <= roots[-1] / 2 for root in roots) >= 15


def test_thousands_of_moments_are_thinned_at_once_as_evenly() -> None:
    steps = list(range(0, 50_000, 10))
    dropped = thin(steps, (), 240)
    left = np.sqrt([step for step in steps if step not in dropped])
    assert len(left) == 240
    # The very first steps were never drawn more densely.
    assert np.diff(left)[1:].max() <= 3 * left[-1] / 239


def test_models_are_kept_of_the_first_starred_then_evenly_and_of_the_newest() -> None:
    steps = list(range(100, 3000, 100))
    dropped = thin_models(steps, [2500, 300, 77], 10)
    left = [step for step in steps if step not in dropped]
    assert len(left) == 10
    assert {300, 2500, 2900} <= set(left)
    assert max(np.diff([step for step in left if step not in (300, 2500)])) <= 3 * 2900 / 8


def test_of_too_many_starred_models_those_starred_first_stay() -> None:
    steps = list(range(10, 60, 10))
    assert thin_models(steps, [50, 30, 20], 2) == {10, 20, 40}
    # One more place: the newest.
    assert thin_models(steps, [40, 30], 3) == {10, 20}


def test_a_run_is_thinned_and_its_stars_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "MOST_MOMENTS", 5)
    monkeypatch.setattr(moments, "MOST_MODELS", 3)
    run = _make_run(tmp_path / "run", list(range(0, 200, 10)), models=list(range(10, 200, 10)))
    set_star(run, 60, True)
    left = thin_run(run, 190)
    assert left == read_moments(run)
    assert len(left) == 6 and {0, 60, 190} <= set(_steps(left))
    assert len(_with_models(left)) == 3 and {60, 190} <= set(_with_models(left))
    assert len(list((run / "samples").iterdir())) == 12
    assert len(list((run / "moments").iterdir())) == 3
    assert [moment.step for moment in left if moment.is_starred] == [60]


def test_moments_after_the_newest_step_go_unless_they_are_starred(tmp_path: Path) -> None:
    run = _make_run(tmp_path / "run", [0, 10, 20, 30, 40], models=[10, 30, 40])
    set_star(run, 40, True)
    left = thin_run(run, 20)
    assert _steps(left) == [0, 10, 20, 40]
    assert _with_models(left) == [10, 40]


def test_steps_of_any_length_are_put_in_order(tmp_path: Path) -> None:
    run = _make_run(tmp_path / "run", [123_456_789, 99_999_999, 5])
    (run / "samples" / "notes.txt").touch()
    (run / "samples" / ".step_00000007_a2b.png.part-0a1b2c3d").touch()
    assert _steps(read_moments(run)) == [5, 99_999_999, 123_456_789]
    assert read_moments(tmp_path / "nowhere") == ()


def test_a_star_comes_and_goes_and_keeps_its_order(tmp_path: Path) -> None:
    run = _make_run(tmp_path / "run", [0, 10, 20], models=[10])
    set_star(run, 20, True)
    found = set_star(run, 10, True)
    assert [moment.is_starred for moment in found] == [False, True, True]
    assert found[1].model == model_file(run, 10) and found[2].model is None
    set_star(run, 20, True)
    assert json.loads((run / "stars.json").read_bytes()) == {"steps": [20, 10]}
    assert [moment.is_starred for moment in set_star(run, 20, False)] == [False, True, False]


def test_a_moment_that_has_just_gone_cannot_be_starred_but_its_star_can_go(tmp_path: Path) -> None:
    run = _make_run(tmp_path / "run", [0, 10, 40])
    with pytest.raises(RunError, match=r"step 30 .* thinned away.* step 40"):
        set_star(run, 30, True)
    assert not (run / "stars.json").exists()
    (run / "stars.json").write_text('{"steps": [30]}')
    set_star(run, 30, False)
    assert json.loads((run / "stars.json").read_bytes()) == {"steps": []}
    with pytest.raises(RunError, match="no samples"):
        set_star(tmp_path, 30, True)


def test_nothing_is_deleted_while_somebody_stars_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "MOST_MOMENTS", 2)
    run = _make_run(tmp_path / "run", [0, 10, 20, 30])
    with FileLock(run / ".stars.lock"):
        assert _steps(thin_run(run, 30)) == [0, 10, 20, 30]
    assert _steps(thin_run(run, 30)) == [0, 30]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"steps": 3}', '{"steps": ["10"]}', '{"stars": [10]}', "\xff"])
def test_damaged_stars_delete_nothing_and_are_set_aside_at_the_next_star(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(moments, "MOST_MOMENTS", 2)
    run = _make_run(tmp_path / "run", [0, 10, 20, 30])
    for number in range(2):
        (run / "stars.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(RunError, match=r"stars\.json cannot be read"):
            thin_run(run, 30)
        assert [moment.is_starred for moment in read_moments(run)] == [False] * 4
        set_star(run, 10, True)
        assert len(list(run.glob("stars.damaged*.json"))) == number + 1
    assert {path.read_bytes() for path in run.glob("stars.damaged*.json")} == {text.encode("latin-1")}
    assert _steps(thin_run(run, 30)) == [0, 10, 30]


def test_where_stars_have_taken_all_places_no_more_models_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "MOST_MODELS", 2)
    run = _make_run(tmp_path / "run", [0, 10, 20], models=[10, 20])
    set_star(run, 10, True)
    set_star(run, 0, True)  # Has none that would take a place.
    assert has_room_for_a_model(run)
    set_star(run, 20, True)
    assert not has_room_for_a_model(run)


def test_a_training_tells_its_moments_and_each_gives_its_samples_back(tiny_config: MakeConfig) -> None:
    config = tiny_config()
    drawn = [event for event in train(config) if isinstance(event, SamplesDrawn)]
    assert drawn[-1].moments == read_moments(config.run)
    assert _steps(drawn[-1].moments) == [event.step for event in drawn]
    # The first step's networks have learnt nothing.
    assert drawn[0].moments[0].model is None and drawn[-1].moments[-1].model == model_file(config.run, drawn[-1].step)
    for event, moment in zip(drawn, drawn[-1].moments, strict=True):
        again = read_moment_samples(moment)
        assert [(s.direction, s.source) for s in again] == [(s.direction, s.source) for s in event.samples]
        assert all(np.array_equal(a.translated, b.translated) for a, b in zip(again, event.samples, strict=True))
        assert moment.files == event.files


def test_a_moment_without_one_of_its_sheets_gives_the_other(tiny_config: MakeConfig) -> None:
    config = tiny_config(max_steps=2)
    list(train(config))
    moment = read_moments(config.run)[-1]
    moment.files[0].write_bytes(b"\x89PNG\r\n\x1a\n")
    assert {sample.direction for sample in read_moment_samples(moment)} == {"b2a"}
    assert read_moment_samples(Moment(1, ())) == ()


def test_a_moment_of_the_first_release_shows_the_samples_of_its_run(tiny_config: MakeConfig) -> None:
    config = tiny_config(max_steps=2)
    list(train(config))
    moment = read_moments(config.run)[-1]
    told = read_moment_samples(moment)
    for path in moment.files:
        with Image.open(path) as image:
            image.info.clear()
            image.save(path)
    assert [sample.source for sample in read_moment_samples(moment)] == [sample.source for sample in told]


def _paused(config: TrainConfig) -> None:
    """A training that was stopped after its first samples."""
    events = train(config)
    for event in events:
        if isinstance(event, SamplesDrawn):
            break
    events.close()


def test_other_pictures_are_shown_from_a_resume_on_and_held_out_is_the_truth(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    config = tiny_config()
    _paused(config)
    elsewhere = tmp_path / "elsewhere.png"
    Image.new("RGB", (40, 40), "red").save(elsewhere)
    trained = config.folder_B / "000.png"
    before = read_pictures(config.run)
    assert choose_samples(config.run, [elsewhere], [config.folder_B / ".." / "B" / "000.png"]) == read_pictures(
        config.run
    )
    after = read_pictures(config.run)
    assert (after.shown_A, after.shown_B) == ((elsewhere,), (trained,))
    assert (after.sample_A, after.train_B) == (before.sample_A, before.train_B)
    assert not after.shows_held_out
    drawn = next(event for event in resume(config.run) if isinstance(event, SamplesDrawn))
    assert ([sample.source for sample in drawn.samples], drawn.held_out) == ([elsewhere, trained], False)
    assert [sample.source for sample in read_moment_samples(drawn.moments[-1])] == [elsewhere, trained]
    other = tmp_path / "other.png"
    Image.new("RGB", (40, 40), "blue").save(other)
    assert choose_samples(config.run, pictures_B=[other]).shows_held_out
    assert read_pictures(config.run).shown_A == (elsewhere,)


def test_chosen_pictures_that_have_gone_are_replaced_by_the_samples(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config()
    _paused(config)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "gone.png")
    choose_samples(config.run, [tmp_path / "gone.png"])
    (tmp_path / "gone.png").unlink()
    drawn = next(event for event in resume(config.run) if isinstance(event, SamplesDrawn))
    assert drawn.samples[0].source == read_pictures(config.run).sample_A[0]


def test_what_cannot_be_shown_changes_nothing(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config()
    _paused(config)
    before = read_pictures(config.run)
    (tmp_path / "no.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"no\.png"):
        choose_samples(config.run, [tmp_path / "no.png"])
    with pytest.raises(RunError, match="At most 4 pictures"):
        choose_samples(config.run, pictures_B=sorted(config.folder_B.iterdir()))
    events = resume(config.run)
    next(event for event in events if isinstance(event, TrainStarted))
    with pytest.raises(RunError, match="being trained"):
        choose_samples(config.run, sorted(config.folder_A.iterdir())[:1])
    events.close()
    assert read_pictures(config.run) == before


def test_a_branch_begins_with_the_networks_of_its_moment(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(max_steps=4, seed=7)
    list(train(config))
    branch = branch_config(config.run, 4, tmp_path / "branch")
    assert (branch.run, branch.start_from) == (tmp_path / "branch", model_file(config.run, 4))
    assert (branch.max_steps, branch.seed, branch.channels) == (None, 7, config.channels)
    first = next(event for event in train(branch) if isinstance(event, SamplesDrawn))
    last = read_moment_samples(read_moments(config.run)[-1])
    assert all(np.array_equal(a.translated, b.translated) for a, b in zip(first.samples, last, strict=True))
    with pytest.raises(RunError, match=r"step 0 is not kept .* steps 4;"):
        branch_config(config.run, 0, tmp_path / "other")
