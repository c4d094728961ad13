"""`xseg data preview`: a data set to look at, before and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser

from xseg.cli import EXIT_OK
from xseg.cli.data.verbs import parse_data_arguments
from xseg.data.options import DataOptions
from xseg.errors import ConfigError

if TYPE_CHECKING:
    from xseg.data.sample import Reader
    from xseg.labels.label_map import LabelMap
    from xseg.reports.preview import PreviewSample
    from xseg.reports.preview_page import Card, Section
    from xseg.types import Split

_COLUMNS = 4  # pictures in a row of a contact sheet


def preview(arguments: Sequence[str]) -> int:
    """Draw contact sheets of images with their masks, before and after augmentation.

    Args:
        arguments: what follows `xseg data preview`.

    Returns:
        0.

    Raises:
        XsegError: if an option is wrong, or a file cannot be read.
        OSError: if a file cannot be written.
    """
    values = parse_data_arguments("preview", arguments, _add_arguments)
    options: DataOptions = values["data"]
    count, variants, folder = values["count"], values["variants"], Path(values["output_dir"])
    if count < 1 or variants < 0:
        raise ConfigError(f"count={count}, variants={variants}", expected="count of 1 or more, variants of 0 or more")

    from xseg.data.readers.registry import create_reader
    from xseg.doctor.statistics import existing_splits
    from xseg.files.atomic import write_text
    from xseg.reports.preview_page import render_preview

    reader = create_reader(options)
    counts = existing_splits(reader)
    sections = _sections(reader, options, [*counts], count=count, variants=variants)
    for section in sections:
        _write_sheet(section.cards, reader.labels, folder / f"sheet_{section.name}.png")
    facts = {
        "Layout": options.reader,
        **({"Folder": options.root} if options.root else {}),
        "Images": ", ".join(f"{split} {number}" for split, number in counts.items()),
        "Classes": str(len(reader.labels)),
    }
    title = Path(options.root).resolve().name if options.root else options.reader
    page = write_text(folder / "preview.html", render_preview(title, facts, reader.labels, sections))
    print(f"page: {page}")
    print(f"contact sheets: {', '.join(sorted(path.name for path in folder.glob('sheet_*.png')))} in {folder}")
    return EXIT_OK


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--output_dir", type=str, default="runs/preview", help="the folder for the page and the sheets")
    parser.add_argument("--count", type=int, default=12, help="images per split, spread evenly over it")
    parser.add_argument("--variants", type=int, default=4, help="augmented versions of each of a third of the images")


def _sections(
    reader: Reader, options: DataOptions, splits: Sequence[Split], *, count: int, variants: int
) -> list[Section]:
    """Draw all samples."""
    from xseg.doctor.statistics import normalization_of
    from xseg.reports.preview import augmented_samples, chosen_samples
    from xseg.reports.preview_page import Section

    sections = []
    for split in splits:
        cards = [_card(sample, reader.labels, plain=True) for sample in chosen_samples(reader, split, count)]
        sections.append(Section(split, split, "image, and image with mask", cards))
    if variants:
        samples = augmented_samples(
            reader,
            options,
            normalization_of(reader, options),
            count=max(1, count // 3),
            variants=variants,
        )
        cards = [_card(sample, reader.labels, plain=False) for sample in samples]
        note = (
            f"as training sees them: augmentation {options.augmentation}, crop {options.crop[0]}x{options.crop[1]}, "
            f"scale {options.scale[0]:g} to {options.scale[1]:g}"
        )
        sections.append(Section("augmented", "train, augmented", note, cards))
    return sections


def _card(sample: PreviewSample, labels: LabelMap, *, plain: bool) -> Card:
    """Draw a sample: the image with its mask, beside the image alone if asked."""
    import numpy as np

    from xseg.images.overlay import blend, displayable
    from xseg.reports.preview import striped
    from xseg.reports.preview_page import Card

    image = displayable(sample.image)
    if sample.mask is None:
        return Card(f"{sample.name} (no mask)", (image,))
    overlay = striped(blend(image, sample.mask, labels), sample.mask, labels.ignore_index)
    classes = tuple(int(value) for value in np.unique(sample.mask) if value < len(labels))
    return Card(sample.name, (image, overlay) if plain else (overlay,), classes)


def _write_sheet(cards: Sequence[Card], labels: LabelMap, path: Path) -> None:
    from PIL import Image

    from xseg.files.atomic import atomic_path
    from xseg.images.overlay import add_legend
    from xseg.reports.preview import contact_sheet

    tiles = [(card.name, picture) for card in cards for picture in card.pictures]
    present = sorted({index for card in cards for index in card.classes})
    sheet = add_legend(contact_sheet(tiles, columns=_COLUMNS), present, labels)
    with atomic_path(path) as beside:
        Image.fromarray(sheet).save(beside)
