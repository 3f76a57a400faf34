"""Whether the networks of one training can be the beginning of another, and if not, why, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from engine.errors import ConfigError
from engine.words import counted

_WORDS = {
    "G_AB": "generator from A to B",
    "G_BA": "generator from B to A",
    "D_A": "discriminator of A",
    "D_B": "discriminator of B",
}


def check_fit(networks: Mapping[str, nn.Module], parts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """See that networks can take up stored weights; discriminators that are not stored can begin anew.

    Weights do not show whether they are those of a long skip; that is not seen here.

    Args:
        networks: G_AB, G_BA, D_A and D_B as the settings ask for them.
        parts: For each of these names the state dict that is stored, or an empty one.

    Raises:
        ConfigError: A generator is missing, or something has another shape; with a sentence for the user.
    """
    for name, network in networks.items():
        if parts[name]:
            difference = _difference(parts[name], network.state_dict())
            if difference is not None:
                raise ConfigError(
                    "start_from",
                    f"The model to start from does not fit this training in its {_WORDS[name]}: {difference}. Choose "
                    "the settings that it was trained with, or another model.",
                )
        elif name in ("G_AB", "G_BA"):
            raise ConfigError(
                "start_from",
                f"The model to start from has no {_WORDS[name]}, and a training needs both directions. Choose a model "
                "that has both.",
            )


def _difference(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """What differs, the most telling first; None if nothing does."""
    theirs, ours = ({key: tuple(tensor.shape) for key, tensor in part.items()} for part in (stored, wanted))
    if theirs == ours:
        return None
    for trait, wish in zip(_traits(theirs), _traits(ours), strict=True):
        if trait != wish:
            return f"there it has {trait}, here it has {wish}"
    key = min(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    return f"its {key} has another shape"


def _traits(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """What keys and shapes tell about a network, each to follow "it has"."""
    keys = sorted((key for key, shape in shapes.items() if len(shape) == 4), key=_place)
    if not keys:
        return ("no convolutions", *[""] * 7)
    first, upper, last = shapes[keys[0]], shapes[keys[-min(3, len(keys))]], keys[-1]
    blocks = sum(key.endswith("conv_block.1.weight") for key in keys)
    # Only before an instance norm each convolution has a bias.
    biased = sum(key.endswith("bias") for key in shapes) == len(keys)
    norm = "batch" if any(key.endswith("running_mean") for key in shapes) else "instance" if biased else "no"
    out_channels = shapes.get(last.replace("weight", "bias"), (0,))[0]
    return (
        counted(blocks, "residual block") if blocks else f"{len(keys)} convolutions and no residual blocks",
        "spectral norm" if "parametrizations" in last else "no spectral norm",
        f"{counted(first[0], 'channel')} in its first layer",
        f"pictures of {counted(first[1], 'channel')} as its input",
        f"pictures of {counted(out_channels, 'channel')} as its output",
        f"{norm} norm",
        "dropout" if any(key.endswith("conv_block.6.weight") for key in keys) else "no dropout",
        "transposed convolutions" if upper[0] > upper[1] else "resize-convolutions",
    )


def _place(key: str) -> list[tuple[int, str]]:
    """What sorts keys in the order of the layers, "model.4" before "model.10"; a file holds them in any order."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in key.split(".")]
