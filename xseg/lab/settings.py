"""Settings of a study; the docstrings are also the help texts. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xseg.errors import ConfigError


@dataclass(frozen=True)
class StudySettings:
    """Training settings for all networks of a study.

    Args:
        width: multiplier of Xception's channels for the first network; the others get as many parameters.
        size: height and width of the images in pixels.
        images: number of generated training images in ten classes; not used with a folder.
        val_images: number of generated validation images.
        epochs: number of passes over the training images.
        batch_size: images per step.
        optimizer: "sgd" with momentum 0.9, "rmsprop" or "adamw".
        lr: initial learning rate, which falls linearly to 0.
        weight_decay: weight decay of dense kernels.
        warmup_steps: number of warm-up steps.
        dropout: dropout before the output layer.
        points: number of validations, spread evenly over the steps.
        seeds: seeds of weights, order and augmentation; each network is trained once per seed.

    Raises:
        ConfigError: if a value is out of range.
    """

    width: float = 0.25
    size: int = 64
    images: int = 2500
    val_images: int = 500
    epochs: int = 10
    batch_size: int = 16
    optimizer: Literal["sgd", "rmsprop", "adamw"] = "adamw"
    lr: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 20
    dropout: float = 0.2
    points: int = 10
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(self.seeds))
        for name in ("images", "val_images", "epochs", "batch_size", "points"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}", expected="1 or more")
        if self.size < 33 or self.width <= 0:
            got = f"size={self.size}, width={self.width}"
            raise ConfigError(got, expected="a size of at least 33 and a width above 0")
        if min(self.seeds, default=-1) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds={self.seeds}", expected="one or more different seeds of at least 0")
        if min(self.images, self.val_images) < 2 * 10:
            got = f"{self.images} and {self.val_images} images"
            raise ConfigError(got, expected="at least 20 each, for ten classes")
