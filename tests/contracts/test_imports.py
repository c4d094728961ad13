"""What importing the package costs: nothing that is not needed, and no extra that is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = ("datasets", "h5py", "keras", "onnxruntime", "openvino", "rasterio", "ray", "shapely", "tensorflow")


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_the_core_works_without_optional_packages():
    finished = run(
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}))\n"
        "import xseg\n"
        "model = xseg.create_model(encoder='xception', width=0.125, classes=2)\n"
        "import xseg.inference.predictor, xseg.weights.load, xseg.cli\n"
        "xseg.cli.main(['--help'])\n"
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import xseg; dir(xseg)", ("torch", "numpy", "jsonargparse")),
        ("import xseg; xseg.list_encoders; xseg.LabelMap", ("lightning", "segmentation_models_pytorch", "cv2")),
        ("import xseg; xseg.create_model", ("lightning", "segmentation_models_pytorch", "matplotlib")),
        ("from xseg.cli import main; main(['--help'])", ("torch", "numpy")),
    ],
)
def test_an_import_brings_only_what_it_needs(program, absent):
    finished = run(f"import sys\n{program}\nsys.exit(', '.join(set(sys.modules) & set({absent})) or 0)")
    assert finished.returncode == 0, f"{program} imports {finished.stderr}"
