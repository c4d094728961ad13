from __future__ import annotations

import numpy as np
import pytest
import torch

from xseg.errors import ShapeError
from xseg.inference import accumulator
from xseg.inference.accumulator import TileInput, stream_regions, tiled
from xseg.inference.tiling import TilePlan

SIZES = [(1, 1), (40, 33), (64, 300), (301, 97), (217, 219)]


def pixelwise(images):
    """A model without context: the probabilities of a pixel are its channels over their sum."""
    return torch.from_numpy(images.astype(np.float32) + 1).permute(0, 3, 1, 2).softmax(dim=1)


def distrustful(images):
    """A model that is wrong within 8 pixels of a tile's border, and says so nowhere."""
    probabilities = pixelwise(images)
    ring = torch.ones(images.shape[1:3], dtype=torch.bool)
    ring[8:-8, 8:-8] = False
    probabilities[:, :, ring] = torch.tensor([1.0, 0, 0])[:, None]
    return probabilities


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 6, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("tile", "overlap"), [(64, 0), (64, 32), (75, 20), (0, 0)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_tiles_of_a_model_without_context_equal_the_whole(size, tile, overlap, batch_size):
    image = picture(*size)
    whole = pixelwise(image[None])[0].numpy()
    plan = TilePlan.fit(*size, tile=tile, overlap=overlap)
    probabilities = tiled(pixelwise, image, plan, classes=3, batch_size=batch_size, probabilities=True).probabilities()
    np.testing.assert_allclose(probabilities, whole, atol=1e-6)
    labels = tiled(pixelwise, image, plan, classes=3, batch_size=batch_size).labels()
    np.testing.assert_array_equal(labels, image.argmax(axis=2))
    assert labels.dtype == np.uint8


def test_what_is_near_a_tiles_border_does_not_count_inside_the_image():
    image = picture(200, 230)
    plan = TilePlan.fit(200, 230, tile=96, overlap=32)
    labels = tiled(distrustful, image, plan, classes=3).labels()
    np.testing.assert_array_equal(labels[8:-8, 8:-8], image.argmax(axis=2)[8:-8, 8:-8])
    assert (labels[:8] == 0).all()


def test_neighbours_fade_into_each_other_without_a_step():
    def brightness_of_the_tile(images):
        level = torch.from_numpy(images.astype(np.float32)).mean(dim=(1, 2, 3)) / 255
        return torch.stack([level, 1 - level], 1)[:, :, None, None].expand(-1, -1, *images.shape[1:3])

    image = np.zeros((64, 400, 3), np.uint8)
    image[:, 200:] = 255
    plan = TilePlan.fit(64, 400, tile=128, overlap=64)
    first = tiled(brightness_of_the_tile, image, plan, classes=2, probabilities=True).probabilities()[0]
    fade = 32
    assert first.max() - first.min() > 0.9
    assert np.abs(np.diff(first, axis=1)).max() < 2 / fade
    assert np.diff(first, axis=0).max() == 0


@pytest.mark.parametrize("size", SIZES)
def test_strips_that_fit_a_small_budget_change_nothing(size, monkeypatch):
    image = picture(*size, seed=2)
    plan = TilePlan.fit(*size, tile=96, overlap=40)
    expected = tiled(distrustful, image, plan, classes=3, probabilities=True).probabilities()
    monkeypatch.setattr(accumulator, "CARRIED_BYTES", 1)
    np.testing.assert_allclose(
        tiled(distrustful, image, plan, classes=3, probabilities=True).probabilities(), expected, atol=1e-6
    )


def test_pieces_come_as_soon_as_their_tile_is_in():
    seen = []

    def read(tile):
        return TileInput(tile, picture(400, 100)[tile.pixels])

    def run(images):
        seen.append(len(images))
        return pixelwise(images)

    plan = TilePlan.fit(400, 100, tile=100, overlap=20)
    for count, region in enumerate(stream_regions(run, read, plan, classes=3), 1):
        assert len(seen) == count
        assert region.rows.stop <= plan.rows[count - 1].stop
    assert count == plan.count > 3


def test_tiles_without_data_are_not_run_and_their_pixels_marked():
    image = picture(300, 300)
    valid = np.zeros((300, 300), bool)
    valid[:90, :90] = True
    seen = []

    def run(images):
        seen.append(images)
        return pixelwise(images)

    def read(tile):
        here = valid[tile.pixels]
        return TileInput(tile, image[tile.pixels] if here.any() else None, here)

    plan = TilePlan.fit(300, 300, tile=96, overlap=0)
    labels = np.full((300, 300), 99, np.uint8)
    for region in stream_regions(run, read, plan, classes=3, batch_size=2):
        labels[region.rows, region.columns] = region.labels(nodata=255)
    assert len(seen) == 1
    np.testing.assert_array_equal(labels, np.where(valid, image.argmax(axis=2), 255))


@pytest.mark.parametrize("first_with_data", [False, True])
def test_tiles_without_data_do_not_wait_for_a_batch_of_others(first_with_data):
    image, read_tiles = picture(64, 64 * 80), []

    def read(tile):
        read_tiles.append(tile)
        has_data = first_with_data and len(read_tiles) == 1
        return TileInput(tile, image[tile.pixels] if has_data else None, np.full((64, 64), has_data))

    plan = TilePlan.fit(64, 64 * 80, tile=64, overlap=0)
    ahead = [
        len(read_tiles) - done
        for done, _ in enumerate(stream_regions(pixelwise, read, plan, classes=3, batch_size=8), 1)
    ]
    assert len(ahead) == plan.count == 80
    assert max(ahead) <= accumulator.EMPTY_TILES + 2 * 8 + 2, "tiles in memory"


def test_more_than_256_classes_give_16_bit_labels():
    def last_class(images):
        return torch.arange(300.0)[None, :, None, None].expand(len(images), -1, *images.shape[1:3])

    plan = TilePlan.fit(40, 40, tile=32, overlap=8)
    labels = tiled(last_class, picture(40, 40), plan, classes=300).labels()
    assert labels.dtype == np.uint16
    assert (labels == 299).all()


def test_other_shapes_than_expected_are_refused():
    plan = TilePlan.fit(40, 40, tile=32, overlap=8)
    with pytest.raises(ShapeError, match=r"shape \(1, 3, 32, 32\); expected \(1, 4, 32, 32\)"):
        tiled(pixelwise, picture(40, 40), plan, classes=4).labels()
    with pytest.raises(ShapeError, match="40x40 pixels, as in the plan"):
        tiled(pixelwise, picture(41, 40), plan, classes=3).labels()
