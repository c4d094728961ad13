from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from silent import Silent
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from xseg.errors import ConfigError, DataError, ShapeError
from xseg.evaluation.evaluate import EXAMPLE_WIDTH, EXAMPLES, evaluate
from xseg.labels.label_map import LabelMap
from xseg.metrics.boundary import boundary_counts
from xseg.metrics.metric import confusion_matrix
from xseg.metrics.registry import create_metrics
from xseg.metrics.scores import compute_scores


def test_the_scores_are_those_of_all_pixels_together(predictor, reader):
    samples = list(reader.samples.values())
    label = np.concatenate([sample.mask for sample in samples])
    prediction = np.concatenate([sample.image.argmax(axis=2) for sample in samples])
    matrix = confusion_matrix(label, prediction, classes=3, ignore_index=255)
    pooled = compute_scores(create_metrics((), classes=3, ignore_index=255), {"confusion": matrix})
    scores = evaluate(predictor, reader, "val").scores
    assert scores.confusion == pooled.confusion
    assert {**scores.overall, "boundary_iou": None} == pooled.overall
    assert {**scores.per_class, "boundary_iou": (None,) * 3} == pooled.per_class


def test_boundary_iou_adds_up_the_bands_of_single_images(predictor, reader):
    bands = [
        boundary_counts(sample.mask, sample.image.argmax(axis=2), classes=3, ignore_index=255)
        for sample in reader.samples.values()
    ]
    both, either = sum(bands)
    total = both / either
    scores = evaluate(predictor, reader, "val").scores
    assert scores.per_class["boundary_iou"] == tuple(total)
    assert scores.overall["boundary_iou"] == pytest.approx(sum(total) / 3)


def test_every_image_has_a_row_with_its_own_scores_in_the_records_order(predictor, reader):
    rows = evaluate(predictor, reader, "val").images
    assert [row.name for row in rows] == list(reader.samples)
    for row, sample in zip(rows, reader.samples.values(), strict=True):
        known = sample.mask != 255
        assert row.overall["pixel_accuracy"] == pytest.approx(
            (sample.image.argmax(axis=2) == sample.mask)[known].mean()
        )
        assert (row.width, row.height) == (30, 20)
    assert rows[0].miou == 1
    assert rows[-1].miou < 0.2


def test_a_batch_size_changes_no_score(predictor, reader):
    one = replace(predictor.options, batch_size=1)
    first = evaluate(predictor, reader, "val")
    predictor.options = one
    assert evaluate(predictor, reader, "val").scores == first.scores


def test_auc_and_average_precision_of_two_classes_are_those_of_all_probabilities_together(two_classes):
    reader, predictor = two_classes
    samples = list(reader.samples.values())
    label = np.concatenate([sample.mask for sample in samples])
    normalised = np.concatenate([sample.image for sample in samples]).astype(np.float64) / 127.5 - 1
    probability = 1 / (1 + np.exp(normalised[..., 0] - normalised[..., 1]))
    known = label != 255
    pair = torch.from_numpy(probability[known]), torch.from_numpy((label[known] == 1).astype(np.int64))
    evaluation = evaluate(predictor, reader, "val")
    overall = evaluation.scores.overall
    assert overall["auc"] == pytest.approx(float(binary_auroc(*pair)), abs=1e-3)
    assert overall["average_precision"] == pytest.approx(float(binary_average_precision(*pair)), abs=1e-3)
    assert len({image.overall["auc"] for image in evaluation.images}) == len(samples), "each image has its own"


def test_what_ignored_pixels_show_changes_no_score(predictor, reader):
    before = evaluate(predictor, reader, "val").scores
    for name, sample in reader.samples.items():
        image = np.where((sample.mask == 255)[..., None], 255 - sample.image, sample.image)
        reader.samples[name] = replace(sample, image=image)
    assert evaluate(predictor, reader, "val").scores == before


def test_best_and_worst_are_the_extremes_and_share_no_image(predictor, make_reader):
    for count in (1, 2, 5, 8, 20):
        evaluation = evaluate(predictor, make_reader(count), "val")
        order = sorted(evaluation.images, key=lambda row: row.miou)
        best = [example.score for example in evaluation.best]
        worst = [example.score for example in evaluation.worst]
        assert len(best) == min(EXAMPLES, (count + 1) // 2)
        assert len(worst) == min(EXAMPLES, count // 2)
        assert worst == order[: len(worst)]
        assert best == order[::-1][: len(best)]


def test_examples_are_kept_small_and_show_the_same_place(predictor, make_reader):
    example = evaluate(predictor, make_reader(1, 40, 1300), "val").best[0]
    height = round(40 * EXAMPLE_WIDTH / 1300)
    assert example.image.shape == (height, EXAMPLE_WIDTH, 3)
    assert example.label.shape == example.prediction.shape == (height, EXAMPLE_WIDTH)
    known = example.label != 255
    np.testing.assert_array_equal(example.label[known], example.prediction[known])
    assert set(np.unique(example.label)) == {0, 1, 2, 255}


def test_an_image_without_a_labelled_pixel_has_no_score_and_is_no_example(predictor, make_reader):
    reader = make_reader(3)
    reader.samples["street/1"] = replace(reader.samples["street/1"], mask=np.full((20, 30), 255, np.uint8))
    evaluation = evaluate(predictor, reader, "val")
    assert evaluation.images[1].miou is None
    assert "street/1" not in {example.score.name for example in (*evaluation.best, *evaluation.worst)}


def test_averaging_can_be_asked_for(predictor, reader):
    averaged = evaluate(predictor, reader, "val", scales=(0.5,), flip=True)
    plain = evaluate(predictor, reader, "val")
    assert averaged.scores.overall["miou"] < plain.scores.overall["miou"], "noise at half size is another image"
    expected = evaluate(predictor.with_averaging(scales=(0.5,), flip=True), reader, "val")
    assert averaged.scores == expected.scores


def test_progress_advances_once_per_image(predictor, reader):
    shown = Silent()
    evaluate(predictor, reader, "val", show=shown)
    assert (shown.done, shown.total) == (7, 7)


def test_other_classes_than_the_models_are_refused(predictor, reader):
    reader.labels = LabelMap(("road", "tree", "<b>sky & sea</b>"))
    with pytest.raises(ConfigError, match=r"1: <b>sky & sea</b> / tree.*same names in the same order"):
        evaluate(predictor, reader, "val")
    reader.labels = LabelMap(("road",))
    with pytest.raises(ConfigError, match="3 classes and the data set 1"):
        evaluate(predictor, reader, "val")


def test_other_channels_than_the_models_are_refused(predictor, reader):
    reader.channels = 4
    with pytest.raises(ShapeError, match="4 channels; expected 3"):
        evaluate(predictor, reader, "val")


def test_an_image_without_a_label_or_that_cannot_be_read_ends_the_evaluation(predictor, reader, monkeypatch):
    good = reader.samples["street/3"]
    reader.samples["street/3"] = replace(good, mask=None)
    with pytest.raises(DataError, match="street/3 has no label"):
        evaluate(predictor, reader, "val")

    def broken(record):
        raise DataError(f"{record.image} is empty")

    monkeypatch.setattr(reader, "read", broken)
    with pytest.raises(DataError, match=r"0\.png is empty"):
        evaluate(predictor, reader, "val")
