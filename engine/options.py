"""Every option of a training beyond its folders, size, epochs and device: one table for command, wizard and documents.

The limits are those within which an editor should keep a number; `TrainConfig` is who decides what makes sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

OptionKind: TypeAlias = Literal["int", "float", "bool", "choice", "model"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        field: Its name in `TrainConfig`; the command's flag is the same with dashes.
        group: Under which heading it stands.
        title: A few words.
        explanation: One line for somebody who has not met it before.
        kind: "int", "float", "bool", "choice", or "model" (a model file or the folder of a training, or nothing).
        low: Smallest number offered.
        high: Largest number offered.
        unit: Of the number, such as "px".
        choices: Each value with its words.
        none: What None is called, such as "no limit"; "" if None is no value of this option.
    """

    field: str
    group: str
    title: str
    explanation: str
    kind: OptionKind
    low: float = 0
    high: float = 0
    unit: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    none: str = ""

    @property
    def flag(self) -> str:
        """The flag of the headless command, such as "--pool-size"."""
        return self.flag_of(self.field)

    @staticmethod
    def flag_of(field: str) -> str:
        """The flag of any field of `TrainConfig`."""
        return f"--{field.replace('_', '-').lower()}"


_PICTURES, _NETWORKS, _LOSSES = "Pictures", "Networks", "Losses"
_SCHEDULE, _STEADY, _MACHINE = "Schedule", "Steadier training", "Machine"

OPTIONS: tuple[Option, ...] = (
    # Pictures
    Option(
        "preprocess",
        _PICTURES,
        "Preprocessing",
        "How a picture becomes what is trained on.",
        "choice",
        choices=(
            ("resize_and_crop", "Resize, then crop at random"),
            ("crop", "Crop at random, at its own scale"),
            ("scale_width", "Scale to one width, whole"),
            ("scale_width_and_crop", "Scale to one width, then crop at random"),
            ("none", "Whole, at its own size"),
        ),
    ),
    Option(
        "load_size",
        _PICTURES,
        "Size before cropping",
        "Side (or width, when scaling to one width) to which pictures are resized first.",
        "int",
        32,
        8192,
        "px",
    ),
    Option(
        "width",
        _PICTURES,
        "Width of crops",
        "For crops that are not square; the picture size is then their height.",
        "int",
        32,
        4096,
        "px",
        none="square",
    ),
    Option(
        "flip",
        _PICTURES,
        "Mirror pictures",
        "Half of the pictures are shown mirrored; turn off for writing or maps.",
        "bool",
    ),
    Option(
        "serial", _PICTURES, "Keep the order", "Pictures come in the order of their names instead of shuffled.", "bool"
    ),
    Option(
        "jitter_in_decay",
        _PICTURES,
        "Random crops to the end",
        "Off: while the rate falls pictures are shown whole at the picture size, as results will be.",
        "bool",
    ),
    Option(
        "grow_from",
        _PICTURES,
        "Begin smaller",
        "Begin at this size and double it during the full-rate epochs: more steps in the same time.",
        "int",
        16,
        4096,
        "px",
        none="off",
    ),
    Option("grey_A", _PICTURES, "First domain is grey", "Its pictures have one channel instead of three.", "bool"),
    Option("grey_B", _PICTURES, "Second domain is grey", "Its pictures have one channel instead of three.", "bool"),
    Option(
        "hold_out",
        _PICTURES,
        "Hold out samples",
        "Keep a tenth of the pictures (at most 64 a side) for samples and the quality score only, when there are no "
        "test folders.",
        "bool",
    ),
    # Networks
    Option(
        "generator",
        _NETWORKS,
        "Generator",
        "The kind of network that translates.",
        "choice",
        choices=(("resnet", "ResNet (the paper's)"), ("unet", "U-Net (as in pix2pix)")),
    ),
    Option(
        "blocks",
        _NETWORKS,
        "Residual blocks",
        "Depth of a ResNet: 9 at 256 px and 6 at 128 px in the paper.",
        "int",
        1,
        64,
    ),
    Option(
        "halvings", _NETWORKS, "Halvings of a U-Net", "7 is the reference's U-Net-128, 8 its U-Net-256.", "int", 5, 10
    ),
    Option(
        "channels", _NETWORKS, "Channels", "Width of the first layer of all networks; 64 in the paper.", "int", 1, 512
    ),
    Option(
        "norm",
        _NETWORKS,
        "Normalisation",
        "How features are kept in range; instance is the paper's.",
        "choice",
        choices=(("instance", "Instance"), ("batch", "Batch"), ("none", "None")),
    ),
    Option("dropout", _NETWORKS, "Dropout", "Drop half of some features at random while training.", "bool"),
    Option(
        "long_skip",
        _NETWORKS,
        "Long skip",
        "Predict a change of the picture: sharp from the first minute, but it keeps every shape.",
        "bool",
    ),
    Option(
        "resize_conv",
        _NETWORKS,
        "Resize-convolution",
        "Enlarge without the chequered pattern of transposed convolutions; steps take longer.",
        "bool",
    ),
    Option(
        "init",
        _NETWORKS,
        "First weights",
        "How they are drawn.",
        "choice",
        choices=(("normal", "Normal"), ("xavier", "Xavier"), ("kaiming", "Kaiming"), ("orthogonal", "Orthogonal")),
    ),
    Option(
        "init_gain",
        _NETWORKS,
        "Scale of first weights",
        "Standard deviation of normal, gain of Xavier and orthogonal.",
        "float",
        0.0001,
        10,
    ),
    Option(
        "discriminator",
        _NETWORKS,
        "Discriminator",
        "What it judges.",
        "choice",
        choices=(("patch", "Overlapping patches"), ("pixel", "Each pixel by itself")),
    ),
    Option(
        "discriminator_channels",
        _NETWORKS,
        "Channels of the discriminator",
        "Width of its first layer, where it is not that of the generators.",
        "int",
        1,
        512,
        none="as the generators",
    ),
    Option(
        "discriminator_layers",
        _NETWORKS,
        "Layers of the discriminator",
        "3 judges patches of 70 px as in the paper; more judges larger ones.",
        "int",
        1,
        6,
    ),
    Option(
        "start_from",
        _NETWORKS,
        "Start from a model",
        "Go on from the networks of a finished or imported model (fine-tuning).",
        "model",
        none="anew",
    ),
    # Losses
    Option(
        "gan_loss",
        _LOSSES,
        "Adversarial loss",
        "How generators and discriminators compete.",
        "choice",
        choices=(("lsgan", "Least squares (the paper's)"), ("vanilla", "Cross-entropy"), ("hinge", "Hinge")),
    ),
    Option(
        "lambda_A",
        _LOSSES,
        "Cycle weight of the first domain",
        "Higher keeps more of the picture, lower lets more change.",
        "float",
        0,
        1000,
    ),
    Option(
        "lambda_B",
        _LOSSES,
        "Cycle weight of the second domain",
        "Higher keeps more of the picture, lower lets more change.",
        "float",
        0,
        1000,
    ),
    Option(
        "lambda_identity",
        _LOSSES,
        "Identity weight",
        "Fraction of the cycle weight: keeps colours where nothing needs to change; 0 leaves it out.",
        "float",
        0,
        100,
    ),
    Option(
        "pool_size",
        _LOSSES,
        "Image pool",
        "Generated pictures remembered for the discriminators; 0 shows them the newest only.",
        "int",
        0,
        100_000,
    ),
    # Schedule
    Option(
        "schedule",
        _SCHEDULE,
        "Learning rate over time",
        "How it changes.",
        "choice",
        choices=(
            ("linear", "Full, then falling to 0"),
            ("step", "A tenth every so many epochs"),
            ("plateau", "A fifth when the cycle loss stands still"),
            ("cosine", "Cosine to 0 over all epochs"),
            ("constant", "Constant"),
        ),
    ),
    Option(
        "step_epochs", _SCHEDULE, "Epochs between falls", "Of the schedule that falls to a tenth.", "int", 1, 1_000_000
    ),
    Option(
        "learning_rate",
        _SCHEDULE,
        "Learning rate",
        "Adam's rate a step at first; 0.0002 in the paper.",
        "float",
        0.000001,
        1,
    ),
    Option(
        "discriminator_rate",
        _SCHEDULE,
        "Rate of the discriminators",
        "As a multiple of the learning rate; lower it where discriminators win.",
        "float",
        0.01,
        100,
    ),
    Option("beta1", _SCHEDULE, "Beta 1", "Adam's first-moment decay; 0.5 in the paper.", "float", 0, 0.9999),
    Option("batch_size", _SCHEDULE, "Batch size", "Pictures of each side at once; 1 in the paper.", "int", 1, 1024),
    Option(
        "accumulate",
        _SCHEDULE,
        "Batches a step",
        "The effect of a larger batch in the memory of one: gradients of so many batches make one step.",
        "int",
        1,
        1024,
    ),
    Option(
        "max_steps",
        _SCHEDULE,
        "Stop at step",
        "Ends there; never bends the schedule.",
        "int",
        1,
        1_000_000_000,
        none="no cap",
    ),
    Option(
        "max_minutes",
        _SCHEDULE,
        "Stop after minutes",
        "Ends this sitting; never bends the schedule.",
        "float",
        0.01,
        1_000_000,
        "min",
        none="no cap",
    ),
    # Steadier training
    Option(
        "ema_decay",
        _STEADY,
        "Average the generators",
        "Share of the old in a running average that samples and the model show (0.999); 0 leaves it out.",
        "float",
        0,
        0.999999,
    ),
    Option(
        "diff_augment",
        _STEADY,
        "Augment for the discriminators (DiffAugment)",
        "For fewer than 500 pictures a side: keeps discriminators from learning them by heart.",
        "bool",
    ),
    Option(
        "gradient_penalty",
        _STEADY,
        "Gradient penalty (R1)",
        "Keeps discriminators smooth; 0 leaves it out, steps take longer with it.",
        "float",
        0,
        1000,
    ),
    Option("spectral_norm", _STEADY, "Spectral norm", "Bounds every layer of the discriminators.", "bool"),
    Option(
        "clip_gradient",
        _STEADY,
        "Clip gradients",
        "Largest norm of the gradients of a step.",
        "float",
        0.0001,
        1_000_000,
        none="no limit",
    ),
    # Machine
    Option(
        "precision",
        _MACHINE,
        "Precision",
        "Arithmetic of the networks; automatic takes the fastest that is safe.",
        "choice",
        choices=(("auto", "Automatic"), ("fp32", "32 bits"), ("bf16", "bfloat16"), ("fp16", "16 bits")),
    ),
    Option(
        "recompute",
        _MACHINE,
        "Recompute activations",
        "Less memory and the same result: what is inside residual blocks is computed twice. Steps take longer.",
        "bool",
    ),
    Option(
        "per_direction",
        _MACHINE,
        "One direction at a time",
        "Less memory and the same result: A to B to A, then B to A to B.",
        "bool",
    ),
    Option(
        "seed", _MACHINE, "Seed", "Of everything random, so that a training can be repeated.", "int", 0, 2_147_483_647
    ),
    Option(
        "save_minutes", _MACHINE, "Minutes between checkpoints", "What a crash can cost.", "float", 0.05, 1440, "min"
    ),
    Option(
        "tensorboard",
        _MACHINE,
        "Log for TensorBoard",
        "Write the numbers and samples for TensorBoard, too, which must be installed.",
        "bool",
    ),
)
"""In the order in which they are shown, group by group."""
