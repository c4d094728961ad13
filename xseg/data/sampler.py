"""The order in which samples are visited: a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from xseg.errors import ConfigError

Key = tuple[int, int]  # epoch, index


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index) keys, so that augmentation can depend on both and not on which worker does it.

    Args:
        size: number of samples in the data set, 1 or more.
        seed: of the shuffling, 0 or more.
        shuffle: visit in a new random order every epoch; otherwise in order, and every epoch is 0.
        rank: this process's number among `world`.
        world: number of processes that share the data set; rank r takes every `world`-th place from r on.
        even: give every rank the same number of samples by leaving out the last places of the epoch's order, as
            training needs; otherwise every sample is visited exactly once.

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
        """Choose the epoch that the next iteration visits; Lightning calls this. Another epoch starts at its begin."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def order(self, epoch: int) -> list[int]:
        """Return the indices that this rank visits in an epoch."""
        if self.shuffle:
            places = np.random.default_rng((self.seed, epoch)).permutation(self.size)
        else:
            places = np.arange(self.size)
        return [int(index) for index in places[: self.visited][self.rank :: self.world]]

    def __iter__(self) -> Iterator[Key]:
        epoch, start = (self.epoch if self.shuffle else 0), self.position
        self.position = 0  # only the first iteration after a restart is cut short
        return iter([(epoch, index) for index in self.order(epoch)[start:]])

    def __len__(self) -> int:
        """Return the number of samples of a whole epoch, also when the next iteration starts inside one."""
        return len(range(self.rank, self.visited, self.world))

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its samples that the next iteration skips."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state_dict` left off."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
