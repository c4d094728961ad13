"""Class names, colours and numbers of a data set."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from xseg.errors import ConfigError, unknown_name
from xseg.files.serialization import from_plain
from xseg.types import RGB

T = TypeVar("T", bound=Hashable)
MAX_CLASSES = 65_535  # masks have at most 16 bits, and one value is `ignore_index`
NO_BACKGROUND = "none"  # `background` of label maps whose classes are all objects
NO_LABEL = -1  # `ignore_index` of classes that images show as a whole: no image is ignored


def distinct_colors(count: int) -> tuple[RGB, ...]:
    """Return `count` distinguishable RGB colours, 0 to 255.

    Hues follow the golden ratio, so that neighbours in the list are far apart on the colour wheel. Every third colour
    is darker and every fifth paler, so that long lists stay readable.
    """
    colors: list[RGB] = []
    for index in range(count):
        hue = (index * 0.618033988749895 + 0.58) % 1.0
        value = 0.62 if index % 3 == 2 else 0.92
        saturation = 0.45 if index % 5 == 4 else 0.8
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        colors.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colors)


def _repeated(values: Iterable[T]) -> list[T]:
    """Return the values that occur more than once, in order of first occurrence."""
    return [value for value, count in Counter(values).items() if count > 1]


@dataclass(frozen=True)
class LabelMap:
    """Names, numbers and colours of the classes of a data set.

    Args:
        names: one name per class; the position is the train id that a model predicts.
        colors: one RGB colour per class, 0 to 255; empty for automatic colours.
        ignore_index: mask value that losses and scores ignore; never a class.
        raw_ids: number of each class in the files if it differs from its position (Cityscapes' road is 7); empty
            if it is the position.
        ignored_raw_ids: other numbers in the files that mean "ignore" (CamVid's void is 11).
        overlapping: whether a pixel may have several classes or none; a mask is then (H, W, classes) of 1 where a pixel
            has the class, 0 where it has not, and `ignore_index`.
        background: class that is not an object, which overlays leave clear and polygons leave out; empty for the first
            class if it is named "background"; NO_BACKGROUND for none.

    Raises:
        ConfigError: if the lengths differ, a name is repeated, a colour is out of range, an id is claimed twice, or
            overlapping classes have numbers.
    """

    names: tuple[str, ...]
    colors: tuple[RGB, ...] = ()
    ignore_index: int = 255
    raw_ids: tuple[int, ...] = ()
    ignored_raw_ids: tuple[int, ...] = field(default=())
    overlapping: bool = False
    background: str = ""

    def __post_init__(self) -> None:
        colors = self.colors or distinct_colors(len(self.names))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "colors", tuple((int(r), int(g), int(b)) for r, g, b in colors))
        object.__setattr__(self, "raw_ids", tuple(self.raw_ids) or tuple(range(len(self.names))))
        object.__setattr__(self, "ignored_raw_ids", tuple(self.ignored_raw_ids))
        self._validate()

    def _validate(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise ConfigError(f"{len(self.names)} classes", expected=f"1 to {MAX_CLASSES}")
        for what, values in (("colours", self.colors), ("raw ids", self.raw_ids)):
            if len(values) != len(self.names):
                raise ConfigError(f"{len(values)} {what} for {len(self.names)} classes", expected="one per class")
        if repeated := _repeated(self.names):
            raise ConfigError(f"class names used twice: {', '.join(repeated)}", expected="one name per class")
        if any(not 0 <= value <= 255 for color in self.colors for value in color):
            raise ConfigError(f"colours {self.colors}", expected="values from 0 to 255")
        if twice := _repeated([*self.raw_ids, *self.ignored_raw_ids]):
            raise ConfigError(f"mask values {twice} have two meanings", expected="one meaning per value")
        if self.overlapping and (self.ignored_raw_ids or self.raw_ids != tuple(range(len(self.names)))):
            raise ConfigError("raw_ids or ignored_raw_ids of overlapping classes", expected="none")
        if self.overlapping and not 1 < self.ignore_index <= 255:
            raise ConfigError(f"ignore_index={self.ignore_index} of overlapping classes", expected="2 to 255")
        if 0 <= self.ignore_index < len(self.names):
            got = f"ignore_index={self.ignore_index} is class {self.names[self.ignore_index]!r}"
            raise ConfigError(got, expected=f"a value outside 0 to {len(self.names) - 1}", remedy="use 255")
        if self.background not in ("", NO_BACKGROUND, *self.names):
            raise unknown_name("background", self.background, (*self.names, NO_BACKGROUND))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def background_id(self) -> int | None:
        """Train id of the background; None for none."""
        if self.background in self.names:
            return self.names.index(self.background)
        named = self.names[0].strip("_ ").casefold() == "background"
        return 0 if named and not self.background else None

    @property
    def objects(self) -> tuple[int, ...]:
        """Train ids of all classes except the background."""
        return tuple(index for index in range(len(self)) if index != self.background_id)

    def train_ids(self) -> dict[int, int]:
        """Train id of every number in the files; `ignore_index` for ignored numbers."""
        ignored = (*self.ignored_raw_ids, self.ignore_index)
        return {**dict.fromkeys(ignored, self.ignore_index), **{raw: i for i, raw in enumerate(self.raw_ids)}}

    def palette(self) -> bytes:
        """256 RGB triples for an indexed PNG of train ids; `ignore_index` and unused values are black."""
        colors = [*self.colors[:256], *[(0, 0, 0)] * max(0, 256 - len(self.colors))]
        return bytes(value for color in colors for value in color)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelMap:
        """Return the label map from a dictionary written by `to_dict`.

        Raises:
            ConfigError: if a key is missing or unknown, or a value is wrong.
        """
        return from_plain(cls, values, "labels")
