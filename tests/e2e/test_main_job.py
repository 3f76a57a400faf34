"""The main job in the app's own window, off-screen: train, stop, resume, convert both ways."""

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


def draw_pictures(folder: Path, hue: int) -> None:
    folder.mkdir(parents=True)
    for number in range(4):
        pixels = np.random.default_rng((hue, number)).integers(0, 120, (40, 48, 3), dtype=np.uint8)
        pixels[..., hue] += 120
        Image.fromarray(pixels).save(folder / f"{number}.png")


def wait_for(qtbot: QtBot, signal: object, act: Callable[[], object]) -> str:
    with qtbot.waitSignal(signal, timeout=60_000) as waited:
        act()
    return waited.args[0]


def test_two_folders_become_a_model_and_converted_folders(qtbot: QtBot, tmp_path: Path) -> None:
    from cyclegan_desktop.settings import Settings
    from cyclegan_desktop.start import build_app
    from engine.config import TrainConfig
    from engine.events import StepReport
    from engine.training.run import read_run_summary

    draw_pictures(tmp_path / "A", 0)
    draw_pictures(tmp_path / "B" / "sub", 2)
    settings = Settings.load(tmp_path / "settings.json")
    settings.runs_folder = tmp_path / "runs"
    app = build_app(settings)

    def finish(_window: object) -> None:
        app.conversion.close()
        app.library.close()

    # pytest-qt destroys its widgets before the test's own end.
    qtbot.addWidget(app.window, before_close_func=finish)
    app.window.show()
    config = TrainConfig(
        folder_A=tmp_path / "A", folder_B=tmp_path / "B", run=tmp_path / "runs" / "reds and blues",
        name_A="Reds", name_B="Blues", size=32, load_size=36, blocks=1, channels=4,
        epochs=500, device="cpu", precision="fp32",
    )  # fmt: skip

    def stop_at_first_report(event: object) -> None:
        if isinstance(event, StepReport):
            app.training.stop()

    app.training.event.connect(stop_at_first_report)
    for begin in (lambda: app.training.start(config), lambda: app.training.resume(config.run)):
        before = read_run_summary(config.run).step if config.run.exists() else 0
        assert wait_for(qtbot, app.training.ended, begin) == "stopped"
        assert read_run_summary(config.run).step > before
        assert not app.training.is_busy

    app.convert_with(config.run)
    for direction, folder, names in (("a2b", "A", "0.png"), ("b2a", "B", "sub/0.png")):
        app.conversion.clear()
        app.conversion.set_direction(direction)
        app.conversion.set_output_folder(tmp_path / direction)
        app.conversion.add_sources([tmp_path / folder])
        assert wait_for(qtbot, app.conversion.ended, app.conversion.start) == "done"
        with Image.open(tmp_path / direction / names) as picture:
            assert picture.size == (48, 40)
    assert config.run in settings.library
