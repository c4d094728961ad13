"""A preview shows samples spread over a split, as training sees them, with names that can be found again."""

from __future__ import annotations

import numpy as np
import pytest

from xseg.data.layout import LayoutOptions, SceneOptions
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.reports.preview import (
    Card,
    Section,
    augmented_samples,
    chosen_samples,
    contact_sheet,
    render_preview,
    spread,
)


def scenes(**values):
    layout = LayoutOptions(scenes=SceneOptions(counts=(9, 3, 1), size=(40, 56)))
    options = DataOptions(reader="scenes", layout=layout, crop=(24, 32), **values)
    return create_reader(options), options


@pytest.mark.parametrize(
    ("length", "count", "places"), [(10, 3, [0, 4, 9]), (2, 5, [0, 1]), (1, 1, [0]), (100, 2, [0, 99]), (7, 1, [0])]
)
def test_samples_are_spread_evenly(length, count, places):
    assert spread(length, count) == places


def test_samples_are_the_readers_own():
    reader, _ = scenes()
    shown = chosen_samples(reader, "train", 3)
    assert [sample.name for sample in shown] == ["000000", "000004", "000008"]
    assert np.array_equal(shown[1].mask, reader.read(reader.records("train")[4]).mask)


@pytest.mark.parametrize("sampling", ["uniform", "class_aware"])
def test_augmented_samples_are_those_of_the_first_epochs(sampling):
    reader, options = scenes(sampling=sampling)
    shown = augmented_samples(reader, options, Normalization(), count=2, variants=3)
    assert [sample.name for sample in shown] == [
        f"{name}, epoch {epoch}" for name in ("000000", "000008") for epoch in (1, 2, 3)
    ]
    assert {sample.image.shape for sample in shown} == {(24, 32, 3)}
    assert len({sample.mask.tobytes() for sample in shown}) > 4
    again = augmented_samples(reader, options, Normalization(), count=2, variants=3)
    assert all(np.array_equal(one.image, other.image) for one, other in zip(shown, again, strict=True))


def test_a_contact_sheet_holds_every_picture_at_its_place():
    tiles = [(f"picture {index}", np.full((10 + index, 20, 3), 40 * index, np.uint8)) for index in range(5)]
    sheet = contact_sheet(tiles, columns=2, width=40)
    assert sheet.shape[1] == 2 * 50 + 10
    for index in range(1, 5):
        assert (sheet == 40 * index).all(axis=2).sum() >= 40 * 20


def test_captions_on_a_sheet_have_any_letters():
    picture = np.zeros((8, 60, 3), np.uint8)
    sheets = [contact_sheet([(name, picture)], columns=1, width=60) for name in ("Straße", "Stra?e", "улица", "?????")]
    assert len({sheet.tobytes() for sheet in sheets}) == 4


def test_a_page_needs_nothing_else_and_escapes_names():
    labels = LabelMap(("<b>road</b>", "sky"))
    picture = np.zeros((8, 8, 3), np.uint8)
    section = Section("train", "train", "note", [Card("a&b", (picture, picture), (0,))])
    page = render_preview("data <1>", {"Folder": "x"}, labels, [section, Section("empty", "empty", "", [])])
    assert "&lt;b&gt;road&lt;/b&gt;" in page
    assert "a&amp;b" in page
    assert "<b>" not in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert "http" not in page
    assert page.count('class="absent"') == 1, "sky is in none of the pictures"
