"""Images and masks in files: how they are listed, paired, read and looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from xseg.data.masks import check_values, count_values, read_mask, to_train_ids
from xseg.data.sample import Inspection, Record, Sample
from xseg.errors import DataError
from xseg.images import IMAGE_SUFFIXES, image_size, read_image
from xseg.labels import LabelMap
from xseg.types import Split

_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class PairReader:
    """Reads a data set whose images and masks are files with the same relative path below two folders.

    Args:
        root: the data set's folder.
        labels: what the numbers of the masks mean.
        channels: of the images, as for `read_image`.
        images: the folder or glob of a split's images below root, with {split} in it.
        masks: the same for the masks.

    Raises:
        DataError: if root is not given or is no folder.
    """

    root: Path
    labels: LabelMap
    channels: int
    images: str
    masks: str

    def __post_init__(self) -> None:
        check_root(self.root)

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the pairs of a split, sorted by name.

        Raises:
            DataError: if a folder is missing or empty, an image has no mask, or two files have the same name.
        """
        images = self._listing(self.images, split)
        masks = self._listing(self.masks, split)
        alone = [name for name in images if name not in masks]
        if alone:
            shown = ", ".join(str(images[name]) for name in alone[:_SHOWN])
            raise DataError(
                f"{len(alone)} of {len(images)} images of the {split} split have no mask: {shown}"
                + (", ..." if len(alone) > _SHOWN else ""),
                expected=f"a mask of the same name in {self.root / self.masks.format(split=split)}",
                remedy="add the masks or remove the images",
            )
        return tuple(Record(name, images[name], masks[name]) for name in sorted(images))

    def read(self, record: Record) -> Sample:
        """Decode a pair; the mask holds train ids.

        Raises:
            DataError: if a file cannot be read, the sizes differ, or the mask has a value without a meaning.
        """
        image = read_image(record.image, self.channels)
        if record.mask is None:
            return Sample(record.name, image, None)
        mask = to_train_ids(read_mask(record.mask), self.labels, str(record.mask))
        _check_sizes(record, (image.shape[0], image.shape[1]), (mask.shape[0], mask.shape[1]))
        return Sample(record.name, image, mask)

    def inspect(self, record: Record) -> Inspection:
        """Look at a pair without decoding its image.

        Raises:
            DataError: as `read` does, but for damage inside the image's pixels.
        """
        size = image_size(record.image)
        if record.mask is None:
            return Inspection(size, {})
        mask = read_mask(record.mask)
        _check_sizes(record, size, (mask.shape[0], mask.shape[1]))
        values = count_values(mask)
        check_values(values, self.labels, str(record.mask))
        return Inspection(size, values)

    def _listing(self, pattern: str, split: Split) -> dict[str, Path]:
        """Return the files of a folder or glob by name, the relative path without suffix.

        A picture's name must be unique: a.jpg and a.png would be two images with one mask.
        """
        folder, glob = split_pattern(pattern.format(split=split))
        base = self.root / folder
        if not base.is_dir():
            raise DataError(
                f"{base} does not exist or is no folder",
                expected=f"the {split} split's files there",
                remedy=f"{self.root} holds {_contents(self.root)}",
            )
        found: dict[str, Path] = {}
        for path in sorted(base.glob(glob)):
            if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith(".") or not path.is_file():
                continue
            name = path.relative_to(base).with_suffix("").as_posix()
            if name in found:
                raise DataError(f"{found[name]} and {path} have the same name", expected="one file per name")
            found[name] = path
        if not found:
            raise DataError(f"{base / glob} matches no image", expected=f"the {split} split's files there")
        return found


def split_pattern(pattern: str) -> tuple[Path, str]:
    """Return the folder that a pattern starts with, and the glob below it; a bare folder means all that is in it."""
    parts = Path(pattern).parts
    first = next((index for index, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    return Path(*parts[:first]), "/".join(parts[first:]) or "**/*"


def check_root(root: Path) -> None:
    """Make sure that a data set's folder was named and is there.

    Raises:
        DataError: if not.
    """
    if root == Path():
        raise DataError("root is not set", expected="the data set's folder", remedy="set root")
    if not root.is_dir():
        raise DataError(
            f"root {root} {'is no folder' if root.exists() else 'does not exist'}",
            expected="the data set's folder",
            remedy="check root",
        )


def _check_sizes(record: Record, image: tuple[int, int], mask: tuple[int, int]) -> None:
    if image == mask:
        return
    turned = image == mask[::-1] and _has_orientation(record.image)
    raise DataError(
        f"mask {record.mask} is {mask[0]}x{mask[1]} and its image {record.image} is {image[0]}x{image[1]}",
        expected="the same height and width",
        remedy=(
            "the image is turned by its EXIF orientation and the mask is not: turn the mask"
            if turned
            else "make the mask anew, or resize it with nearest neighbours"
        ),
    )


def _has_orientation(path: Path) -> bool:
    with Image.open(path) as picture:
        return (picture.height, picture.width) != image_size(path)


def _contents(root: Path) -> str:
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in root.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
