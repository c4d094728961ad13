"""Samplers, whose order is a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from xseg.errors import ConfigError

Key = tuple[int, int]  # epoch, index
MOST_VISITS = 4.0  # largest relative weight of an image


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index) keys, so that augmentation depends on both, but not on the worker.

    Args:
        size: number of samples in the data set, 1 or more.
        seed: random seed of the order, 0 or more.
        shuffle: whether every epoch has a new random order; otherwise samples are in order, and the epoch is always 0.
        rank: number of this process among `world`.
        world: number of processes that share the data set; rank r gets every `world`-th position, starting at r.
        even: whether all ranks get the same number of samples, as required for training, by leaving out the last
            positions of the epoch; otherwise every sample is visited exactly once.

    Raises:
        ConfigError: if a number is out of range.
    """

    def __init__(
        self, size: int, *, seed: int = 0, shuffle: bool = True, rank: int = 0, world: int = 1, even: bool = False
    ) -> None:
        if size < 1 or seed < 0 or not 0 <= rank < world:
            raise ConfigError(
                f"size={size}, seed={seed}, rank={rank}, world={world}", expected="size >= 1, seed >= 0, rank < world"
            )
        self.size, self.seed, self.shuffle, self.rank, self.world = size, seed, shuffle, rank, world
        self.visited = size // world * world if even else size
        self.epoch = 0
        self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration, as Lightning does; another epoch starts from its beginning."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def order(self, epoch: int) -> list[int]:
        """Return the indices of this rank in an epoch."""
        if self.shuffle:
            places = np.random.default_rng((self.seed, epoch)).permutation(self.size)
        else:
            places = np.arange(self.size)
        return [int(index) for index in places[: self.visited][self.rank :: self.world]]

    def __iter__(self) -> Iterator[Key]:
        epoch, start = (self.epoch if self.shuffle else 0), self.position
        self.position = 0  # only the first iteration after resuming is shorter
        return iter([(epoch, index) for index in self.order(epoch)[start:]])

    def __len__(self) -> int:
        """Return the number of samples in a complete epoch, even if the next iteration starts inside one."""
        return len(range(self.rank, self.visited, self.world))

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, and the number of its samples that the next iteration skips."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume from `state_dict`."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])


class ClassAwareSampler(EpochSampler):
    """Visits images with higher weights several times per epoch, instead of images with lower weights.

    The number of visits is the share of the image's weight in the epoch, randomly rounded up or down. Repeated visits
    have an index beyond the end of the data set, `index + repetition * size`, for another augmentation. The order is a
    pure function of seed and epoch, and ranks share its positions.

    Args:
        weights: one weight above 0 per image; see `image_weights`.
        seed: random seed of the order, 0 or more.
        rank: number of this process among `world`.
        world: number of processes that share the positions of an epoch.
        even: see `EpochSampler`.

    Raises:
        ConfigError: if a number is out of range.
    """

    def __init__(
        self, weights: Sequence[float], *, seed: int = 0, rank: int = 0, world: int = 1, even: bool = False
    ) -> None:
        super().__init__(len(weights), seed=seed, rank=rank, world=world, even=even)
        if min(weights) <= 0:
            raise ConfigError(f"an image's weight of {min(weights)}", expected="weights above 0")
        self.weights = np.asarray(weights, np.float64)

    def order(self, epoch: int) -> list[int]:
        """Return the indices of this rank in an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        shuffled = rng.permutation(self.size)
        # systematic sampling: a single random number for all images keeps each close to its share
        ends = np.cumsum(self.weights[shuffled]) * (self.size / self.weights.sum())
        ends[-1] = self.size
        visits = np.diff(np.floor(ends + rng.random()), prepend=0).astype(np.int64)
        visits[-1] += self.size - visits.sum()
        places = [
            int(index) + repetition * self.size
            for index, count in zip(shuffled, visits, strict=True)
            for repetition in range(count)
        ]
        drawn = [places[place] for place in rng.permutation(self.size)]
        return drawn[: self.visited][self.rank :: self.world]


def class_rarity(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rarity of each class: the root of median / frequency, 1 for the median class.

    Args:
        pixels: number of labelled pixels, (images, classes).

    Returns:
        Rarities, (classes,) float64; 0 for a class without pixels.

    Source: median frequency balancing, Eigen and Fergus 2015, section 6.3.2; its root, as in
    `xseg.training.class_weights`.
    """
    total = pixels.sum(axis=0).astype(np.float64)
    met = total > 0
    rarity = np.zeros(len(total))
    if met.any():
        rarity[met] = np.sqrt(np.median(total[met]) / total[met])
    return rarity


def image_weights(pixels: NDArray[np.int64]) -> tuple[float, ...]:
    """Return the relative visits of images: 1, or the rarity of their rarest class.

    Args:
        pixels: number of labelled pixels, (images, classes). A class counts if it has at least a thousandth of the
            pixels of an image.

    Returns:
        Weights from 1 to 4, one per image. The limit prevents a few images from filling an epoch.

    Source: the repeat factors of Gupta et al. 2019 (LVIS), section 5, with pixels instead of images.
    """
    shares = pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)
    rarest = np.where(shares >= 1e-3, class_rarity(pixels), 0.0).max(axis=1)
    return tuple(float(weight) for weight in np.clip(rarest, 1.0, MOST_VISITS))
