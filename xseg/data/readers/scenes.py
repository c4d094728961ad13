"""Generated scenes as a data set: no files, the same pixels for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from xseg.data.generated.scenes import LABELS, scene, scene_key
from xseg.data.options import DataOptions
from xseg.data.sample import Inspection, Record, Sample
from xseg.errors import ConfigError
from xseg.labels.label_map import LabelMap
from xseg.types import SPLITS, Split


@dataclass(frozen=True)
class ScenesReader:
    """Draws the scenes of a data set when they are read.

    Args:
        size: height and width in pixels.
        counts: number of scenes of the train, val and test splits.
        seed: which scenes.
        labels: the classes that `scene` draws.
        channels: always 3.
    """

    size: tuple[int, int]
    counts: tuple[int, int, int]
    seed: int
    labels: LabelMap = LABELS
    channels: int = 3

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the scenes of a split; their paths are made up, as `write_scenes` would name them."""
        names = [f"{index:06d}" for index in range(self.counts[SPLITS.index(split)])]
        folder = Path(split)
        return tuple(
            Record(name, folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png") for name in names
        )

    def read(self, record: Record) -> Sample:
        """Draw a scene."""
        split = cast("Split", record.image.parts[0])
        image, mask = scene(scene_key(self.seed, split, int(record.name)), *self.size)
        return Sample(record.name, image, mask)

    def inspect(self, record: Record) -> Inspection:  # noqa: ARG002 - every scene is alike
        """Return the size that every scene has; a generated mask needs no look."""
        return Inspection(self.size, {})


def create(options: DataOptions) -> ScenesReader:
    """Return the reader of generated scenes.

    Raises:
        ConfigError: if another number of channels than 3 is asked for.
    """
    if options.channels != 3:
        raise ConfigError(f"channels={options.channels} for generated scenes", expected="3")
    scenes = options.layout.scenes
    return ScenesReader(size=scenes.size, counts=scenes.counts, seed=scenes.seed)
