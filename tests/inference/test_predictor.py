from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from xseg.errors import ConfigError, DataError, ShapeError, WeightsError
from xseg.images.normalization import Normalization
from xseg.inference import loading
from xseg.inference.loading import load
from xseg.inference.options import InferenceOptions
from xseg.inference.prediction import Failure, Prediction
from xseg.inference.predictor import Predictor
from xseg.inference.preprocessing import to_array, to_batch
from xseg.labels.label_map import LabelMap


def test_the_mask_is_the_class_of_the_highest_logit_at_the_images_size(predictor, photo):
    image = photo(7, 12)
    prediction = predictor(image)
    assert prediction.mask.dtype == np.uint8
    np.testing.assert_array_equal(prediction.mask, image.argmax(axis=2))


def test_probabilities_are_the_softmax_of_the_logits(predictor, photo):
    image = photo()
    expected = torch.softmax(4 * torch.from_numpy(image.astype(np.float32) / 127.5 - 1), dim=-1).permute(2, 0, 1)
    probabilities = predictor(image).probabilities
    assert probabilities.dtype == np.float32
    torch.testing.assert_close(torch.from_numpy(probabilities), expected)
    assert predictor(image, probabilities=False).probabilities is None


def test_a_path_an_array_and_a_pil_image_give_the_same(predictor, photo, tmp_path):
    image = photo()
    Image.fromarray(image).save(tmp_path / "photo.png")
    arguments = [image, Image.fromarray(image), tmp_path / "photo.png", str(tmp_path / "photo.png")]
    masks = [predictor(argument).mask for argument in arguments]
    for mask in masks:
        np.testing.assert_array_equal(mask, masks[0])
    assert predictor(tmp_path / "photo.png").path == tmp_path / "photo.png"
    assert predictor(image).path is None


def test_an_image_is_turned_upright_by_its_exif_orientation(predictor, photo, tmp_path):
    image = photo(8, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # the file lies on its side: turn it by 90 degrees clockwise
    Image.fromarray(image).save(tmp_path / "turned.png", exif=exif)
    for argument in (tmp_path / "turned.png", Image.open(tmp_path / "turned.png")):
        np.testing.assert_array_equal(predictor(argument).mask, np.rot90(image, -1).argmax(axis=2))


def test_the_model_runs_in_evaluation_mode_without_gradients(predictor, photo):
    predictor(photo(7, 12))
    assert predictor.model.seen == [((1, 3, 7, 12), False, True)]


def test_a_batch_groups_images_of_one_size_and_keeps_their_order(predictor, photo):
    sizes = [(5, 6), (7, 6), (5, 6), (5, 6), (7, 6)]
    images = [photo(*size, seed=seed) for seed, size in enumerate(sizes)]
    predictions = predictor.batch(images)
    for image, prediction in zip(images, predictions, strict=True):
        np.testing.assert_array_equal(prediction.mask, image.argmax(axis=2))
    shapes = [shape for shape, _, _ in predictor.model.seen]
    assert sorted(shapes) == [(1, 3, 5, 6), (2, 3, 5, 6), (2, 3, 7, 6)]
    assert predictor.batch([]) == []


def test_a_stream_gives_a_result_per_file_in_order_and_failures_in_their_place(predictor, folder):
    names = ["a.png", "b.png", "broken.png", "sub/a.png", "missing.png", "text.jpg", "c.png", "a.png"]
    results = list(predictor.stream(folder / name for name in names))
    assert [result.path for result in results] == [folder / name for name in names]
    failed = [name for name, result in zip(names, results, strict=True) if isinstance(result, Failure)]
    assert failed == ["broken.png", "missing.png", "text.jpg"]
    for result in results:
        if isinstance(result, Prediction):
            pixels = np.asarray(Image.open(result.path))
            np.testing.assert_array_equal(result.mask, pixels.argmax(axis=2))
            assert result.seconds > 0
        else:
            assert str(result.path) in str(result.error)
    assert predictor.model.seen[0][0] == (2, 3, 9, 13), "neighbours of one size go together"


def test_a_stream_reads_only_a_few_files_ahead(predictor, folder):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield folder / "a.png"

    stream = predictor.stream(endless())
    for _ in range(3):
        next(stream)
    stream.close()
    assert len(taken) < 40


def test_one_image_that_needs_too_much_memory_fails_alone(predictor, folder, monkeypatch):
    forward = predictor.model.forward

    def small_memory(images):
        if len(images) > 1 or images.shape[2] == 20:
            raise torch.OutOfMemoryError("out of memory")
        return forward(images)

    monkeypatch.setattr(predictor.model, "forward", small_memory)
    results = list(predictor.stream([folder / "a.png", folder / "b.png", folder / "c.png", folder / "a.png"]))
    assert [isinstance(result, Failure) for result in results] == [False, False, True, False]
    assert str(results[2].error) == f"{folder / 'c.png'} (20x10 pixels) needs more memory than is available"


def test_an_error_in_the_model_is_not_taken_for_a_bad_image(predictor, folder, monkeypatch):
    def broken(images):
        raise RuntimeError("a bug")

    monkeypatch.setattr(predictor.model, "forward", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        list(predictor.stream([folder / "a.png"]))


@pytest.mark.parametrize("shape", [(5, 6, 4), (5, 6, 2), (7,), (0, 6, 3), (0, 6), (2, 5, 6, 3)])
def test_an_array_of_another_shape_is_refused(predictor, shape):
    with pytest.raises(ShapeError, match="3\\), with the model's number of channels"):
        predictor(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4, 3), 256, np.uint16), "values from 256 to 256; expected 0 to 255"),
        (np.full((4, 4, 3), np.nan, np.float32), "values from nan to nan"),
        (np.full((4, 4, 3), -1.0, np.float64), "values from -1 to -1"),
        (np.zeros((4, 4, 3), np.bool_), "type bool"),
    ],
)
def test_values_that_the_model_does_not_know_are_refused(predictor, array, message):
    with pytest.raises(DataError, match=message):
        predictor(array)


@pytest.mark.parametrize("as_file", [False, True])
def test_floats_from_0_to_1_are_the_image_that_they_are_in_8_bits(predictor, photo, tmp_path, as_file):
    image = (photo() / 255).astype(np.float32)
    if as_file:
        np.save(tmp_path / "image.npy", image)
    given = tmp_path / "image.npy" if as_file else image.astype(np.float64)
    np.testing.assert_allclose(predictor(given).probabilities, predictor(photo()).probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "maximum", "warned"),
    [
        (np.eye(4, dtype=np.float32), 255.0, "only 0 and 1"),
        (np.full((4, 4), 1.02, np.float32), 255.0, "up to 1.02"),
        (np.zeros((4, 4), np.float32), 255.0, None),
        (np.full((4, 4), 0.5, np.float32), 1.0, None),
        (np.full((4, 4), 200.5, np.float32), 255.0, None),
        (np.eye(4, dtype=np.uint8), 255.0, None),
    ],
)
def test_floats_that_may_mean_two_things_are_taken_as_they_are_with_a_warning(image, maximum, warned):
    normalization = Normalization((0.5,), (0.5,), maximum)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(to_array(image, normalization)[..., 0], image)
    assert [warned in str(warning.message) for warning in caught] == ([True] if warned else [])


def test_an_array_without_colours_is_grey_as_a_grey_file_is(predictor, photo, tmp_path):
    grey = photo()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = to_array(tmp_path / "grey.png", predictor.normalization)
    for image in (grey, grey[..., None]):
        np.testing.assert_array_equal(to_array(image, predictor.normalization), expected)


def test_normalisation_scales_subtracts_and_divides_per_channel():
    normalization = Normalization((0.1, 0.5), (0.2, 0.4), 1000.0)
    array = np.arange(24, dtype=np.uint16).reshape(3, 4, 2) * 40
    batch = to_batch([to_array(array, normalization)], normalization, torch.device("cpu"))
    assert batch.shape == (1, 2, 3, 4)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for channel, (mean, std) in enumerate([(0.1, 0.2), (0.5, 0.4)]):
        expected = (array[..., channel] / 1000 - mean) / std
        np.testing.assert_allclose(batch[0, channel].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_one_channel_takes_an_array_without_a_channel_axis(photo):
    normalization = Normalization.for_channels(1)
    assert to_array(photo()[..., 0], normalization).shape == (9, 13, 1)


def test_a_model_of_one_band_takes_it_from_a_file_an_array_and_a_pil_image(photo, tmp_path):
    image, normalization = photo(), Normalization((0.5,), (0.5,), bands=(2,))
    Image.fromarray(image).save(tmp_path / "photo.png")
    for argument in (tmp_path / "photo.png", image, Image.fromarray(image), image[..., 1], image[..., 1:2]):
        np.testing.assert_array_equal(to_array(argument, normalization)[..., 0], image[..., 1])
    with pytest.raises(ConfigError, match="and 2 bands"):
        Normalization((0.5,), (0.5,), bands=(1, 2))


def test_averaging_is_asked_for_at_the_start_or_later(bundle, photo):
    plain = Predictor.from_bundle(bundle, InferenceOptions(device="cpu"))
    averaging = Predictor.from_bundle(bundle, InferenceOptions(device="cpu", scales=(0.5, 1.0), flip=True))
    later = plain.with_averaging(scales=(0.5, 1.0), flip=True)
    image = photo(16, 16)
    first, second = averaging(image), later(image)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    np.testing.assert_array_equal(first.mask, first.probabilities.argmax(axis=0))
    assert np.abs(first.probabilities - plain(image).probabilities).max() > 0.01
    assert later.model is plain.model


def test_another_output_stride_comes_from_the_model_with_the_same_weights(bundle):
    dense = Predictor.from_bundle(bundle, InferenceOptions(device="cpu", output_stride=8))
    assert dense.model.output_stride == 8
    assert dense.model.weight is bundle.model.weight


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_gives_nearly_the_same_probabilities(bundle, photo, precision):
    low = Predictor.from_bundle(bundle, InferenceOptions(device="cpu", precision=precision))(photo()).probabilities
    high = Predictor.from_bundle(bundle, InferenceOptions(device="cpu"))(photo()).probabilities
    assert low.dtype == np.float32
    np.testing.assert_allclose(low, high, atol=0.03)


def test_more_than_256_classes_give_16_bit_masks(bundle):
    class ManyClasses(torch.nn.Module):
        def forward(self, images):
            return torch.arange(300.0)[None, :, None, None].expand(len(images), 300, *images.shape[-2:])

    labels = LabelMap(tuple(f"class {index}" for index in range(300)), ignore_index=65535)
    predictor = Predictor(ManyClasses(), labels=labels, normalization=Normalization())
    mask = predictor(np.zeros((4, 5, 3), np.uint8)).mask
    assert mask.dtype == np.uint16
    assert (mask == 299).all()


def test_a_model_with_other_outputs_than_labels_is_refused(bundle, photo):
    labels = LabelMap(("one", "two"))
    predictor = Predictor(bundle.model, labels=labels, normalization=bundle.normalization)
    with pytest.raises(ShapeError, match="3 outputs; expected one per class, 2"):
        predictor(photo())


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "tpu", "cpu:1"])
def test_a_device_that_is_not_there_is_refused(bundle, device):
    with pytest.raises(ConfigError, match=device):
        Predictor.from_bundle(bundle, InferenceOptions(device=device))


@pytest.mark.parametrize(
    "options",
    [{"scales": ()}, {"scales": (0.0,)}, {"scales": (float("nan"),)}, {"batch_size": 0}, {"output_stride": 7}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        InferenceOptions(**options)


def test_load_takes_the_best_epoch_of_a_run_and_passes_the_options_on(bundle, tmp_path, monkeypatch):
    (tmp_path / "best").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "best" / name).write_bytes(b"")
    asked = []
    monkeypatch.setattr(loading, "load_bundle", lambda directory, **_: asked.append(directory) or bundle)
    predictor = load(tmp_path, device="cpu", scales=(0.5,), flip=True, output_stride=8, batch_size=3)
    assert asked == [tmp_path / "best"]
    assert predictor.options == InferenceOptions((0.5,), True, output_stride=8, batch_size=3, device="cpu")


def test_load_of_nothing_is_one_clear_line(tmp_path):
    with pytest.raises(WeightsError, match="does not exist; expected a run directory"):
        load(tmp_path / "nothing")
