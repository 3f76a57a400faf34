from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import presets
from engine.__main__ import main
from engine.cli import estimate as estimate_command
from engine.config import TrainConfig, preset_config
from engine.events import Estimated, EstimateEvent, Preparing, TooLarge
from engine.presets import save_preset
from engine.remedies import Remedy

REMEDIES = (
    Remedy("Batches of 2 instead of 4", (("batch_size", 2), ("recompute", True)), hint="Slower."),
    Remedy("Pictures of 64 px", (("size", 64), ("grow_from", None)), hint="Coarser."),
)
FITTING = Estimated(0.5, 100, 7 * 3600.0, "CPU, 1 thread", "bf16", 3_400_000_000, 8_000_000_000, REMEDIES)
LARGE = Estimated(0.5, 100, 600.0, "CPU, 1 thread", "bf16", 9_000_000_000, 8_000_000_000, REMEDIES)
TOO_LARGE = TooLarge(100, "CPU, 1 thread", "fp32", 8_000_000_000, REMEDIES)


@pytest.fixture
def say_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[EstimateEvent], list[TrainConfig]]:
    """Has every training but the quick one measured as this, and tells which were."""

    def use(result: EstimateEvent) -> list[TrainConfig]:
        measured: list[TrainConfig] = []

        def estimate(config: TrainConfig) -> Iterator[EstimateEvent]:
            measured.append(config)
            yield Preparing("Measuring a few steps", 1, 20)
            yield (
                Estimated(0.1, 10, 1200.0, "CPU, 1 thread", "bf16", 400_000_000, 8_000_000_000)
                if (config.preset == "quick" and config.size == 64)
                else result
            )

        monkeypatch.setattr(estimate_command, "estimate", estimate)
        return measured

    return use


@pytest.mark.parametrize(("result", "code"), [(FITTING, 0), (LARGE, 1), (TOO_LARGE, 1)])
def test_the_exit_code_says_whether_it_fits(
    say_of: Callable[[EstimateEvent], list[TrainConfig]],
    folders: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    result: EstimateEvent,
    code: int,
) -> None:
    measured = say_of(result)
    assert main(["estimate", *map(str, folders), "--preset", "standard", "--size", "128"]) == code
    told = capsys.readouterr().out
    assert "The quick preset: about 20 min and 400 MB." in told
    assert [config.preset for config in measured] == ["standard", "quick"]
    assert measured[0].size == 128
    if result is FITTING:
        assert "About 7 h 0 min and 3.4 GB: 100 steps of 0.5 s on CPU, 1 thread in bf16." in told
        assert "It fits: 8.0 GB are free." in told
    else:
        assert "It does not fit" in told
        assert "--batch-size 2 --recompute  Batches of 2 instead of 4. Slower." in told
        assert "--size 64 (without --grow-from)  Pictures of 64 px. Coarser." in told


def test_quick_is_not_measured_beside_itself(
    say_of: Callable[[EstimateEvent], list[TrainConfig]], folders: tuple[Path, Path]
) -> None:
    measured = say_of(FITTING)
    assert main(["estimate", *map(str, folders), "--preset", "quick"]) == 0
    assert len(measured) == 1
    assert not measured[0].run.exists()


def test_a_phase_that_lasts_is_said_once(
    monkeypatch: pytest.MonkeyPatch, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    phases = [Preparing("Reading"), *[Preparing("Measuring", 1, 2)] * 3, Preparing("Measuring", 2, 2)]
    monkeypatch.setattr(estimate_command, "estimate", lambda config: (event for event in [*phases, FITTING]))
    assert main(["estimate", *map(str, folders), "--preset", "quick", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line.get("text"), line.get("done")) for line in lines] == [
        ("Preparing", "Reading", 0),
        ("Preparing", "Measuring", 1),
        ("Preparing", "Measuring", 2),
        ("Estimated", None, None),
    ]


def test_each_line_of_json_says_of_which_preset_it_is(
    say_of: Callable[[EstimateEvent], list[TrainConfig]], folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    say_of(LARGE)
    assert main(["estimate", *map(str, folders), "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["preset"]) for line in lines] == [
        ("Preparing", "standard"),
        ("Estimated", "standard"),
        ("Preparing", "quick"),
        ("Estimated", "quick"),
    ]
    assert (lines[1]["fits"], lines[3]["fits"]) == (False, True)
    assert lines[1]["memory_bytes"] == 9_000_000_000


def test_what_cannot_be_trained_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "A").mkdir()
    assert main(["estimate", str(tmp_path / "A"), str(tmp_path / "B")]) == 2
    assert "cyclegan: " in capsys.readouterr().err


def test_presets_of_ones_own_are_listed_and_trained_by_name(
    say_of: Callable[[EstimateEvent], list[TrainConfig]],
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (presets, estimate_command):
        monkeypatch.setattr(module, "default_presets_folder", lambda: tmp_path / "Presets")
    config = preset_config("quick", folder_A=folders[0], folder_B=folders[1], run=tmp_path / "run", epochs=7)
    own = save_preset(tmp_path / "Presets", "Oil on canvas", config, base="quick")
    (tmp_path / "Presets" / "bad.json").write_text("{")
    assert main(["presets"]) == 0
    told = capsys.readouterr()
    assert "your own:\n  Oil on canvas" in told.out
    assert told.out.index("by purpose:\n  quick") < told.out.index("to compare:\n  paper") < told.out.index("your own:")
    assert "bad.json" in told.err
    measured = say_of(FITTING)
    for name in ("Oil on canvas", str(own.file)):
        assert main(["estimate", *map(str, folders), "--preset", name]) == 0
    assert [config.epochs for config in measured if config.preset == "Oil on canvas"] == [7, 7]
    assert main(["estimate", *map(str, folders), "--preset", "Watercolours"]) == 2
    assert "no preset called Watercolours" in capsys.readouterr().err
