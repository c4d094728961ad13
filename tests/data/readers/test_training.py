"""What the readers give can be learnt from: TIFFs of five 16-bit bands, from the command line."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile

from xseg.cli import main


@pytest.mark.slow
def test_tiffs_of_five_deep_bands_train_a_model(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for kind in ("images", "masks"):
            (tmp_path / "data" / split / kind).mkdir(parents=True)
        for index in range(count):
            mask = np.kron(rng.integers(0, 4, (3, 4)), np.ones((16, 16), int)).astype(np.uint8)
            bands = np.stack([(mask == band % 4) * 20_000 + rng.integers(0, 9_000, mask.shape) for band in range(5)])
            path = tmp_path / "data" / split
            tifffile.imwrite(path / "images" / f"{index}.tif", bands.astype(np.uint16), photometric="minisblack")
            tifffile.imwrite(path / "masks" / f"{index}.tif", mask)
    (tmp_path / "data" / "classes.txt").write_text("soil\nwater\nwheat\nforest\n")
    arguments = {
        "data.reader": "folder", "data.root": tmp_path / "data", "data.channels": 5, "data.crop": "[48, 48]",
        "data.batch_size": 2, "data.workers": 0, "model.encoder": "xception", "model.width": 0.125,
        "model.decoder_channels": 16, "model.optimizer.lr": 0.01, "trainer.max_epochs": 2, "trainer.accelerator": "cpu",
        "output_dir": tmp_path / "run",
    }  # fmt: skip
    assert main(["train", *(str(word) for name, value in arguments.items() for word in (f"--{name}", value))]) == 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        first, last = csv.DictReader(file)
    assert np.isfinite(float(last["train/loss"]))
    assert float(last["train/loss"]) < float(first["train/loss"])
