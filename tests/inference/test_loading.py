from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import xseg
from xseg.bundles.bundle import Bundle, save_bundle
from xseg.errors import ConfigError, WeightsError
from xseg.exporting.exported import export_model
from xseg.exporting.options import GraphOptions
from xseg.images.normalization import Normalization
from xseg.inference import memory
from xseg.inference.loading import Ensemble, load
from xseg.inference.options import InferenceOptions
from xseg.inference.tiling import Tiling
from xseg.labels.decision import Decision
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig

LABELS = LabelMap(("road", "sky", "tree"))
NORMALIZATIONS = (
    Normalization(),
    Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)),
    Normalization((0.1,) * 3, (1.0,) * 3),
)
CONFIGS = (
    ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16),
    ModelConfig(encoder="xception41", classes=3, width=0.125, depth=4, decoder_channels=16, output_stride=8),
    ModelConfig(architecture="linknet", encoder="xception", classes=3, width=0.125, output_stride=32),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory, settled, waves):
    """Bundles that differ in architecture, encoder, output stride and normalisation, and an exported file."""
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for seed, (config, normalization) in enumerate(zip(CONFIGS, NORMALIZATIONS, strict=True)):
        torch.manual_seed(seed)
        network = settled(build_model(config), waves(2, 3, 65, 65))
        last = [module for module in network.segmentation_head.modules() if isinstance(module, nn.Conv2d)][-1]
        nn.init.normal_(last.weight)
        bundle = Bundle(network, LABELS, normalization)
        paths.append(save_bundle(bundle, folder / f"model-{seed}"))
    export_model(bundle, folder / "m.torchscript", format="torchscript", options=GraphOptions(result="probabilities"))
    return [*paths, folder / "m.torchscript"]


@pytest.fixture(scope="module")
def members(models):
    """Return a function that makes a predictor of each model with other options."""
    loaded = [load(model, device="cpu") for model in models]

    def make(**options):
        chosen = InferenceOptions(device="cpu", **options)
        return [
            xseg.Predictor(one.model, labels=one.labels, normalization=one.normalization, options=chosen)
            for one in loaded
        ]

    return make


@pytest.fixture
def image():
    generator = np.random.default_rng(1)
    return np.kron(generator.integers(0, 256, (6, 7, 3)), np.ones((8, 8, 1), int)).astype(np.uint8)[:45, :50]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scales": (0.5, 1.0), "flip": True},
        {"tile": 33, "overlap": 8},
        {"tile": 33, "overlap": 8, "flip": True, "rotations": True},
    ],
    ids=str,
)
def test_an_ensemble_averages_the_probabilities_of_different_models(members, image, options):
    together = Ensemble(members(**options))(image)
    alone = [member(image).probabilities for member in members(**options)]
    np.testing.assert_allclose(together.probabilities, np.mean(alone, axis=0), atol=1e-5)
    np.testing.assert_array_equal(together.mask, together.probabilities.argmax(axis=0))
    assert all(np.abs(together.probabilities - one).max() > 0.01 for one in alone)


def test_labels_without_probabilities_are_those_with_them(members, image):
    for options in ({}, {"tile": 33, "overlap": 8}):
        predictor = Ensemble(members(**options))
        (prediction,) = predictor.batch([image])
        assert prediction.probabilities is None
        np.testing.assert_array_equal(prediction.mask, predictor(image).mask)


def test_averaging_that_is_asked_for_later_reaches_every_member(members, image):
    later = Ensemble(members()).with_averaging(scales=(0.5, 1.0), flip=True, rotations=True)
    sooner = Ensemble(members(scales=(0.5, 1.0), flip=True, rotations=True))
    np.testing.assert_array_equal(later(image).probabilities, sooner(image).probabilities)


def test_an_ensemble_is_a_list_or_names_with_commas_or_a_crossval_folder(models, tmp_path):
    for fold in (1, 2, 10):
        (tmp_path / f"fold-{fold}").mkdir()
        (tmp_path / f"fold-{fold}" / "best").symlink_to(models[fold % 3])
    (tmp_path / "folds.csv").touch()
    with pytest.raises(WeightsError, match=r"without crossval\.csv.*run xseg crossval again to resume it"):
        load(tmp_path)
    (tmp_path / "crossval.csv").touch()
    folds = [models[1], models[2], models[1]]
    for source in (folds, ",".join(map(str, folds)), tmp_path):
        predictor = xseg.load(source, device="cpu")
        assert isinstance(predictor, Ensemble)
        strides = [member.model.config.output_stride for member in predictor.members]
        assert strides == [8, CONFIGS[2].output_stride, 8], "fold 10 comes after fold 2"
    assert not isinstance(load(models[:1], device="cpu"), Ensemble)
    for empty in ([], "a,,b"):
        with pytest.raises(WeightsError, match="at least one model, none empty"):
            load(empty)


@pytest.mark.parametrize(
    ("labels", "normalization", "message"),
    [
        (LabelMap(("road", "tree", "sky")), Normalization(), "different classes: road, sky, tree / road, tree, sky"),
        (LABELS, Normalization.for_channels(4), "different image channels: 3 / 4"),
        (LABELS, Normalization(maximum=65535.0), "different largest image values: 255.0 / 65535.0"),
    ],
)
def test_members_with_other_classes_or_images_are_refused_in_one_line(labels, normalization, message):
    members = [
        xseg.Predictor(nn.Identity(), labels=given, normalization=scale)
        for given, scale in ((LABELS, Normalization()), (labels, normalization))
    ]
    with pytest.raises(ConfigError, match=f"models 1 and 2 of the ensemble have {message}; expected the same"):
        Ensemble(members)


def test_tiles_suit_the_member_with_the_largest_need_and_context(members, monkeypatch):
    predictors = members()[:2]
    ensemble = Ensemble(predictors)
    needs = {predictors[0].model: 1000.0, predictors[1].model: 500.0}
    contexts = {predictors[0].model: 40, predictors[1].model: 100}
    monkeypatch.setattr(memory, "bytes_per_pixel", lambda model, _: needs[model])
    monkeypatch.setattr(memory, "context", lambda model, _: contexts[model])
    monkeypatch.setattr(memory, "free_memory", lambda *_: 10**9)
    needy = memory.choose_tiling(predictors[0].model, 9000, 9000, channels=3).tile
    assert memory.choose_tiling(ensemble.model, 9000, 9000, channels=3) == Tiling(needy, 224)


def test_the_tiles_of_an_ensemble_fit_into_an_export_of_fixed_size(models, image, tmp_path):
    file = tmp_path / "small.torchscript"
    bundle = xseg.bundles.bundle.load_bundle(models[0])
    options = GraphOptions(size=(40, 40), result="probabilities")
    export_model(bundle, file, format="torchscript", options=options, advice={"overlap": 16})
    both = load([models[1], file], device="cpu")
    assert both.options.tile == 40
    tiled = load(models[1], device="cpu", tile=40, overlap=both.options.overlap)
    assert both(image).mask.shape == tiled(image).mask.shape == image.shape[:2]


def test_an_export_says_the_context_that_its_tiles_need(models, tmp_path):
    bundle = xseg.bundles.bundle.load_bundle(models[0])
    export_model(bundle, tmp_path / "m.torchscript", format="torchscript", advice={"overlap": 64})
    model = load(tmp_path / "m.torchscript").model
    assert memory.choose_tiling(model, 9000, 9000, channels=3, tile=513) == Tiling(513, 64)


def identity(decision, options=None, classes=3):
    return xseg.Predictor(
        nn.Sequential(nn.Identity(), nn.Conv2d(3, classes, 1, bias=False)),
        labels=LabelMap(("road", "sky", "tree")[:classes]),
        normalization=Normalization(),
        options=options or InferenceOptions(device="cpu"),
        decision=decision,
    )


@pytest.mark.parametrize("options", [{}, {"tile": 33, "overlap": 8}], ids=str)
def test_thresholds_of_an_ensemble_are_the_means_of_its_members(image, options):
    chosen = InferenceOptions(device="cpu", **options)
    rules = [Decision(True, (0.2, 0.4, 0.6)), Decision(True, (0.4, 0.6, 0.8)), Decision(True)]
    ensemble = Ensemble([identity(rule, chosen) for rule in rules])
    assert ensemble.decision.thresholds == pytest.approx((1.1 / 3, 0.5, 1.9 / 3))
    prediction = ensemble(image)
    limits = np.array(ensemble.decision.thresholds, np.float32)
    assert np.array_equal(prediction.mask, np.moveaxis(prediction.probabilities, 0, -1) >= limits)
    requested = InferenceOptions(device="cpu", threshold=("0.7",), **options)
    assert Ensemble([identity(rule, requested) for rule in rules]).decision == Decision(True, (0.7, 0.7, 0.7))
    assert Ensemble([identity(Decision(), chosen, 2)] * 2).decision == Decision()


def test_exclusive_and_overlapping_classes_are_no_ensemble():
    with pytest.raises(ConfigError, match="different tasks: exclusive / overlapping; expected the same tasks"):
        Ensemble([identity(Decision()), identity(Decision(overlapping=True))])
