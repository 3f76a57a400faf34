"""`cyclegan train`, as a user types it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from engine.__main__ import main
from engine.config import TrainConfig
from engine.conversion.model_file import read_model_info
from engine.events import Alarm, DirectionQuality, HealthChecked, QualityMeasured
from engine.options import OPTIONS, Option
from engine.remedies import Remedy
from tests.engine.cli.conftest import TINY

_OTHER_VALUES = {"int": "7", "float": "0.25", "choice": None, "model": "MODEL"}

_VALID = {
    # Values that fit together with all others as they are.
    **{"load_size": "300", "width": "128", "grow_from": "128", "init_gain": "0.05", "beta1": "0.9"},
    **{"discriminator_layers": "4", "learning_rate": "0.001", "preprocess": "crop"},
}


def test_json_prints_one_event_a_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(root), "--run", str(tmp_path / "run"), "--max-steps", "1", "--json", *TINY]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    judged = ("Preparing", "QualityMeasured", "HealthChecked")
    assert [event["event"] for event in events if event["event"] not in judged] == [
        "TrainStarted",
        "Saved",
        "SamplesDrawn",
        "StepReport",
        "SamplesDrawn",
        "Saved",
        "TrainFinished",
    ]
    report = next(event for event in events if event["event"] == "StepReport")
    assert set(report["losses"]) >= {"G_AB", "idt_B"}
    assert all("original" not in json.dumps(event) for event in events)


def test_an_alarm_is_told_once_with_its_remedies(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slower = Remedy("Halve the learning rate", (("learning_rate", 0.1),))
    anew = Remedy("Begin anew with another seed", (("seed", 1),), begins_anew=True)
    one = Alarm("inverted", "Light and dark are swapped.", "Seen.", (slower, anew, Remedy("Add more pictures")))
    other = Alarm("collapsed", "It has collapsed.", "Seen, too.", ())
    events = iter([HealthChecked(1, (one,)), HealthChecked(2, (one, other)), HealthChecked(3, ())])
    monkeypatch.setattr("engine.cli.train.train", lambda config: events)
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *TINY]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "Light and dark are swapped. Seen. What may help: halve the learning rate (--resume with --learning-rate 0.1); "
        "begin anew with another seed (a new training with --seed 1); add more pictures.",
        "It has collapsed. Seen, too.",
    ]


def test_a_training_on_the_terminal_tells_its_scores(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = DirectionQuality("a2b", (1,), (70.0,), (189.0,), (20.0,), 0.1)
    back = dataclasses.replace(there, direction="b2a")
    scores = [QualityMeasured(8, 1.0, (there, back), True, best) for best in (8, 4)]
    monkeypatch.setattr("engine.cli.train.train", lambda config: iter(scores))
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *TINY]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"Quality at step 8: 70{best} (untranslated pictures 189; lower is nearer to real ones)."
        for best in ("", ", the best was at step 4")
    ]


def test_what_is_fastest_is_measured_again_where_a_training_that_goes_on_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def resume(run: Path, **given: object) -> Iterator[object]:
        asked.append(given["measure_again"])
        return iter(())

    monkeypatch.setattr("engine.cli.train.resume", resume)
    assert main(["train", "--resume", str(tmp_path), "--measure-again"]) == 0
    assert main(["train", "--resume", str(tmp_path)]) == 0
    assert asked == [True, False]


def test_resume_goes_on_to_a_larger_total(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(trained), "--max-steps", "4"]) == 0
    assert "Done at step 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--resume", "RUN", "--channels", "64"], "--channels cannot be changed"),
        (["--resume", "RUN", "--size", "33"], "no multiple of 4"),
        (["--resume", "RUN", "--more-epochs", "0"], "must be at least 1"),
        (["ROOT", "--run", "NEW", "--more-epochs", "5"], "give --resume"),
        (["ROOT", "--run", "NEW", "--measure-again"], "give --resume"),
        (["--resume", "RUN", "--preset", "quick"], "--preset cannot be changed"),
        (["--resume", "RUN", "--seed", "0"], "--seed cannot be changed"),
        (["--resume", "RUN", "--batch-size", "0"], "batch size"),
        (["ROOT", "--resume", "RUN"], "A B cannot be changed"),
        (["--resume", "NOWHERE"], "holds no training"),
        (["ROOT", "--run", "RUN"], "--resume"),
        (["ROOT", "--run", "NEW", "--size", "30"], "picture size"),
        (["ROOT", "--run", "NEW", "--device", "toaster"], "no device toaster"),
        (["NOWHERE", "--run", "NEW"], "trainA and trainB"),
        (["ROOT/trainA", "ROOT/trainA", "--run", "NEW"], "same folder"),
        (["ROOT/trainA", "TEXTS", "--run", "NEW"], "no picture"),
        (["ROOT/trainA", "ONE", "--run", "NEW"], "one picture"),
        (["ROOT/trainA", "ROOT/trainB", "--run", "ROOT/trainA/run"], "among the pictures"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence_and_code_2(
    arguments: list[str], sentence: str, trained: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "one" / "a.png")
    names = {"RUN": trained, "NEW": tmp_path / "new", "ROOT": root, "NOWHERE": tmp_path / "nowhere"}
    names |= {"TEXTS": tmp_path / "texts", "ONE": tmp_path / "one"}
    filled = []
    for argument in arguments:
        start, _, rest = argument.partition("/")
        filled.append(str(names[start] / rest) if start in names else argument)
    assert main(["train", *filled]) == 2
    complaint = capsys.readouterr().err
    assert sentence.lower() in complaint.lower()
    assert "Traceback" not in complaint


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_between_steps_saved_and_resumable(
    number: signal.Signals, root: Path, tmp_path: Path, tiny_config: Callable[..., object]
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "engine", "train", str(root), "--run", str(run), "--json", "--epochs", "100000"]
    with subprocess.Popen([*command, *TINY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line)["event"] == "StepReport":
                child.send_signal(number)
                break
        _, complaint = child.communicate(timeout=600)
    assert child.returncode == 130
    assert f'cyclegan train --resume "{run}"' in complaint
    assert "Traceback" not in complaint
    assert (run / "model.safetensors").exists()
    steps = int(max((run / "checkpoints").iterdir()).stem.removeprefix("step_"))
    assert main(["train", "--resume", str(run), "--max-steps", str(steps + 1)]) == 0


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_every_option_has_a_flag_that_reaches_the_training(
    option: Option, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[TrainConfig] = []
    monkeypatch.setattr("engine.cli.train.train", lambda config: iter(configs.append(config) or ()))
    monkeypatch.setattr("engine.cli.settings._settings_of_model", lambda model: {})
    assert main(["train", str(root), "--run", str(tmp_path / "run")]) == 0
    before = getattr(configs[0], option.field)
    if option.kind == "bool":
        flags = [option.flag.replace("--", "--no-", 1) if before else option.flag]
        expected: object = not before
    else:
        value = _VALID.get(option.field) or _OTHER_VALUES[option.kind] or option.choices[-1][0]
        flags = [option.flag, value]
        kinds = {"int": int, "float": float, "choice": str, "model": lambda text: Path(text).absolute()}
        expected = kinds[option.kind](value)
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *flags]) == 0
    assert before != getattr(configs[1], option.field) == expected


def test_a_training_that_starts_from_a_model_takes_its_networks(
    trained: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[TrainConfig] = []
    monkeypatch.setattr("engine.cli.train.train", lambda config: iter(configs.append(config) or ()))
    base = ["train", str(root), "--run", str(tmp_path / "next"), "--start-from", str(trained)]
    assert main(base) == 0
    story = read_model_info(trained)
    assert configs[0].architecture == story.architecture
    assert configs[0].size == story.size
    assert configs[0].start_from == trained
    assert main([*base, "--size", "64", "--channels", "4"]) == 0
    assert (configs[1].size, configs[1].channels, configs[1].blocks) == (64, 4, story.architecture.blocks)


def test_a_setting_that_makes_no_sense_is_named_with_its_flag(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--preset", "quick", "--preprocess", "none"]
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *flags]) == 2
    assert "set the batch size to 1" in (complaint := capsys.readouterr().err)
    assert "(The option is --batch-size.)" in complaint


def test_pictures_on_a_list_are_not_trained_on(root: Path, tmp_path: Path) -> None:
    out = root / "trainA" / "000.png"
    (tmp_path / "list.txt").write_text(f"{out}\n\n", encoding="utf-8")
    run = tmp_path / "run"
    listed = ["--leave-out", str(tmp_path / "list.txt")]
    assert (
        main(["train", str(root), "--run", str(run), "--names", "Reds", "Blues", "--max-steps", "1", *listed, *TINY])
        == 0
    )
    document = json.loads((run / "config.json").read_bytes())
    assert document["config"]["left_out"] == {"folder_A": ["000.png"]}
    assert "000.png" not in document["pictures"]["train_A"]


def test_a_list_that_is_not_there_is_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = ["--leave-out", str(tmp_path / "no-list.txt")]
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *listed, *TINY]) == 2
    assert "no-list.txt" in capsys.readouterr().err
