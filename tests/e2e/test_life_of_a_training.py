"""A training in the app's own window, off-screen: paused without memory, gone on with, mended, and trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.usefixtures("needs_qt")


def test_a_training_waits_without_memory_takes_a_remedy_and_goes_on_for_more_epochs(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cyclegan_desktop.settings import Settings
    from cyclegan_desktop.start import build_app
    from engine.config import TrainConfig
    from engine.events import StepReport
    from engine.remedies import Remedy
    from engine.training import patches
    from engine.training.run import read_run_summary

    # Each of its sittings measures; how finely is not what is told here.
    monkeypatch.setattr(patches, "_PATCHES", 256)
    for side, name in enumerate("AB"):
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = np.random.default_rng((side, number)).integers(0, 255, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    settings = Settings.load(tmp_path / "settings.json")
    settings.runs_folder = tmp_path / "runs"
    settings.keep_awake = False
    app = build_app(settings)

    def finish(_window: object) -> None:
        app.close()
        app.conversion.close()
        app.library.close()

    qtbot.addWidget(app.window, before_close_func=finish)
    app.window.show()
    page = app.training._page
    run = tmp_path / "runs" / "short"
    config = TrainConfig(
        folder_A=tmp_path / "A", folder_B=tmp_path / "B", run=run, name_A="Reds", name_B="Blues", size=32,
        load_size=36, blocks=1, channels=4, epochs=100_000, decay_epochs=0, device="cpu", precision="fp32",
    )  # fmt: skip

    def until_report(act: Callable[[], object]) -> None:
        with qtbot.waitSignal(
            app.training.event, timeout=60_000, check_params_cb=lambda event: isinstance(event, StepReport)
        ):
            act()

    def until_ended(act: Callable[[], object]) -> str:
        with qtbot.waitSignal(app.training.ended, timeout=60_000) as ended:
            act()
        return str(ended.args[0])

    until_report(lambda: app.training.start(config))
    assert until_ended(page.free_requested.emit) == "stopped"
    assert app.window.windowTitle().startswith("Paused, memory freed: Reds and Blues")
    freed_at = read_run_summary(run).step

    until_report(page.continue_requested.emit)
    with qtbot.waitSignal(app.training.ended, timeout=60_000):
        page.remedy_chosen.emit(Remedy("Recompute activations", (("recompute", True),)))
    until_report(lambda: None)
    assert until_ended(app.training.stop) == "stopped"
    summary = read_run_summary(run)
    assert summary.step > freed_at
    assert summary.config.recompute
    assert not summary.was_interrupted

    until_report(lambda: app.training._go_on_with(more_epochs=5))
    assert until_ended(app.training.stop) == "stopped"
    assert read_run_summary(run).config.total_epochs == config.total_epochs + 5
