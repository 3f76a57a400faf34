from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from engine import train
from engine.__main__ import main
from engine.cli.output import NOTHING_DONE, OK
from engine.config import TrainConfig
from engine.training.moments import model_file, read_moments
from engine.training.run import read_pictures


@pytest.fixture
def run(tiny_config: Callable[..., TrainConfig]) -> Path:
    config = tiny_config(max_steps=2)
    list(train(config))
    return config.run


def test_moments_are_listed_with_their_stars_and_models(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["film", str(run), "--star", "0"]) == OK
    told = capsys.readouterr()
    assert told.out.splitlines() == ["*         0", f"          2  {model_file(run, 2)}"]
    assert "Step 0 is starred; its samples are kept, its model is not there" in told.err
    assert main(["film", str(run), "--star", "2", "--unstar", "0", "--json"]) == OK
    told = capsys.readouterr()
    first, last = map(json.loads, told.out.splitlines())
    assert (first["is_starred"], last["is_starred"], last["model"], told.err) == (
        False,
        True,
        str(model_file(run, 2)),
        "",
    )
    assert main(["film", str(run), "--star", "1"]) == NOTHING_DONE
    assert "step 1 are not kept" in capsys.readouterr().err


def test_a_starred_moment_converts(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = str(run.parent / "A")
    assert (
        main(["convert", str(model_file(run, 2)), sources, "--to", str(tmp_path / "out"), "--direction", "a2b"]) == OK
    )
    assert len(list((tmp_path / "out").glob("*.png"))) == 6


def test_the_film_of_one_picture_is_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = tmp_path / "film.gif"
    command = ["film", str(run), "--to", str(film), "--speed", "4"]
    assert main([*command, "--picture", "000.png"]) == NOTHING_DONE
    assert "several pictures of that name" in capsys.readouterr().err
    assert main([*command, "--picture", "nothing.png"]) == NOTHING_DONE
    assert "000.png" in capsys.readouterr().err
    assert main([*command, "--picture", "000.png", "--direction", "b2a"]) == OK
    assert capsys.readouterr().out == f"2 moments in 2.2 s: {film}\n"
    with Image.open(film) as image:
        assert (image.n_frames, image.info["duration"]) == (2, 250)
    assert main([*command, "--json"]) == NOTHING_DONE
    assert "already there" in capsys.readouterr().err


def test_other_samples_are_chosen_and_the_truth_about_them_is_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = read_pictures(run).train_A[1]
    assert main(["film", str(run), "--samples-A", str(source)]) == OK
    assert "also trained on" in capsys.readouterr().err
    assert read_pictures(run).shown_A == (source,)
    assert len(read_moments(run)) == 2


def test_what_is_no_training_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["film", str(tmp_path)]) == NOTHING_DONE
    assert "holds no training" in capsys.readouterr().err
