"""What the user decides: how to train (`TrainConfig`), what to convert (`ConvertJob`), and the presets.

Both are frozen and check themselves when made: a value that makes no sense raises `ConfigError` with a sentence fit
for a dialog and the name of the field beside which it belongs. Folders are not looked at here; see `data/folders.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, Literal, get_args

from engine.errors import ConfigError
from engine.model.architecture import Architecture, GeneratorKind, Norm

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Engine = Literal["auto", "pytorch", "openvino"]
Direction = Literal["a2b", "b2a"]
OutputFormat = Literal["keep", "jpg", "png", "webp", "tiff", "bmp", "gif", "avif", "jp2", "heic"]
Chroma = Literal["4:4:4", "4:2:2", "4:2:0"]
Frames = Literal["all", "first"]
IfExists = Literal["rename", "skip", "overwrite"]
Resize = int | Literal["training", "change"] | None
DiscriminatorKind = Literal["patch", "pixel"]
AdversarialLoss = Literal["lsgan", "vanilla", "hinge"]
Init = Literal["normal", "xavier", "kaiming", "orthogonal"]
Schedule = Literal["linear", "step", "plateau", "cosine", "constant"]
Preprocess = Literal["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"]

PresetGroup = Literal["purpose", "memory", "compare", "own"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A named set of settings.

    Attributes:
        name: What a run records and the headless command takes.
        title: What it is called on screen.
        summary: One line: for whom, and what it costs.
        group: What it is for: a "purpose", a device's "memory", to "compare" with published results, or the user's
            "own".
        values: Fields of `TrainConfig` that differ from its defaults, which are the reference's.
        begins_from: Of the user's own, the preset of ours that it begins from.
    """

    name: str
    title: str
    summary: str
    group: PresetGroup
    values: Mapping[str, Any]
    begins_from: str = ""


# The generator predicts a change of the picture (the long skip), so its results are as sharp as their source from the
# first minute on, and without the resize-convolution a chequered pattern shows in skies for thousands of steps. Such a
# generator begins as the identity, so it needs no identity loss. For what changes colour and texture but no shape.
_CHANGES: dict[str, Any] = {"long_skip": True, "resize_conv": True, "lambda_identity": 0.0}

_ALL_PRESETS = (
    Preset(
        name="quick",
        title="Quick",
        summary="Useful after minutes, also without a GPU. Changes colour, texture, season or style; keeps every "
        "shape.",
        group="purpose",
        values=_CHANGES
        | {
            "size": 64,
            "load_size": 72,
            "blocks": 3,
            "channels": 32,
            # Four pictures a step at twice the rate learn faster by the clock than one; there is too little time for
            # the pool to matter.
            "batch_size": 4,
            "learning_rate": 4e-4,
            "pool_size": 0,
            "epochs": 5,
            "decay_epochs": 5,
        },
    ),
    Preset(
        name="standard",
        title="Standard",
        summary="Paintings, horses to zebras: what changes texture and shape. The reference's recipe at 256 px; hours "
        "on a GPU.",
        group="purpose",
        # The reference's defaults with pictures held out for samples, and generators averaged over the last thousand
        # steps. Its identity weight of 0.5 is what the paper takes for paintings (Sec. 5.2).
        values={"ema_decay": 0.999},
    ),
    Preset(
        name="season",
        title="Season and light",
        summary="Summer to winter, day to dusk, film looks: sharp changes of colour and texture at 256 px that keep "
        "every shape.",
        group="purpose",
        # The rest is as in "standard". Half of its epochs: the translation need not learn to draw its source first.
        values=_CHANGES | {"ema_decay": 0.999, "epochs": 50, "decay_epochs": 50},
    ),
    Preset(
        name="stain",
        title="Stains",
        summary="Stains and scanners in microscopy: only colours change, tissue stays where it is, at its own scale.",
        group="purpose",
        # What must not change is held three ways: by the long skip, a stronger cycle (Eq. 2), and an identity loss that
        # leaves alone what looks right already. Crops at their own scale, since the size of a cell means something.
        values=_CHANGES
        | {
            "lambda_A": 15.0,
            "lambda_B": 15.0,
            "lambda_identity": 0.5,
            "preprocess": "crop",
            "ema_decay": 0.999,
            "epochs": 50,
            "decay_epochs": 50,
        },
    ),
    Preset(
        name="small",
        title="Small set",
        summary="For fewer than 500 pictures on a side: as Standard, but the discriminators cannot learn them by "
        "heart.",
        group="purpose",
        # DiffAugment (Zhao et al. 2020).
        values={"ema_decay": 0.999, "diff_augment": True},
    ),
    Preset(
        name="8gb",
        title="GPU of 8 GB",
        summary="Standard at 256 px in less memory, for GPUs of 6 to 8 GB. The same result; steps take a bit longer.",
        group="memory",
        values={"ema_decay": 0.999, "per_direction": True},
    ),
    Preset(
        name="4gb",
        title="GPU of 4 GB",
        summary="Standard at 256 px in the least memory, for GPUs of 4 GB. The same result; steps take longer.",
        group="memory",
        values={"ema_decay": 0.999, "recompute": True, "per_direction": True},
    ),
    Preset(
        name="paper",
        title="Paper",
        summary="The recipe of the 2017 paper: no identity loss, 32-bit, 100 + 100 epochs.",
        group="compare",
        # Zhu et al. 2017, Sec. 4 and 7.1: no identity loss, 256 px cropped from 286, batch 1, 100 + 100 epochs, fp32.
        values={"lambda_identity": 0.0, "precision": "fp32", "hold_out": False},
    ),
    Preset(
        name="reference",
        title="Reference",
        summary="The defaults of the authors' PyTorch implementation, to compare with published results.",
        group="compare",
        # Identity weight 0.5, every picture trained on, fp32.
        values={"precision": "fp32", "hold_out": False},
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL_PRESETS}
"""All that come with the app, group by group: the one table for command, wizard and documents."""

CHANGEABLE = (
    *("epochs", "decay_epochs", "schedule", "step_epochs", "max_steps"),
    *("size", "width", "load_size", "grow_from", "flip", "jitter_in_decay"),
    *("batch_size", "accumulate", "learning_rate", "discriminator_rate"),
    *("lambda_A", "lambda_B", "lambda_identity", "gradient_penalty", "clip_gradient", "diff_augment"),
    *("recompute", "per_direction", "precision", "device", "save_minutes", "tensorboard"),
)
"""Fields of `TrainConfig` that a training under way can go on with otherwise."""

SMALL_SET = 500
"""Pictures of a side below which discriminators may learn them by heart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Everything that decides a training. A run stores it whole. Paths are made absolute.

    Attributes:
        folder_A: Pictures of domain A to train on; subfolders count.
        folder_B: Pictures of domain B to train on.
        run: Folder of this training on disk, made when it starts.
        test_A: Held-out pictures of A, shown as samples and never trained on; None holds some out of `folder_A`.
        test_B: The same for B.
        left_out: Pictures in these folders that are neither trained on nor shown as samples; the files stay.
        name_A: What domain A is called on screen and in the model file, such as "Horses".
        name_B: What domain B is called.
        preset: Name of the preset these values began from, of ours or the user's own; a record, it changes nothing by
            itself.
        size: Side of the square crops trained on, in pixels; their height where `width` is given. A multiple of 4 (two
            stride-2 convolutions), of 2 to the number of `halvings` for U-Nets.
        width: Width of the crops in pixels, None for squares.
        load_size: Side to which a picture is resized before the random crop, in pixels; at least `size`. The paper
            takes crops of 256 from 286. With `width` the height, and the width grows in proportion. With "scale_width"
            the width to which pictures are scaled.
        preprocess: How a picture becomes what is trained on: "resize_and_crop" to `load_size` ignoring its aspect, then
            a random crop; "crop" a random crop at its own scale; "scale_width" to the width `load_size`, whole;
            "scale_width_and_crop"; "none" whole and at its own size.
        flip: Whether half of the pictures are mirrored.
        serial: Whether pictures come in the order of their names on both sides, instead of shuffled (A) and drawn (B).
        jitter_in_decay: Whether pictures are still resized to `load_size` and cropped at random while the rate falls;
            False shows them whole at `size` then, as results will be.
        grow_from: Size in pixels at which the training begins, doubled in equal shares of the full-rate epochs until
            it is `size`; None trains at `size` throughout.
        grey_A: Whether pictures of A have one channel instead of three.
        grey_B: The same for B. Where the two differ there is no identity loss: it compares across domains.
        hold_out: Whether a tenth of the pictures (at most 64 a side, none of fewer than 25) is kept for samples and for
            measuring the quality when no test folder is given.
        generator: "resnet" as in the paper, or "unet" (Ronneberger et al. 2015) as in pix2pix.
        blocks: Residual blocks of each ResNet generator; the paper has 9 at 256 px and 6 at 128 px.
        halvings: Times a U-Net halves the picture: 7 is the reference's U-Net-128, 8 its U-Net-256.
        channels: Width of the first layer of generators and discriminators; the paper has 64.
        norm: Normalisation in all networks: "instance" as in the paper, "batch" or "none".
        dropout: Whether half of the features are dropped at random within the generators while training.
        init: How first weights are drawn; the paper has "normal".
        init_gain: Their scale: the standard deviation of "normal", the gain of "xavier" and "orthogonal".
        discriminator: "patch" judges overlapping patches, "pixel" each pixel by itself.
        discriminator_channels: Width of the first layer of the discriminators; None for that of the generators.
        discriminator_layers: Stride-2 layers of a patch discriminator; 3 is the paper's 70x70.
        spectral_norm: Whether each layer of the discriminators is scaled to a spectral norm of 1 (Miyato et al. 2018).
        long_skip: Whether a generator predicts a change of the picture instead of a picture.
        resize_conv: Whether a generator enlarges by repeating pixels and convolving, instead of by transposed
            convolution: no chequered pattern, for about a quarter more time a step with the small generator of `quick`.
        epochs: Epochs at the full learning rate, the time in which the generators find their translation. One epoch
            shows max(|A|, |B|) pictures of each side; the paper has 100.
        decay_epochs: Epochs after these over which the rate falls linearly to 0, which calms the game between
            generators and discriminators; the paper has 100.
        schedule: How the rate changes: "linear" as above; "step" to a tenth every `step_epochs`; "plateau" to a fifth
            whenever the cycle loss has not fallen for 5 epochs; "cosine" from full to 0 over all epochs; "constant".
        step_epochs: Epochs between two falls of the schedule "step".
        start_from: A model file or the folder of a training whose networks this one begins with; None begins anew.
        max_steps: Cap on the steps of the whole training, None for no cap. It never bends the schedule.
        max_minutes: Cap on the minutes of one sitting, None for no cap. It never bends the schedule either.
        batch_size: Pictures of each side at once. The paper has 1; more is faster per picture on a GPU.
        accumulate: Batches whose gradients are summed for one step: the effect of a larger batch in the memory of one.
        learning_rate: Adam's rate before the decay, per step. The paper has 2e-4 for one picture a step; several
            pictures a step bear a higher one.
        discriminator_rate: Adam's rate of the discriminators as a multiple of `learning_rate`; below 1 lets the
            generators keep up with discriminators that win.
        beta1: Adam's first-moment decay; the paper has 0.5, which keeps adversarial training from oscillating.
        lambda_A: Weight of the cycle loss of A (Eq. 2), in units of the adversarial loss; the paper has 10. A lower one
            lets the translation change more, a higher one keeps more.
        lambda_B: Weight of the cycle loss of B.
        lambda_identity: Weight of the identity loss as a fraction of the cycle weight (Sec. 5.2); 0 leaves it out.
        gan_loss: Adversarial loss: "lsgan" (the paper's least squares), "vanilla" (cross-entropy) or "hinge".
        gradient_penalty: Weight of the zero-centred gradient penalty on real pictures (R1, Mescheder et al. 2018),
            0 leaves it out.
        clip_gradient: Largest norm of the gradients of both generators, and of both discriminators; None for no limit.
        diff_augment: Whether discriminators see real and generated pictures shifted, recoloured and partly hidden at
            random (DiffAugment, Zhao et al. 2020), for small sets.
        ema_decay: Share of the old in the running average of the generators, per step, which samples and the model
            file then show; it begins lower, at (1 + n) / (10 + n) after n steps. 0 leaves it out.
        pool_size: Generated pictures remembered for the discriminators (Sec. 4); 0 shows them the newest only.
        recompute: Whether the backward pass computes what is inside residual blocks anew instead of remembering it: the
            same result in less memory and more time.
        per_direction: Whether A to B to A and B to A to B are computed one after the other, their gradients added up:
            the same result, but for rounding and for which features dropout drops, in less memory.
        precision: Arithmetic of the networks; losses and the statistics of norms stay in at least fp32. "auto" takes
            bf16 where the device is faster with it; fp16 is for GPUs without bf16.
        device: "auto", "cpu", "cuda", "cuda:N", "mps", or "all" for all GPUs of this machine together.
        seed: The seed of everything random, so that a training can be repeated.
        save_minutes: Minutes between checkpoints: what a crash can cost.
        tensorboard: Whether to write numbers and samples for TensorBoard into the run, too; needs its package.
    """

    folder_A: Path
    folder_B: Path
    run: Path
    test_A: Path | None = None
    test_B: Path | None = None
    left_out: tuple[Path, ...] = ()
    name_A: str = "A"
    name_B: str = "B"
    preset: str = "standard"
    size: int = 256
    width: int | None = None
    load_size: int = 286
    preprocess: Preprocess = "resize_and_crop"
    flip: bool = True
    serial: bool = False
    jitter_in_decay: bool = True
    grow_from: int | None = None
    grey_A: bool = False
    grey_B: bool = False
    hold_out: bool = True
    generator: GeneratorKind = "resnet"
    blocks: int = 9
    halvings: int = 8
    channels: int = 64
    norm: Norm = "instance"
    dropout: bool = False
    long_skip: bool = False
    resize_conv: bool = False
    init: Init = "normal"
    init_gain: float = 0.02
    discriminator: DiscriminatorKind = "patch"
    discriminator_channels: int | None = None
    discriminator_layers: int = 3
    spectral_norm: bool = False
    epochs: int = 100
    decay_epochs: int = 100
    schedule: Schedule = "linear"
    step_epochs: int = 50
    start_from: Path | None = None
    max_steps: int | None = None
    max_minutes: float | None = None
    batch_size: int = 1
    accumulate: int = 1
    learning_rate: float = 2e-4
    discriminator_rate: float = 1.0
    beta1: float = 0.5
    lambda_A: float = 10.0
    lambda_B: float = 10.0
    lambda_identity: float = 0.5
    gan_loss: AdversarialLoss = "lsgan"
    gradient_penalty: float = 0.0
    clip_gradient: float | None = None
    diff_augment: bool = False
    ema_decay: float = 0.0
    pool_size: int = 50
    recompute: bool = False
    per_direction: bool = False
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0
    save_minutes: float = 2.0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for field in _PATHS:
            # A training is resumed from wherever its user happens to be.
            path = getattr(self, field)
            object.__setattr__(self, field, None if path is None else Path(path).absolute())
        object.__setattr__(self, "left_out", tuple(Path(path).absolute() for path in self.left_out))
        for field in ("name_A", "name_B"):
            name = getattr(self, field)
            _require(bool(name.strip()), field, "Give each of the two domains a name, such as Horses and Zebras.")
            _require(len(name) <= 60, field, "Keep the name of a domain within 60 characters.")
            _require(
                name.isprintable(),
                field,
                "The name of a domain cannot hold line breaks or control characters.",
            )
        _require(
            self.name_A.strip().casefold() != self.name_B.strip().casefold(),
            "name_B",
            f"Both domains are called {self.name_A}; give them different names.",
        )
        _require_preset_name(self.preset)
        for switch in (field.name for field in dataclasses.fields(self) if isinstance(field.default, bool)):
            value = getattr(self, switch)
            _require(isinstance(value, bool), switch, f"The setting {switch} is on or off, not {value}.")
        self._check_networks()
        self._check_sizes()
        _require_int(self.epochs, "epochs", "The number of epochs", 0, 1_000_000)
        _require_int(self.decay_epochs, "decay_epochs", "The number of decay epochs", 0, 1_000_000)
        _require(
            self.epochs + self.decay_epochs > 0,
            "epochs",
            "Epochs and decay epochs are both 0, so there is nothing to train; set at least one of them to 1 or more.",
        )
        if self.max_steps is not None:
            _require_int(self.max_steps, "max_steps", "The cap on steps", 1, 10**12)
        if self.max_minutes is not None:
            _require_number(self.max_minutes, "max_minutes", "The cap on minutes", 0.0, 1e9, above=True)
        _require_choice(self.schedule, Schedule, "schedule", "schedule")
        _require_int(self.step_epochs, "step_epochs", "The number of epochs between two falls", 1, 1_000_000)
        _require_int(self.batch_size, "batch_size", "The batch size", 1, 1024)
        _require_int(self.accumulate, "accumulate", "The number of batches a step", 1, 1024)
        _require_number(self.learning_rate, "learning_rate", "The learning rate", 0.0, 1.0, above=True)
        _require_number(
            self.discriminator_rate, "discriminator_rate", "The rate of the discriminators", 0.0, 100.0, above=True
        )
        _require_number(self.beta1, "beta1", "Adam's beta1", 0.0, 0.9999)
        _require_number(self.lambda_A, "lambda_A", "The cycle weight", 0.0, 1e6)
        _require_number(self.lambda_B, "lambda_B", "The cycle weight", 0.0, 1e6)
        _require_number(self.lambda_identity, "lambda_identity", "The identity weight", 0.0, 1e6)
        _require_choice(self.gan_loss, AdversarialLoss, "gan_loss", "adversarial loss")
        _require_number(self.gradient_penalty, "gradient_penalty", "The weight of the gradient penalty", 0.0, 1e6)
        if self.clip_gradient is not None:
            _require_number(self.clip_gradient, "clip_gradient", "The largest gradient norm", 0.0, 1e9, above=True)
        _require_number(self.ema_decay, "ema_decay", "The decay of the averaged generators", 0.0, 0.999999)
        _require_int(self.pool_size, "pool_size", "The size of the image pool", 0, 100_000)
        _require_choice(self.precision, Precision, "precision", "precision")
        _require_device(self.device, allow_all=True)
        _require_int(self.seed, "seed", "The seed", 0, 2**63 - 1)
        _require_number(self.save_minutes, "save_minutes", "The minutes between checkpoints", 0.0, 1e6, above=True)

    def _check_networks(self) -> None:
        _require_choice(self.generator, GeneratorKind, "generator", "generator")
        _require_int(self.blocks, "blocks", "The number of residual blocks", 1, 64)
        _require_int(self.halvings, "halvings", "The number of halvings", 5, 10)
        _require_int(self.channels, "channels", "The number of channels", 1, 512)
        _require_choice(self.norm, Norm, "norm", "norm")
        _require_choice(self.init, Init, "init", "way to draw first weights")
        _require_number(self.init_gain, "init_gain", "The scale of first weights", 0.0, 100.0, above=True)
        _require_choice(self.discriminator, DiscriminatorKind, "discriminator", "discriminator")
        if self.discriminator_channels is not None:
            _require_int(
                self.discriminator_channels,
                "discriminator_channels",
                "The number of channels of the discriminator",
                1,
                512,
            )
        _require_int(
            self.discriminator_layers, "discriminator_layers", "The number of layers of the discriminator", 1, 6
        )
        _require(
            not (self.resize_conv and self.generator == "unet"),
            "resize_conv",
            "A U-Net has no resize-convolution; turn it off or choose the ResNet generator.",
        )

        _require(
            not (self.recompute and self.generator == "unet"),
            "recompute",
            "A U-Net has no residual blocks to compute anew; turn this off, or take less memory one direction at a "
            "time.",
        )

    def _check_sizes(self) -> None:
        multiple = self.architecture.multiple
        for field, side, name in (("size", self.size, "picture size"), ("width", self.width, "picture width")):
            if field == "size" or side is not None:
                _require_int(side, field, f"The {name}", 32, 4096, "pixels")
                assert side is not None
                _require(side % multiple == 0, field, f"A {name} of {side} is {self._no_multiple(side, multiple)}.")
        _require_int(self.load_size, "load_size", "The size before cropping", 32, 8192, "pixels")
        _require_choice(self.preprocess, Preprocess, "preprocess", "preprocessing")
        if self.preprocess == "resize_and_crop":
            _require(
                self.load_size >= self.size,
                "load_size",
                f"The size before cropping ({self.load_size}) must be at least the picture size ({self.size}).",
            )
        elif self.preprocess == "scale_width_and_crop":
            width = self.width or self.size
            _require(
                self.load_size >= width,
                "load_size",
                f"The width before cropping ({self.load_size}) must be at least the picture width ({width}).",
            )
        if self.preprocess in ("scale_width", "none"):
            _require(
                self.batch_size == 1,
                "batch_size",
                "Whole pictures differ in size, so they are trained on one at a time: set the batch size to 1, or "
                "choose a preprocessing that crops.",
            )
            _require(
                self.accumulate == 1,
                "accumulate",
                "Whole pictures differ in size, so they are trained on one at a time: set the batches a step to 1, or "
                "choose a preprocessing that crops.",
            )
            _require(
                self.grow_from is None, "grow_from", "Whole pictures cannot grow; choose a preprocessing that crops."
            )
        least = self.size if self.width is None else min(self.size, self.width)
        if self.grow_from is not None:
            _require_int(self.grow_from, "grow_from", "The size to begin at", 16, 4096, "pixels")
            _require(
                self.epochs > 0,
                "grow_from",
                "A training grows during its epochs at the full rate, and there are none; set the epochs to 1 or more.",
            )
            factor = self.size // self.grow_from
            _require(
                factor >= 2 and self.size == factor * self.grow_from and factor & (factor - 1) == 0,
                "grow_from",
                f"The size to begin at must be {self.size} px halved once or more, such as {self.size // 2}, not "
                f"{self.grow_from}.",
            )
            _require(
                all(side % (factor * multiple) == 0 for side in self.crop_size),
                "grow_from",
                f"Beginning at {self.grow_from} px would give sides that are no multiples of {multiple}; begin larger.",
            )
            least //= factor
        if self.discriminator == "patch":
            needed = 3 * 2**self.discriminator_layers
            begins = "" if self.grow_from is None else f", and this training begins with {least} px"
            _require(
                least >= needed,
                "discriminator_layers" if self.grow_from is None else "grow_from",
                f"{self.discriminator_layers} layers of the discriminator need pictures of at least {needed} px"
                f"{begins}; take fewer layers or a larger size.",
            )

    def _no_multiple(self, side: int, multiple: int) -> str:
        """What is wrong with a side, and what would do instead."""
        nearest = max(1, round(side / multiple)) * multiple
        if self.generator != "unet":
            return f"no multiple of {multiple}; take {nearest}"
        fitting = [halvings for halvings in range(5, self.halvings) if side % 2**halvings == 0]
        instead = f", or {fitting[-1]} halvings" if fitting else ""
        return f"no multiple of {multiple}, which {self.halvings} halvings need; take {nearest}{instead}"

    @property
    def architecture(self) -> Architecture:
        """What its generators are made of."""
        return Architecture(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Architecture)})

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of what is trained on, in pixels (not of whole pictures, which have their own)."""
        return self.size, self.width or self.size

    @property
    def total_epochs(self) -> int:
        """Epochs at the full rate and epochs of decay together."""
        return self.epochs + self.decay_epochs

    def to_json(self) -> dict[str, Any]:
        """This configuration as plain JSON values; paths become strings.

        Pictures left out are told from where their folders are, so that a moved folder is mended in one place.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["left_out"] = self._left_out_by_folder()
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    def _left_out_by_folder(self) -> dict[str, list[str]]:
        """Pictures left out by the field of their folder, "" for those in none of them."""
        folders = {field: getattr(self, field) for field in _PICTURE_FOLDERS if getattr(self, field) is not None}
        found: dict[str, list[str]] = {}
        for path in self.left_out:
            field = next((field for field, folder in folders.items() if path.is_relative_to(folder)), "")
            name = path.relative_to(folders[field]).as_posix() if field else str(path)
            found.setdefault(field, []).append(name)
        return found

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainConfig:
        """The configuration that `to_json` wrote.

        Raises:
            ConfigError: A field is missing, unknown or makes no sense.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        _require(not unknown, unknown[0] if unknown else "", f"Unknown setting {', '.join(unknown)}.")
        converted: dict[str, Any] = {
            name: Path(value) if name in _PATHS and value is not None else value for name, value in values.items()
        }
        try:
            if isinstance(left_out := converted.get("left_out"), dict):
                converted["left_out"] = tuple(
                    Path(converted[field] or "") / name if field else Path(name)
                    for field, names in left_out.items()
                    for name in names
                )
            return cls(**converted)
        except (TypeError, AttributeError, KeyError) as error:
            raise ConfigError("", f"The settings are incomplete or of the wrong kind: {error}.") from error


def preset_config(preset: str | Preset, **values: Any) -> TrainConfig:
    """The configuration of a preset, with `values` in place of what it sets.

    A `size` given without a `load_size` scales the preset's own, so that crops keep their proportion. A U-Net leaves
    out a preset's resize-convolution and recomputing, which it has no place for.

    Args:
        preset: One of the user's own, or the name of one of `PRESETS`, such as "quick".
        **values: Fields of `TrainConfig`; folder_A, folder_B and run are required.

    Raises:
        ConfigError: A value makes no sense.
    """
    if isinstance(preset, str):
        _require(preset in PRESETS, "preset", f"There is no preset {preset}; choose {', '.join(PRESETS)}.")
        preset = PRESETS[preset]
    base = dict(preset.values)
    if values.get("generator") == "unet":
        for field in ("resize_conv", "recompute"):
            base.pop(field, None)
    if "size" in values and "load_size" not in values and isinstance(values["size"], int):
        ratio = base.get("load_size", 286) / base.get("size", 256)
        values["load_size"] = max(values["size"], round(values["size"] * ratio))
    return TrainConfig(**{**base, **values, "preset": preset.name})


def suggests_diff_augment(preset: str, *, is_on: bool, count_A: int, count_B: int) -> bool:
    """Whether DiffAugment is worth suggesting: discriminators learn small sets by heart.

    Other presets than "standard" are another's recipe, or too short for that.

    Args:
        preset: The preset a training begins from.
        is_on: Whether it has DiffAugment already.
        count_A: Its pictures of A.
        count_B: Its pictures of B.
    """
    return preset == "standard" and not is_on and min(count_A, count_B) < SMALL_SET


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSettings:
    """How results are written as files.

    Attributes:
        format: "keep" writes each picture in its source's format (PNG where that cannot be written).
        quality: JPEG, WebP, AVIF, JPEG 2000 and HEIC quality, 1 to 100.
        lossless: Whether formats that have both keep every pixel: WebP, AVIF, JPEG 2000 and HEIC.
        chroma: Share of the colour that JPEG, AVIF and HEIC keep: "4:4:4" all of it.
        grey: Whether results have one channel, as those of a grey domain have.
    """

    format: OutputFormat = "keep"
    quality: int = 90
    lossless: bool = False
    chroma: Chroma = "4:4:4"
    grey: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertJob:
    """One batch of pictures to convert.

    Attributes:
        model: A model file (`.safetensors`) or the folder of a training.
        sources: Pictures and folders of pictures, in the order given. Folders are walked with their subfolders.
        to: Folder for the results, made if it is not there. One source folder maps straight into it, several map into
            subfolders of their names.
        direction: "a2b" or "b2a".
        format: As in `OutputSettings`.
        quality: As in `OutputSettings`.
        lossless: As in `OutputSettings`.
        chroma: As in `OutputSettings`.
        frames: "all" converts every page and every frame of an animation, "first" the first one.
        resize: None keeps the picture's own size, "training" scales its longest side down to the training size, a
            number of pixels scales it down to that. "change" keeps its own size, too, but computes the change at the
            training size and adds it to the full picture; for models with the long skip.
        name: Template of the results' names, without ending: {name}, {direction}, {model}, {date} and {index} stand for
            the source's name, the direction in words, the model's name, today and the place in the batch.
        if_exists: What to do where there is a file of a result's name: "rename" to "name (1)", "skip", or "overwrite",
            which never touches a source.
        again: Whether to convert also what was converted before with the same model and settings.
        watch: Whether to go on with new pictures in the source folders as they come, until stopped.
        max_megapixels: Pictures with more million pixels are refused unread.
        time_limit: Seconds in which a picture must be decoded, and its result encoded; its work is ended then.
        memory_gb: Memory that one picture's translation may take, in GB (1e9 bytes), None for what is free. Pictures
            that need more are streamed through the layers in strips.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: Arithmetic of the generator.
        engine: What computes it: "auto" is OpenVINO where that is installed and faster, else PyTorch. With "openvino" a
            conversion that it cannot do is refused.
        roots: Folders that sources which are files are mirrored from: a file below roots[i] keeps its subfolder in the
            output; empty for none.
    """

    model: Path
    sources: tuple[Path, ...]
    to: Path
    direction: Direction
    format: OutputFormat = "keep"
    quality: int = 90
    lossless: bool = False
    chroma: Chroma = "4:4:4"
    frames: Frames = "all"
    resize: Resize = None
    name: str = "{name}"
    if_exists: IfExists = "rename"
    again: bool = False
    watch: bool = False
    max_megapixels: int = 200
    time_limit: float = 120.0
    memory_gb: float | None = None
    device: str = "auto"
    precision: Precision = "auto"
    engine: Engine = "auto"
    roots: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        _require(bool(self.sources), "sources", "Add at least one picture or folder to convert.")
        _require(self.direction in get_args(Direction), "direction", "The direction is a2b or b2a.")
        _require_choice(self.format, OutputFormat, "format", "output format")
        _require_int(self.quality, "quality", "The quality", 1, 100)
        _require_choice(self.chroma, Chroma, "chroma", "chroma")
        _require_choice(self.frames, Frames, "frames", "choice of frames")
        if self.resize not in (None, "training", "change"):
            _require_int(self.resize, "resize", "The size to scale to", 8, 100_000, "pixels")
        _check_name_template(self.name)
        _require_choice(self.if_exists, IfExists, "if_exists", "way to treat files that exist")
        _require_int(self.max_megapixels, "max_megapixels", "The largest picture", 1, 100_000, "million pixels")
        _require_number(self.time_limit, "time_limit", "The time limit in seconds", 0.0, 1e6, above=True)
        if self.memory_gb is not None:
            _require_number(self.memory_gb, "memory_gb", "The memory in GB", 0.0, 1e6, above=True)
        _require_choice(self.precision, Precision, "precision", "precision")
        _require_choice(self.engine, Engine, "engine", "engine")
        _require_device(self.device)


NAME_PLACEHOLDERS = ("name", "direction", "model", "date", "index")
"""What a template of names may hold between braces."""


_PICTURE_FOLDERS = ("folder_A", "folder_B", "test_A", "test_B")
_PATHS = (*_PICTURE_FOLDERS, "run", "start_from")


def _require(condition: bool, field: str, message: str) -> None:
    if not condition:
        raise ConfigError(field, message)


def _check_name_template(template: str) -> None:
    known = ", ".join(f"{{{name}}}" for name in NAME_PLACEHOLDERS)
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        raise ConfigError("name", f"The template {template} has a brace too many. It may hold {known}.") from None
    for _, field, spec, conversion in parts:
        _require(
            field is None or (field in NAME_PLACEHOLDERS and not spec and not conversion),
            "name",
            f"The template of names cannot hold {{{field}}}; it may hold {known}.",
        )
    _require(
        any(field in ("name", "index") for _, field, _, _ in parts),
        "name",
        "Results need names of their own: let the template hold {name} or {index}.",
    )
    _require(
        "/" not in template and "\\" not in template,
        "name",
        "The template of names cannot hold / or \\; subfolders are those of the sources.",
    )


def _require_choice(value: object, choices: Any, field: str, what: str) -> None:
    _require(value in get_args(choices), field, f"There is no {what} {value}; choose {', '.join(get_args(choices))}.")


def _require_int(value: object, field: str, what: str, low: int, high: int, unit: str = "") -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    span = f"a whole number from {low:,} to {high:,}" + (f" {unit}" if unit else "")
    _require(good, field, f"{what} must be {span}, not {value}.")


def _require_preset_name(name: object) -> None:
    is_name = isinstance(name, str) and 0 < len(name) <= 60 and name.strip() == name and name.isprintable()
    _require(is_name, "preset", "The name of a preset is one line of 1 to 60 characters.")


def _require_number(value: object, field: str, what: str, low: float, high: float, *, above: bool = False) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    good = good and isinstance(value, int | float) and low <= value <= high and not (above and value == low)
    span = f"above {low:g} and at most {high:g}" if above else f"from {low:g} to {high:g}"
    _require(good, field, f"{what} must be a number {span}, not {value}.")


def _require_device(device: str, *, allow_all: bool = False) -> None:
    good = device in ("auto", "cpu", "cuda", "mps") or (device.startswith("cuda:") and device[5:].isdecimal())
    good = good or (allow_all and device == "all")
    more = ", all" if allow_all else ""
    _require(good, "device", f"There is no device {device}; choose auto, cpu, cuda, cuda:0 (1, 2, ...){more} or mps.")
