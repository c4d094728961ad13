import json

import numpy as np
import torch

import xseg
from xseg.bundles.bundle import Bundle, save_bundle


def test_an_export_is_written_and_proven(tmp_path, settled, waves):
    model = xseg.create_model(encoder="xception", width=0.125, depth=3, decoder_channels=8, output_stride=8, classes=2)
    torch.nn.init.normal_(model.segmentation_head.weight, std=2)  # clear winners
    settled(model, waves(2, 3, 33, 40))
    bundle = save_bundle(Bundle(model.eval(), xseg.LabelMap(("a", "b")), xseg.Normalization()), tmp_path / "bundle")
    made = xseg.export(bundle, tmp_path / "model.onnx", result="labels", size=(33, 40))
    assert made.path == tmp_path / "model.onnx"
    assert made.cases
    assert all(case.difference < 1e-3 for case in made.cases)
    assert json.loads(made.path.with_suffix(".proof.json").read_text())
    image = np.random.default_rng(0).integers(0, 256, (33, 40, 3), np.uint8)
    torch.testing.assert_close(xseg.load(made.path)(image).mask, xseg.load(bundle, device="cpu")(image).mask)
