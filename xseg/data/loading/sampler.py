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

    Repeated visits of a sample have an index beyond the end of the data set, `index + repetition * size`, for another
    augmentation.

    Args:
        size: number of samples in the data set, 1 or more.
        seed: random seed of the order, 0 or more.
        shuffle: whether every epoch has a new random order; otherwise samples are in order, and the epoch is always 0.
        rank: number of this process among `world`.
        world: number of processes that share the data set; rank r gets every `world`-th position, starting at r.
        even: whether all ranks get the same number of samples, as required for training, by leaving out the last
            positions of the epoch; otherwise every position is visited.
        visits: number of positions in an epoch of all ranks: all samples in a new random order, then all again, until
            there are as many; 0 for each sample once.
        weights: one weight above 0 per sample, for more visits of some samples in place of others: the share of the
            weight in the epoch, randomly rounded up or down. See `image_weights`. Empty for equal visits.

    Raises:
        ConfigError: if a number is out of range.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
        even: bool = False,
        visits: int = 0,
        weights: Sequence[float] = (),
    ) -> None:
        if size < 1 or seed < 0 or not 0 <= rank < world:
            got = f"size={size}, seed={seed}, rank={rank}, world={world}"
            raise ConfigError(got, expected="size >= 1, seed >= 0, rank < world")
        if len(weights) and (len(weights) != size or min(weights) <= 0):
            raise ConfigError(f"{len(weights)} weights from {min(weights)}", expected=f"{size} weights above 0")
        self.size, self.seed, self.shuffle, self.rank, self.world = size, seed, shuffle, rank, world
        self.weights = np.asarray(weights, np.float64)
        self.visits = visits or size
        self.visited = self.visits // world * world if even else self.visits
        self.epoch = 0
        self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration, as Lightning does; another epoch starts from its beginning."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def order(self, epoch: int) -> list[int]:
        """Return the indices of this rank in an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        if len(self.weights):
            places = self._weighted(rng)
        elif self.shuffle:
            repetitions = range(-(-self.visits // self.size))
            places = np.concatenate([rng.permutation(self.size) + turn * self.size for turn in repetitions])
        else:
            places = np.arange(self.visits)
        return [int(index) for index in places[: self.visited][self.rank :: self.world]]

    def _weighted(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return all positions of an epoch by systematic sampling.

        A single random number for all samples keeps the visits of each close to its share.
        """
        shuffled = rng.permutation(self.size)
        ends = np.cumsum(self.weights[shuffled]) * (self.visits / self.weights.sum())
        ends[-1] = self.visits
        visits = np.diff(np.floor(ends + rng.random()), prepend=0).astype(np.int64)
        visits[-1] += self.visits - visits.sum()
        repetitions = np.concatenate([np.arange(count) for count in visits])
        places: NDArray[np.int64] = np.repeat(shuffled, visits) + repetitions * self.size
        return places[rng.permutation(self.visits)]

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


def class_rarity(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rarity of each class: the root of median / frequency, 1 for the median class.

    Args:
        pixels: number of labelled pixels, (images, classes).

    Returns:
        Rarities, (classes,) float64; 0 for a class without pixels.

    Source: median frequency balancing, Eigen and Fergus 2015, section 6.3.2; its root, as in
    `xseg.training.objective`.
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
