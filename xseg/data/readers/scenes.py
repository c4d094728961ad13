"""Generated scenes as a data set without files; the same seed gives the same pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from xseg.data.generated.scenes import LABELS, OVERLAPPING_LABELS, overlapping_scene, scene, scene_key
from xseg.data.options import DataOptions
from xseg.data.pairs import variant_of
from xseg.data.sample import Inspection, Record, Sample
from xseg.errors import ConfigError
from xseg.labels.label_map import LabelMap
from xseg.types import SPLITS, Split


@dataclass(frozen=True)
class ScenesReader:
    """Draws the scenes of a data set when they are read.

    Args:
        size: height and width in pixels.
        counts: number of scenes in the train, val and test splits.
        seed: random seed of the scenes.
        labels: classes in the scenes.
        channels: number of image channels, always 3.
    """

    size: tuple[int, int]
    counts: tuple[int, int, int]
    seed: int
    labels: LabelMap = LABELS
    channels: int = 3

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split, with the paths that `write_scenes` would use."""
        names = [f"{index:06d}" for index in range(self.counts[SPLITS.index(split)])]
        folder = Path(split)
        return tuple(
            Record(name, folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png") for name in names
        )

    def read(self, record: Record) -> Sample:
        """Draw a scene."""
        split = cast("Split", record.image.parts[0])
        draw = overlapping_scene if self.labels.overlapping else scene
        image, mask = draw(scene_key(self.seed, split, int(record.name)), *self.size)
        return Sample(record.name, image, mask)

    def inspect(self, record: Record) -> Inspection:  # noqa: ARG002 - all scenes have the same size
        """Return the size of the scenes; generated masks need no inspection."""
        return Inspection(self.size, {})


def create(options: DataOptions) -> ScenesReader:
    """Return the reader for generated scenes."""
    if options.channel_count != 3:
        raise ConfigError(f"channels={options.channel_count} for generated scenes", expected="3")
    scenes = options.layout.scenes
    labels = variant_of(options, {"street": LABELS, "overlapping": OVERLAPPING_LABELS})
    return ScenesReader(size=scenes.size, counts=scenes.counts, seed=scenes.seed, labels=labels)
