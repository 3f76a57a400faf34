"""Draws the sample pictures that come with the app: landscapes in summer (A) and in winter (B).

    python resources/draw_sample.py [--to FOLDER]

Every picture is a landscape of its own, so that no picture of one domain has a counterpart in the other, but both
domains are made of the same shapes: what differs is colour and texture, which a short training can learn. The same
command always draws the same pictures.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Season = Literal["summer", "winter"]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Kind: TypeAlias = Literal["conifer", "tree", "poplar", "bush", "cottage", "fence"]
Point: TypeAlias = tuple[float, float]
T = TypeVar("T")

PICTURE_SIDE = 128
"""Side of the finished pictures, in pixels."""
SIDE = 4 * PICTURE_SIDE
"""Side of the canvas, in pixels. All lengths below are in these; scaling down smooths every edge."""
JPEG_QUALITY = 90

FOLDERS: dict[str, tuple[Season, int, int]] = {
    # folder: season, number of pictures, seed of the first one
    "trainA": ("summer", 100, 1_000),
    "trainB": ("winter", 100, 2_000),
    "testA": ("summer", 20, 3_000),
    "testB": ("winter", 20, 4_000),
}


# What a season looks like -----------------------------------------------------------------------------------------


def rgb(hex_colour: str) -> Floats:
    """A colour such as "#2f7de1" as [3] in 0..255."""
    return np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Mood:
    """The light of one moment: colours as "#rrggbb".

    Attributes:
        sky: At the top, half way down, and at the horizon.
        cloud: Lit side and shaded side of clouds.
        sun: The sun and its glow.
        haze: What distant things fade into.
        light: What the whole picture is multiplied by.
        sun_height: Height of the sun above the horizon, as a part of the sky.
    """

    sky: tuple[str, str, str]
    cloud: tuple[str, str]
    sun: str
    haze: str
    light: str
    sun_height: float


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one season as "#rrggbb"; pairs are (dark, light).

    Attributes:
        moods: The lights it is seen in.
        mountain: Rock, or snow on rock.
        hill: Distant slopes.
        fields: Patches of land on the hills.
        meadow: The ground nearby.
        grass: Blades and drifts on the ground nearby.
        flowers: Spots among the grass.
        conifers: Needles, and what lies on top of them.
        crowns: Leaves, or frost on bare branches.
        crown_density: How much of a crown hides its branches, 0..1.
        bark: Trunks and branches.
        water: What the reflection is mixed with.
        water_cover: How much it is mixed, 0 (a mirror) to 1.
        path: Trodden ground.
        roofs: Tiles, or the snow on them.
        walls: Plaster and wood.
        window: Panes.
        window_glow: How far light falls out of them, 0..1.
        timber: Doors, fences, beams.
        topping: What lies on the upper edge of fences and chimneys, if anything does.
    """

    moods: tuple[Mood, ...]
    mountain: tuple[str, str]
    hill: tuple[str, str]
    fields: tuple[str, ...]
    meadow: tuple[str, str]
    grass: tuple[str, ...]
    flowers: tuple[str, ...]
    conifers: tuple[tuple[str, str], ...]
    crowns: tuple[tuple[str, str], ...]
    crown_density: float
    bark: tuple[str, str]
    water: str
    water_cover: float
    path: tuple[str, str]
    roofs: tuple[tuple[str, str], ...]
    walls: tuple[str, ...]
    window: str
    window_glow: float
    timber: tuple[str, str]
    topping: str | None


PALETTES: dict[Season, Palette] = {
    "summer": Palette(
        moods=(
            Mood(("#2f78d0", "#6aabe8", "#c3e2f5"), ("#a9c3dc", "#ffffff"), "#fff6d2", "#a9cbe0", "#fffaf0", 0.80),
            Mood(("#3a86d6", "#7fbdee", "#f3ecc9"), ("#c9cfd6", "#fffdf4"), "#fff0b4", "#c3d6d0", "#fff6e0", 0.55),
            Mood(("#2a6cc4", "#5c9fe2", "#add5f2"), ("#9db8d4", "#ffffff"), "#fffbe6", "#9cc3de", "#ffffff", 0.84),
        ),
        mountain=("#4f6d86", "#8fa7b0"),
        hill=("#3f7a3a", "#86b548"),
        fields=("#5f9a3c", "#9cc04a", "#d9c452", "#77ab45", "#b9c95a"),
        meadow=("#3f8a2c", "#93c83f"),
        grass=("#2f7424", "#58a033", "#a3d24a", "#7fbb3c", "#c5dc62"),
        flowers=("#e8402f", "#ffd83a", "#ffffff", "#d65bb0", "#f58a24"),
        conifers=(("#123f25", "#3f7d3a"), ("#1a4a2b", "#53904a")),
        crowns=(("#1f5a1c", "#8cc23d"), ("#2a6a24", "#a9d04a"), ("#24602f", "#72b348")),
        crown_density=1.0,
        bark=("#3e2a1c", "#7a5a3c"),
        water="#2f7fc0",
        water_cover=0.30,
        path=("#b08d5a", "#dcc290"),
        roofs=(("#8e3420", "#cf5f3c"), ("#7a3026", "#b84a36"), ("#8a4a28", "#c97c48")),
        walls=("#f3e6cc", "#e9c98c", "#b5442f", "#d9b48a"),
        window="#35506a",
        window_glow=0.0,
        timber=("#4e3420", "#8a6238"),
        topping=None,
    ),
    "winter": Palette(
        moods=(
            Mood(("#86a9d2", "#b3cbe2", "#e4ebee"), ("#b4c0ce", "#f2f4f6"), "#fff8e4", "#d3dde8", "#f2f6ff", 0.30),
            Mood(("#9fb0d0", "#e0c9d6", "#ffd9c4"), ("#b3a6c2", "#ffe6e0"), "#fff0d0", "#dccbdc", "#fff2f2", 0.14),
            Mood(("#93a3b6", "#b4c0cc", "#d6dde3"), ("#8f9db0", "#e2e6ea"), "#ffffff", "#d8dee4", "#f4f7fa", 0.40),
        ),
        mountain=("#8a9fbc", "#eef3f8"),
        hill=("#9fb4d0", "#f4f7fb"),
        fields=("#dfe7f0", "#eef2f7", "#cfdbe8", "#e6ecf3", "#d8e1ec"),
        meadow=("#bccfe6", "#ffffff"),
        grass=("#dde6f1", "#ffffff", "#eef3f8", "#c3d3e7", "#f8fafc"),
        flowers=("#d3c8b6", "#c2b6a2", "#b4cae6", "#ffffff", "#ffffff"),
        conifers=(("#2f4a58", "#eaf1f7"), ("#3a5260", "#f4f8fb")),
        crowns=(("#7e90ac", "#f4f8fc"), ("#8595b0", "#ffffff"), ("#8a95a8", "#e8eff7")),
        crown_density=0.30,
        bark=("#2e2a2c", "#5f5654"),
        water="#c3d7e8",
        water_cover=0.72,
        path=("#a9b6c6", "#cdd6e0"),
        roofs=(("#afc3dd", "#ffffff"), ("#bccde2", "#fbfdff")),
        walls=("#d9d0c4", "#c4a987", "#8f4238", "#b59a80"),
        window="#ffc84a",
        window_glow=0.5,
        timber=("#3c302a", "#6a5648"),
        topping="#fbfdff",
    ),
}


# What a landscape holds -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands on the ground.

    Attributes:
        kind: What it is.
        x: Its middle.
        y: Where it touches the ground; what is further down the picture is nearer.
        height: From the ground to its top.
    """

    kind: Kind
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Route:
    """The winding course of a path or a river towards the viewer.

    Attributes:
        start_x: Where it comes into sight.
        end_x: Where it leaves the picture at the bottom.
        bend: How far it swings to the sides.
        half_width: Half its width at the bottom.
    """

    start_x: float
    end_x: float
    bend: float
    half_width: float

    def at(self, nearness: float) -> Point:
        """(middle, half width) where `nearness` goes from 0, far away, to 1, at the bottom."""
        swing = self.bend * math.sin(5.5 * nearness) * (0.25 + 0.75 * nearness)
        middle = self.start_x + (self.end_x - self.start_x) * nearness + swing
        return middle, self.half_width * (0.10 + 0.90 * nearness**1.5)


@dataclass(frozen=True, slots=True)
class Scene:
    """The random choices behind one picture; lengths in pixels of the canvas.

    Attributes:
        season: Which palette it is painted with.
        seed: Of everything drawn by chance in it.
        mood: Index of the light in the palette.
        sun_x: Where the sun stands.
        horizon: Where the hills end and the ground begins.
        has_mountains: Whether rock stands behind the hills.
        hills: Number of layers of hills.
        clouds: Cumulus, thin streaks, or none.
        has_lake: Whether a lake lies between the horizon and the meadow.
        meadow: Upper edge of the ground nearby; the shore where there is a lake.
        route: What winds towards the viewer over the meadow.
        course: Where it winds.
        things: What stands on the ground, from far to near.
    """

    season: Season
    seed: int
    mood: int
    sun_x: float
    horizon: float
    has_mountains: bool
    hills: int
    clouds: Literal["none", "heaps", "streaks"]
    has_lake: bool
    meadow: float
    route: Literal["none", "path", "river"]
    course: Route
    things: tuple[Thing, ...]


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of `choices` by chance."""
    return choices[int(rng.integers(len(choices)))]


def compose(season: Season, seed: int) -> Scene:
    """A landscape made up from `seed`."""
    rng = np.random.default_rng(seed)
    horizon = rng.uniform(0.40, 0.54) * SIDE
    has_lake = bool(rng.random() < 0.4)
    meadow = rng.uniform(0.70, 0.78) * SIDE if has_lake else horizon + rng.uniform(4, 20)
    start_x = rng.uniform(0.3, 0.7) * SIDE
    scene = Scene(
        season=season,
        seed=seed,
        mood=int(rng.integers(len(PALETTES[season].moods))),
        sun_x=rng.uniform(0.1, 0.9) * SIDE,
        horizon=horizon,
        has_mountains=bool(rng.random() < 0.65),
        hills=int(rng.integers(2, 4)),
        clouds=pick(rng, ("none", "heaps", "heaps", "heaps", "streaks", "streaks")),
        has_lake=has_lake,
        meadow=meadow,
        route="path" if has_lake else pick(rng, ("none", "path", "path", "river", "river")),
        course=Route(
            start_x=start_x,
            end_x=rng.uniform(0.2, 0.8) * SIDE,
            bend=rng.uniform(30, 80) * pick(rng, (-1.0, 1.0)),
            half_width=rng.uniform(40, 70),
        ),
        things=(),
    )
    return replace(scene, things=tuple(sorted(place_things(scene, rng), key=lambda thing: thing.y)))


def place_things(scene: Scene, rng: np.random.Generator) -> list[Thing]:
    """What stands on the ground, in no order. Nothing stands on a route or hides a cottage."""
    things: list[Thing] = []

    def is_free(x: float, y: float, room: float) -> bool:
        nearness = (y - scene.meadow) / (SIDE - scene.meadow)
        middle, half_width = scene.course.at(min(max(nearness, 0.0), 1.0))
        if scene.route != "none" and nearness > 0 and abs(x - middle) < half_width + room:
            return False
        houses = [thing for thing in things if thing.kind == "cottage"]
        return all(abs(x - house.x) > 1.1 * house.height + room for house in houses)

    def size_at(y: float) -> float:
        return 0.16 + 0.84 * (y - scene.horizon) / (SIDE - scene.horizon)

    def add(kind: Kind, x: float, y: float, height: float) -> None:
        if is_free(x, y, room=0.7 * height if kind == "cottage" else 0.16 * height):
            things.append(Thing(kind, x, y, height))

    for _ in range(pick(rng, (0, 1, 1, 1, 2))):
        y = scene.meadow + rng.uniform(0.10, 0.45) * (SIDE - scene.meadow)
        add("cottage", rng.uniform(0.15, 0.85) * SIDE, y, rng.uniform(190, 250) * size_at(y))
    if rng.random() < 0.65:  # A large tree at one side frames the view.
        x = pick(rng, (rng.uniform(0.0, 0.16), rng.uniform(0.84, 1.0))) * SIDE
        framing: Kind = pick(rng, ("conifer", "tree", "tree"))
        add(framing, x, rng.uniform(0.90, 1.0) * SIDE, rng.uniform(300, 420))
    plants: list[tuple[float, Kind]] = [(300, "conifer"), (300, "conifer"), (250, "tree"), (250, "tree")]
    plants += [(340, "poplar"), (80, "bush")]
    for _ in range(int(rng.integers(5, 12))):
        y = scene.meadow + rng.uniform(0.02, 0.6) * (SIDE - scene.meadow)
        height, kind = pick(rng, plants)
        add(kind, rng.uniform(0.0, 1.0) * SIDE, y, height * rng.uniform(0.7, 1.1) * size_at(y))
    if scene.has_lake:
        for _ in range(int(rng.integers(8, 22))):
            y = scene.horizon + rng.uniform(4, 10)
            far_kind: Kind = pick(rng, ("conifer", "tree", "bush"))
            things.append(Thing(far_kind, rng.uniform(0, SIDE), y, rng.uniform(18, 52)))
    if rng.random() < 0.5:
        y = scene.meadow + rng.uniform(0.25, 0.7) * (SIDE - scene.meadow)
        things.append(Thing("fence", 0, y, 100 * size_at(y)))
    return things


# Paint ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is painted on, and with what.

    Attributes:
        image: The picture so far, RGB, SIDE pixels square.
        rng: Chance.
        palette: The colours of the season.
        mood: The colours of the light.
        light: Where the light comes from, -1 (left) to 1 (right).
    """

    image: Image.Image
    rng: np.random.Generator
    palette: Palette
    mood: Mood
    light: float

    def fill(self, cover: Floats, colours: Floats) -> None:
        """Paint `colours` ([SIDE, SIDE, 3] or [3], 0..255) where `cover` ([SIDE, SIDE], 0..1) says how much."""
        field = np.broadcast_to(colours, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
        self.image.paste(Image.fromarray(field), mask=Image.fromarray((cover.clip(0, 1) * 255).astype(np.uint8)))

    def pen(self) -> ImageDraw.ImageDraw:
        """A pen whose colours have an alpha."""
        return ImageDraw.Draw(self.image, "RGBA")


def mix(first: Floats, second: Floats, amount: float | Floats) -> Floats:
    """`first` where `amount` is 0, `second` where it is 1; an amount of [H, W] gives [H, W, 3]."""
    part = np.asarray(amount, dtype=np.float32)
    blend: Floats = first + (second - first) * (part[..., None] if part.ndim == 2 else part)
    return blend


def ink(colour: Floats, alpha: float = 1.0) -> tuple[int, int, int, int]:
    """A colour as Pillow takes it."""
    red, green, blue = (int(value) for value in colour.clip(0, 255))
    return red, green, blue, int(255 * alpha)


def noise(rng: np.random.Generator, width: float, height: float, octaves: int = 4) -> Floats:
    """Smooth noise of [SIDE, SIDE] about 0.5 within 0..1, with spots of about `width` x `height` pixels."""
    total = np.zeros((SIDE, SIDE), dtype=np.float32)
    for octave in range(octaves):
        columns, rows = (max(2, math.ceil(SIDE * 2**octave / length)) for length in (width, height))
        coarse = Image.fromarray(rng.random((rows, columns), dtype=np.float32))
        total += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) * 0.5**octave
    total = (total - total.mean()) / (4 * total.std()) + 0.5
    spots: Floats = total.clip(0, 1)
    return spots


def step(low: float, high: float, values: Floats) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    part: Floats = ((values - low) / (high - low)).clip(0, 1)
    smooth: Floats = part * part * (3 - 2 * part)
    return smooth


def ridge(rng: np.random.Generator, base: float, height: float, *, waves: float, octaves: int) -> Floats:
    """[SIDE] heights in the picture of a skyline that rises up to about `height` above `base`."""
    x = np.arange(SIDE) / SIDE
    total = np.zeros(SIDE)
    for octave in range(octaves):
        total += np.sin(2 * np.pi * (waves * 2**octave * x + rng.random())) * 0.5**octave
    line: Floats = (base - height * (0.5 + 0.5 * total / np.abs(total).max())).astype(np.float32)
    return line


ROWS = np.arange(SIDE, dtype=np.float32)[:, None] * np.ones((1, SIDE), dtype=np.float32)
COLUMNS = np.ascontiguousarray(ROWS.T)


# From far to near -------------------------------------------------------------------------------------------------


def draw_sky(canvas: Canvas, scene: Scene) -> None:
    """A gradient, the sun and its glow."""
    top, middle, low = (rgb(colour) for colour in canvas.mood.sky)
    height = ROWS / scene.horizon + 0.06 * (noise(canvas.rng, 300, 120) - 0.5)
    sky = mix(mix(top, middle, step(0.0, 0.6, height)), low, step(0.45, 1.05, height))
    sun_y = scene.horizon * (1 - canvas.mood.sun_height)
    distance = np.hypot(COLUMNS - scene.sun_x, ROWS - sun_y)
    glow = 0.55 * np.exp(-((distance / 55) ** 2)) + 0.30 * np.exp(-distance / 80)
    sky = mix(sky, rgb(canvas.mood.sun), np.maximum(glow, step(22, 17, distance)))
    canvas.fill(np.ones((SIDE, SIDE), dtype=np.float32), sky)


def draw_clouds(canvas: Canvas, scene: Scene) -> None:
    """Heaps with flat feet, or thin streaks."""
    rng = canvas.rng
    shade, lit = (rgb(colour) for colour in canvas.mood.cloud)
    if scene.clouds == "streaks":
        wisps = noise(rng, 330, 46, 5)
        fade = step(0.9, 0.45, ROWS / scene.horizon)
        canvas.fill(0.85 * step(0.55, 0.90, wisps) * fade, mix(shade, lit, step(0.45, 0.7, wisps)))
    elif scene.clouds == "heaps":
        texture = noise(rng, 46, 34, 4)
        for _ in range(int(rng.integers(2, 6))):
            draw_heap(canvas, rng.uniform(0, SIDE), rng.uniform(0.14, 0.78) * scene.horizon, shade, lit, texture)


def draw_heap(canvas: Canvas, x: float, y: float, shade: Floats, lit: Floats, texture: Floats) -> None:
    """One cumulus whose foot is at (x, y)."""
    rng = canvas.rng
    half = rng.uniform(45, 110)
    shape = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(shape)
    for _ in range(26):
        offset = rng.uniform(-1, 1)
        radius = half * rng.uniform(0.16, 0.36) * (1 - 0.55 * abs(offset))
        middle = y - radius * rng.uniform(0.3, 1.5) * (1 - abs(offset) ** 1.5)
        pen.ellipse(
            (x + offset * half - radius, middle - radius, x + offset * half + radius, middle + radius), fill=255
        )
    pen.rectangle((0, y + half * 0.10, SIDE, SIDE), fill=0)
    soft = np.asarray(shape.filter(ImageFilter.GaussianBlur(5)), dtype=np.float32) / 255
    cover = step(0.30, 0.75, soft + 0.5 * (texture - 0.5))
    bright = step(0.05, -0.75, (ROWS - y) / half) + 0.9 * (texture - 0.4)
    canvas.fill(0.94 * cover, mix(shade, lit, bright.clip(0, 1)))


def draw_mountains(canvas: Canvas, scene: Scene) -> None:
    """Rock with lit and shaded faces, half lost in the haze."""
    rng = canvas.rng
    line = ridge(rng, scene.horizon - 20, rng.uniform(80, 170), waves=rng.uniform(0.8, 1.6), octaves=2)
    jags = noise(rng, 70, 400, 5)[0] - 0.5
    line = line - 60 * np.abs(jags).astype(np.float32)
    relief = noise(rng, 60, 90, 5)
    faces = np.gradient(relief, axis=1) * canvas.light * 45 + 0.5 + 0.3 * (noise(rng, 20, 40, 3) - 0.5)
    dark, lit = (rgb(colour) for colour in canvas.palette.mountain)
    rock = mix(dark, lit, faces.clip(0, 1).astype(np.float32))
    mist = step(scene.horizon - 130, scene.horizon, ROWS) * 0.45 + 0.35
    canvas.fill(step(-1.5, 1.5, ROWS - line), mix(rock, rgb(canvas.mood.haze), mist))


def draw_hill(canvas: Canvas, line: Floats, distance: float) -> None:
    """A slope below the skyline `line`; `distance` is 1 for the farthest."""
    rng = canvas.rng
    dark, lit = (rgb(colour) for colour in canvas.palette.hill)
    tone = noise(rng, 120, 40, 5) + 0.25 * canvas.light * np.gradient(line)[None, :]
    slope = mix(dark, lit, step(0.25, 0.75, tone))
    plots = noise(rng, 220, 60, 2)
    for field in canvas.palette.fields:  # Each field lies between two contour lines of the noise.
        low = rng.uniform(0.2, 0.8)
        slope = mix(slope, rgb(field), 0.75 * step(low, low + 0.01, plots) * step(low + 0.13, low + 0.12, plots))
    slope = mix(slope, rgb(canvas.mood.haze), 0.62 * distance)
    canvas.fill(step(-1, 1, ROWS - line), slope)
    draw_forest(canvas, line, distance)
    if rng.random() < 0.4:
        draw_village(canvas, line, distance)


def draw_village(canvas: Canvas, line: Floats, distance: float) -> None:
    """Some houses far away on a slope, one of them a church."""
    rng, pen = canvas.rng, canvas.pen()
    haze = rgb(canvas.mood.haze)
    middle = rng.uniform(0.15, 0.85) * SIDE
    size = 16 - 7 * distance
    for number in range(int(rng.integers(3, 7))):
        x = (middle + rng.uniform(-75, 75)) % SIDE
        y = float(line[int(x)]) + rng.uniform(14, 34)
        wall = mix(rgb(pick(rng, canvas.palette.walls)), haze, 0.4 * distance)
        roof_dark, roof_lit = pick(rng, canvas.palette.roofs)
        roof = mix(mix(rgb(roof_dark), rgb(roof_lit), 0.6), haze, 0.4 * distance)
        if number == 0:
            pen.rectangle((x + size * 0.5, y - size * 1.6, x + size, y), fill=ink(wall))
            top = [
                (x + size * 0.4, y - size * 1.6),
                (x + size * 0.75, y - size * 2.7),
                (x + size * 1.1, y - size * 1.6),
            ]
            pen.polygon(top, fill=ink(roof))
        pen.rectangle((x - size * 0.7, y - size * 0.6, x + size * 0.7, y), fill=ink(wall))
        eaves = [(x - size * 0.85, y - size * 0.5), (x - size * 0.5, y - size * 1.1)]
        eaves += [(x + size * 0.5, y - size * 1.1), (x + size * 0.85, y - size * 0.5)]
        pen.polygon(eaves, fill=ink(roof))
        pen.rectangle((x - 2, y - size * 0.4, x + 2, y - size * 0.1), fill=ink(rgb(canvas.palette.window)))


def draw_forest(canvas: Canvas, line: Floats, distance: float) -> None:
    """Woods of small trees on a slope."""
    rng, pen = canvas.rng, canvas.pen()
    haze = rgb(canvas.mood.haze)
    woods = noise(rng, 110, 60, 2)
    height = 30 * (1 - 0.6 * distance)
    x = rng.uniform(0, SIDE, 900)
    depth = np.sort(rng.uniform(0, 1, 900)) ** 1.5 * 90
    for left, down in zip(x, depth, strict=True):
        y = float(line[int(left)] + down)
        if y >= SIDE or woods[int(y), int(left)] < 0.58:
            continue
        is_conifer = rng.random() < 0.6
        dark, lit = (rgb(c) for c in pick(rng, canvas.palette.conifers if is_conifer else canvas.palette.crowns))
        dark, lit = (mix(c, haze, 0.25 + 0.55 * distance) for c in (dark, lit))
        tall = height * rng.uniform(0.6, 1.2)
        wide = tall * (0.22 if is_conifer else 0.42)
        shift = wide * 0.35 * canvas.light
        if is_conifer:
            pen.polygon([(left - wide, y), (left, y - tall), (left + wide, y)], fill=ink(dark))
            pen.polygon(
                [
                    (left - wide * 0.4 + shift, y - tall * 0.15),
                    (left, y - tall),
                    (left + wide * 0.5 + shift, y - tall * 0.2),
                ],
                fill=ink(mix(dark, lit, 0.6)),
            )
        else:
            pen.ellipse((left - wide, y - tall * 0.8, left + wide, y + 2), fill=ink(mix(dark, lit, 0.25)))
            pen.ellipse(
                (left - wide * 0.6 + shift, y - tall * 0.75, left + wide * 0.6 + shift, y - tall * 0.3),
                fill=ink(mix(dark, lit, 0.7)),
            )


def draw_water(canvas: Canvas, cover: Floats, shore: float) -> None:
    """Water where `cover` says, mirroring what stands above the line `shore`."""
    rng = canvas.rng
    depth = (ROWS - shore).clip(0, None)
    ripple = (noise(rng, 70, 7, 2) - 0.5) * (2 + depth * 0.10)
    source_y = (shore - 1 - depth * 1.05 + ripple).clip(0, SIDE - 1).astype(np.intp)
    source_x = (COLUMNS + ripple * 0.8).clip(0, SIDE - 1).astype(np.intp)
    mirror = canvas.image.filter(ImageFilter.GaussianBlur(2.5))
    reflection = np.asarray(mirror, dtype=np.float32)[source_y, source_x]
    shine = noise(rng, 90, 6, 3)
    tint = mix(rgb(canvas.palette.water), rgb(canvas.mood.sky[2]), 0.6 * shine)
    water = mix(reflection, tint, canvas.palette.water_cover)
    water = mix(water, rgb(canvas.mood.sky[2]), 0.55 * step(0.66, 0.85, shine))
    if canvas.palette.water_cover > 0.5:  # Snow has blown over the ice.
        water = mix(water, rgb(canvas.palette.meadow[1]), 0.85 * step(0.55, 0.68, noise(rng, 130, 22, 4)))
    canvas.fill(cover, water)


def draw_meadow(canvas: Canvas, line: Floats) -> None:
    """The ground nearby: light and shade, then blades that grow towards the viewer."""
    rng, pen = canvas.rng, canvas.pen()
    dark, lit = (rgb(colour) for colour in canvas.palette.meadow)
    nearness = ((ROWS - line) / (SIDE - line)).clip(0, 1)
    tone = 0.65 * noise(rng, 200, 40, 4) + 0.35 * noise(rng, 36, 9, 3)
    tone = step(0.22, 0.78, tone - 0.16 * nearness + 0.08)
    canvas.fill(step(-1.5, 1.5, ROWS - line), mix(dark, lit, tone))
    grass = [rgb(colour) for colour in canvas.palette.grass]
    for y in np.sort(line.min() + (SIDE + 12 - line.min()) * rng.random(2600) ** 0.8):
        x = rng.uniform(0, SIDE)
        if y < line[int(x)] + 4:
            continue
        size = 2 + 13 * (y - line.min()) / (SIDE - line.min())
        lean = rng.uniform(-0.45, 0.45) * size
        pen.line((x, y, x + lean, y - size), fill=ink(pick(rng, grass), 0.5), width=max(1, round(size / 5)))


def draw_flowers(canvas: Canvas, line: Floats) -> None:
    """Flowers, or what winter leaves of them, in patches."""
    rng, pen = canvas.rng, canvas.pen()
    patches = noise(rng, 90, 40, 2)
    colours = [rgb(colour) for colour in (pick(rng, canvas.palette.flowers), pick(rng, canvas.palette.flowers))]
    for y in np.sort(rng.uniform(line.min(), SIDE, 420)):
        x = rng.uniform(0, SIDE)
        if y < line[int(x)] + 14 or patches[int(y), int(x)] < 0.62:
            continue
        size = 1.2 + 3.6 * (y - line.min()) / (SIDE - line.min())
        pen.ellipse((x - size, y - size, x + size, y + size), fill=ink(pick(rng, colours), 0.95))


def draw_route(canvas: Canvas, scene: Scene) -> None:
    """The path or the river over the meadow."""
    steps = np.linspace(0, 1, 60)
    sides: list[list[Point]] = [[], []]
    for nearness in steps:
        middle, half_width = scene.course.at(float(nearness))
        y = scene.meadow + 5 + nearness * (SIDE + 4 - scene.meadow)
        sides[0].append((middle - half_width, y))
        sides[1].append((middle + half_width, y))
    shape = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(shape).polygon(sides[0] + sides[1][::-1], fill=255)
    ragged = np.asarray(shape.filter(ImageFilter.GaussianBlur(3)), dtype=np.float32) / 255
    ragged = ragged + 0.4 * (noise(canvas.rng, 16, 9, 2) - 0.5)
    dark, lit = (rgb(colour) for colour in canvas.palette.path)
    canvas.fill(step(0.30, 0.45, ragged), mix(dark, lit, step(0.3, 0.7, noise(canvas.rng, 50, 12, 4))))
    if scene.route == "river":
        draw_water(canvas, step(0.50, 0.60, ragged), scene.meadow)


def draw_shadow(canvas: Canvas, x: float, y: float, half_width: float) -> None:
    """A soft shadow on the ground, away from the light."""
    dark = mix(rgb(canvas.palette.meadow[0]), rgb("#101830"), 0.35)
    pen = canvas.pen()
    for part in (1.0, 0.75, 0.5):
        middle, wide, high = x - canvas.light * half_width * 0.5, half_width * part, half_width * 0.22 * part
        pen.ellipse((middle - wide, y - high, middle + wide, y + high), fill=ink(dark, 0.16))


def draw_conifer(canvas: Canvas, thing: Thing) -> None:
    """A fir: tiers of branches, light or snow on the upper side of each."""
    rng, pen = canvas.rng, canvas.pen()
    x, y, height = thing.x, thing.y, thing.height
    dark, lit = (rgb(colour) for colour in pick(rng, canvas.palette.conifers))
    draw_shadow(canvas, x, y, height * 0.24)
    trunk = height * 0.025
    pen.rectangle((x - trunk, y - height * 0.15, x + trunk, y), fill=ink(rgb(canvas.palette.bark[0])))
    tiers = int(rng.integers(6, 10))
    spread = height * rng.uniform(0.19, 0.25)

    def half_width(t: float) -> float:
        return spread * math.pow(1 - t, 0.9) * (0.72 + 0.38 * (1 - t * tiers % 1))

    outline = [(-half_width(t), t) for t in np.linspace(0, 1, 8 * tiers)]
    outline += [(half_width(t), t) for t in np.linspace(1, 0, 8 * tiers)]
    foot = height * 0.08
    pen.polygon([(x + dx, y - foot - t * (height - foot)) for dx, t in outline], fill=ink(dark))
    for t in np.sort(rng.random(int(60 + height * 1.6))):
        side = rng.uniform(-1, 1)
        reach = half_width(float(t))
        top = y - foot - t * (height - foot)
        upper = t * tiers % 1  # 0 at the tip of a tier's branches, 1 where the next tier covers them.
        bright = 0.30 + 0.30 * side * canvas.light + 0.45 * (1 - upper) * abs(side) + rng.normal(0, 0.22)
        droop = height * 0.035
        stroke = (x + side * reach * 0.55, top - droop * 0.4, x + side * reach, top + droop * 0.5)
        pen.line(stroke, fill=ink(mix(dark, lit, min(max(bright, 0.0), 1.0))), width=max(2, round(height / 55)))


def draw_branches(canvas: Canvas, start: Point, angle: float, length: float, width: float) -> list[Point]:
    """A branch that forks until it is short; `angle` is 0 straight up. Returns the tips."""
    rng = canvas.rng
    end = (start[0] + length * math.sin(angle), start[1] - length * math.cos(angle))
    bark = mix(rgb(canvas.palette.bark[0]), rgb(canvas.palette.bark[1]), rng.uniform(0, 0.8))
    canvas.pen().line((*start, *end), fill=ink(bark), width=max(1, round(width)))
    if length < 8:
        return [end]
    tips: list[Point] = []
    for turn in (-1, 1, rng.uniform(-0.3, 0.3)):
        fork = 0.85 * angle + turn * rng.uniform(0.3, 0.6)
        tips += draw_branches(canvas, end, fork, length * rng.uniform(0.52, 0.68), max(width * 0.6, 1.0))
    return tips


def draw_tree(canvas: Canvas, thing: Thing) -> None:
    """A tree with leaves or frost about its branches."""
    rng = canvas.rng
    height = thing.height
    draw_shadow(canvas, thing.x, thing.y, height * 0.28)
    tips = draw_branches(canvas, (thing.x, thing.y), rng.normal(0, 0.03), height * 0.34, height * 0.05)
    fork_y = thing.y - height * 0.46

    def heap(tip: Point, least: float, most: float) -> tuple[float, float, float]:
        """A heap on the way from the fork (0) to `tip` (1)."""
        way = rng.uniform(least, most)
        x = thing.x + (tip[0] - thing.x) * way**0.6
        return x, fork_y + (tip[1] - fork_y) * way, height * rng.uniform(0.10, 0.16)

    around = [*sorted(tips)[:: max(1, len(tips) // 14)], max(tips)]
    inside = [pick(rng, tips) for _ in range(14)]
    heaps = [heap(tip, 0.85, 1.0) for tip in around] + [heap(tip, 0.3, 0.8) for tip in inside]
    draw_crown(canvas, heaps, height / 55)


def draw_poplar(canvas: Canvas, thing: Thing) -> None:
    """A tall and narrow tree."""
    rng = canvas.rng
    height = thing.height
    draw_shadow(canvas, thing.x, thing.y, height * 0.10)
    for part in np.linspace(0.0, 0.6, 9):
        foot = (thing.x, thing.y - height * float(part))
        draw_branches(canvas, foot, rng.uniform(-0.25, 0.25), height * 0.12, height * 0.03 * (1 - float(part)))
    heaps = []
    for part in np.linspace(0.14, 0.93, 9):
        radius = height * 0.105 * math.sin(math.pi * (0.12 + 0.80 * float(part))) ** 0.7
        heaps.append((thing.x + rng.normal(0, 0.1) * radius, thing.y - height * float(part), radius))
    draw_crown(canvas, heaps, height / 70)


def draw_bush(canvas: Canvas, thing: Thing) -> None:
    """A crown on the ground."""
    rng = canvas.rng
    draw_shadow(canvas, thing.x, thing.y, thing.height * 0.7)
    heaps = [
        (thing.x + thing.height * offset, thing.y - thing.height * rng.uniform(0.3, 0.6), thing.height * 0.4)
        for offset in (-0.45, 0.4, 0.0)
    ]
    draw_crown(canvas, heaps, thing.height / 16)


def draw_crown(canvas: Canvas, heaps: list[tuple[float, float, float]], dab: float) -> None:
    """Dabs of leaves (or frost) over round heaps of (x, y, radius), dark ones first."""
    rng, pen = canvas.rng, canvas.pen()
    dark, lit = (rgb(colour) for colour in pick(rng, canvas.palette.crowns))
    density = canvas.palette.crown_density
    dab = max(dab, 2.0)
    dabs: list[tuple[float, float, float]] = []
    for heap_x, heap_y, radius in heaps:
        for _ in range(int(10 + density * 5 * (radius / dab) ** 2)):
            turn, away = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random())
            right, up = away * math.cos(turn), -away * math.sin(turn)
            bright = 0.40 - 0.38 * up + 0.24 * right * canvas.light + rng.normal(0, 0.20)
            dabs.append((bright, heap_x + right * radius, heap_y + up * radius))
    for bright, dab_x, dab_y in sorted(dabs):
        wide, high = dab * rng.uniform(0.7, 1.3), dab * rng.uniform(0.6, 1.0)
        colour = ink(mix(dark, lit, min(max(bright, 0.0), 1.0)), 0.35 + 0.6 * density)
        pen.ellipse((dab_x - wide, dab_y - high, dab_x + wide, dab_y + high), fill=colour)


def draw_cottage(canvas: Canvas, thing: Thing) -> None:
    """A house seen from the corner: gable, long side, roof, chimney, windows."""
    rng, pen = canvas.rng, canvas.pen()
    x, y, height = thing.x, thing.y, thing.height
    turn = pick(rng, (-1, 1))  # To which side the long wall lies.
    wall = rgb(pick(rng, canvas.palette.walls))
    roof_dark, roof_lit = (rgb(colour) for colour in pick(rng, canvas.palette.roofs))
    timber, beam = (rgb(colour) for colour in canvas.palette.timber)
    half, eaves, depth, rise = height * 0.36, height * 0.48, height * rng.uniform(0.8, 1.15), height * 0.05
    x -= turn * depth * 0.4

    def at(along: float, up: float, back: float = 0.0) -> Point:
        """`along` the gable, `up` from the ground, `back` along the long side (0..1)."""
        return x + turn * (along + back * depth), y - up - back * rise

    draw_shadow(canvas, x + turn * depth * 0.4, y, height * 0.85)
    bright_side = turn * canvas.light > 0
    gable, long_side = (
        mix(wall, rgb("#203050"), 0.30 if bright_side else 0.04),
        mix(wall, rgb("#203050"), 0.04 if bright_side else 0.30),
    )
    pen.polygon([at(half, 0), at(half, eaves), at(half, eaves, 1), at(half, 0, 1)], fill=ink(long_side))
    pen.polygon([at(-half, 0), at(-half, eaves), at(0, height), at(half, eaves), at(half, 0)], fill=ink(gable))
    draw_chimney(canvas, at(half * 0.3, height * 0.78, 0.6), height * 0.34)
    over, low = half * 1.18, eaves * 0.86
    roof = mix(roof_dark, roof_lit, 0.85 if bright_side else 0.45)
    pen.polygon([at(0, height, -0.06), at(0, height, 1.05), at(over, low, 1.05), at(over, low, -0.06)], fill=ink(roof))
    for row in np.linspace(0.12, 0.95, 6):
        courses = mix(roof_dark, roof_lit, float(rng.uniform(0.1, 0.9)))
        ends = (
            at(over * row, height + (low - height) * row, -0.06),
            at(over * row, height + (low - height) * row, 1.05),
        )
        pen.line(ends, fill=ink(courses, 0.5), width=max(1, round(height / 50)))
    edge = max(2, round(height / 20))
    pen.line((at(-over, low, -0.06), at(0, height, -0.06), at(over, low, -0.06)), fill=ink(roof_lit), width=edge)
    pen.line(
        (at(over, low, -0.06), at(over, low, 1.05)), fill=ink(mix(timber, roof_dark, 0.3)), width=max(1, edge // 2)
    )
    pen.polygon(
        [at(-half * 0.16, 0), at(-half * 0.16, eaves * 0.62), at(half * 0.22, eaves * 0.62), at(half * 0.22, 0)],
        fill=ink(timber),
    )
    for along, up in ((-half * 0.60, eaves * 0.55), (half * 0.62, eaves * 0.55), (0.0, eaves * 1.25)):
        draw_window(canvas, *at(along, up), height * 0.072, beam)
    for back in (0.25, 0.55, 0.82):
        draw_window(canvas, *at(half, eaves * 0.52, back), height * 0.062, beam)


def draw_window(canvas: Canvas, x: float, y: float, half: float, frame: Floats) -> None:
    """A window with a cross; lit ones throw light about them."""
    pen, pane = canvas.pen(), rgb(canvas.palette.window)
    for halo in (3.4, 2.6, 1.9):
        reach = half * halo
        glow = ink(pane, 0.16 * canvas.palette.window_glow)
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=glow)
    pen.rectangle((x - half, y - half * 1.25, x + half, y + half * 1.25), fill=ink(mix(frame, rgb("#ffffff"), 0.6)))
    inner = half * 0.76
    pen.rectangle((x - inner, y - half, x + inner, y + half), fill=ink(pane))
    bar = max(1, round(half / 4))
    pen.line((x, y - half, x, y + half), fill=ink(frame), width=bar)


def draw_chimney(canvas: Canvas, foot: Point, height: float) -> None:
    """A chimney, and sometimes its smoke."""
    rng, pen = canvas.rng, canvas.pen()
    x, y = foot
    half, top = height * 0.17, y - height
    pen.rectangle((x - half, top, x + half, y), fill=ink(mix(rgb(canvas.palette.timber[1]), rgb("#a0583c"), 0.5)))
    if canvas.palette.topping:
        pen.rectangle((x - half * 1.2, top - half * 0.6, x + half * 1.2, top), fill=ink(rgb(canvas.palette.topping)))
    if rng.random() < 0.5:
        drift = -canvas.light * rng.uniform(0.2, 0.7)
        for puff in np.linspace(0.05, 1, 14):
            radius = height * (0.12 + 0.26 * puff)
            middle, up = x + drift * height * 2.2 * puff**1.4, top - height * 2.0 * puff
            spot = (middle - radius, up - radius, middle + radius, up + radius)
            pen.ellipse(spot, fill=ink(rgb(canvas.mood.cloud[1]), 0.20 * (1.1 - puff)))


def draw_fence(canvas: Canvas, thing: Thing) -> None:
    """Posts and two rails across the meadow."""
    rng, pen = canvas.rng, canvas.pen()
    tall = thing.height * 0.42
    slope, phase = rng.uniform(-0.10, 0.10), rng.uniform(0, 6)
    gap = tall * 1.15
    posts = [
        (x, thing.y + slope * (x - SIDE / 2) + 5 * math.sin(x / 90 + phase) + rng.normal(0, 1))
        for x in np.arange(-gap, SIDE + gap, gap)
    ]
    dark, lit = (rgb(colour) for colour in canvas.palette.timber)
    thick = max(2, round(tall / 9))
    topping = ink(rgb(canvas.palette.topping)) if canvas.palette.topping else ink(mix(dark, lit, 0.9))
    for part in (0.42, 0.80):
        rail = [(x, y - tall * part) for x, y in posts]
        pen.line(rail, fill=ink(mix(dark, lit, 0.5)), width=thick)
        pen.line([(x, y - thick * 0.6) for x, y in rail], fill=topping, width=max(1, thick // 2))
    for x, y in posts:
        pen.rectangle((x - thick * 0.7, y - tall, x + thick * 0.7, y), fill=ink(mix(dark, lit, float(rng.random()))))
        pen.rectangle((x - thick * 0.8, y - tall - thick * 0.7, x + thick * 0.8, y - tall), fill=topping)


DRAW_THING = {
    "conifer": draw_conifer,
    "tree": draw_tree,
    "poplar": draw_poplar,
    "bush": draw_bush,
    "cottage": draw_cottage,
    "fence": draw_fence,
}


def finish(canvas: Canvas) -> Image.Image:
    """The light of the moment, the uneven edges and the grain of a brush, and the finished size."""
    rng = canvas.rng
    rows = (ROWS + 5 * (noise(rng, 26, 26, 2) - 0.5)).clip(0, SIDE - 1).astype(np.intp)
    columns = (COLUMNS + 5 * (noise(rng, 26, 26, 2) - 0.5)).clip(0, SIDE - 1).astype(np.intp)
    painted = np.asarray(canvas.image, dtype=np.float32)[rows, columns]
    painted = painted * (rgb(canvas.mood.light) / 255) * (0.96 + 0.08 * noise(rng, 7, 5, 2))[..., None]
    image = Image.fromarray(painted.clip(0, 255).astype(np.uint8))
    return image.resize((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)


def draw(scene: Scene) -> Image.Image:
    """The picture of `scene`: RGB, PICTURE_SIDE pixels square."""
    rng = np.random.default_rng((scene.seed, 1))
    palette = PALETTES[scene.season]
    light = max(-1.0, min(1.0, (scene.sun_x / SIDE - 0.5) * 3))
    canvas = Canvas(Image.new("RGB", (SIDE, SIDE)), rng, palette, palette.moods[scene.mood], light)
    draw_sky(canvas, scene)
    draw_clouds(canvas, scene)
    if scene.has_mountains:
        draw_mountains(canvas, scene)
    for layer in range(scene.hills):
        distance = 1 - (layer + 0.4) / scene.hills
        base = scene.horizon + 14 - 26 * distance
        line = ridge(rng, base, 30 + 60 * distance, waves=rng.uniform(0.5, 1.1), octaves=3)
        draw_hill(canvas, line, distance)
    line = ridge(rng, scene.meadow + 10, 16, waves=rng.uniform(0.6, 1.2), octaves=3)
    if scene.has_lake:
        bank = ridge(rng, scene.horizon + 6, 10, waves=1.0, octaves=3)
        draw_meadow(canvas, bank)
        for thing in scene.things:
            if thing.y < scene.meadow:
                DRAW_THING[thing.kind](canvas, thing)
        shore = scene.horizon + 16
        draw_water(canvas, step(-1, 1, ROWS - shore - 8 * (noise(rng, 90, 300, 2) - 0.5)), shore)
    draw_meadow(canvas, line)
    draw_flowers(canvas, line)
    if scene.route != "none":
        draw_route(canvas, scene)
    for thing in scene.things:
        if thing.y >= scene.meadow:
            DRAW_THING[thing.kind](canvas, thing)
    return finish(canvas)


def draw_all(to: Path) -> None:
    """Every picture of the sample, into the four folders under `to`."""
    for name, (season, count, first_seed) in FOLDERS.items():
        folder = to / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = draw(compose(season, first_seed + number))
            picture.save(
                folder / f"{season}_{number + 1:03}.jpg", quality=JPEG_QUALITY, subsampling="4:4:4", optimize=True
            )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Draw the sample pictures that come with the app.")
    default = Path(__file__).parent / "sample"
    parser.add_argument("--to", type=Path, default=default, metavar="FOLDER", help="default: %(default)s")
    draw_all(parser.parse_args().to)


if __name__ == "__main__":
    main()
