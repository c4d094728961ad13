"""Imports go one way, and heavy packages stay behind their fences."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "xseg"

BASE = {
    "ablation",
    "atomic",
    "caches",
    "errors",
    "files",
    "images",
    "label_sets",
    "labels",
    "model_config",
    "normalization",
    "plain",
    "remote",
    "tiff",
    "types",
    "version",
}
# Each layer may import itself and the ones before it.
LAYERS = [
    BASE,
    {"nn"},
    {"encoders"},
    {"weights"},
    {"smp"},
    {"models"},
    {"factory"},
    {"inference"},
    {"training", "evaluation", "classification", "lab"},
    {"benchmarks"},
    {"cli"},
]
SIBLINGS = {"data", "losses", "metrics"}  # import only the first layer and each other; used by training and above

# package -> the modules (prefixes) that may import it at all
FENCES = {
    "lightning": ("training", "data.datamodule", "classification", "lab.training", "cli"),
    "segmentation_models_pytorch": (
        "smp",
        "models.smp_decoders",
        "losses",
        "weights.check",
        "benchmarks.prediction",
        "benchmarks.train_step",
    ),
    "h5py": ("weights.keras_file",),
    "keras": ("weights.check",),
    "tensorflow": ("weights.check",),
    "timm": ("weights.check",),
    "albumentations": ("data", "classification.preprocessing"),
    "matplotlib": ("evaluation", "classification.figures", "data.statistics_charts"),
    "jinja2": ("evaluation", "classification.report", "lab", "data.preview_page"),
}
TORCH_AND_STANDARD_LIBRARY_ONLY = ("nn", "encoders")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def layer(name: str) -> int | None:
    return next((rank for rank, members in enumerate(LAYERS) if name.split(".")[0] in members), None)


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_one_way(path):
    name = module_name(path)
    if name in ("", "__main__"):
        return
    for imported in imports(path):
        if not imported.startswith("xseg.") or imported == "xseg":
            continue
        other = imported.removeprefix("xseg.")
        here, there = layer(name), layer(other)
        if name.split(".")[0] in SIBLINGS:
            assert there == 0 or other.split(".")[0] in SIBLINGS, f"{name} imports {other}"
        elif other.split(".")[0] in SIBLINGS:
            assert here is not None
            assert here >= layer("training"), f"{name} imports {other}"
        else:
            assert here is not None, f"{name} has no layer"
            assert there is not None, f"{other} has no layer"
            assert there <= here, f"{name} imports {other}, which lies above it"
            assert {name.split(".")[0], other.split(".")[0]} != {"training", "evaluation"}, f"{name} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_packages_stay_behind_their_fences(path):
    name = module_name(path)
    for imported in imports(path):
        root = imported.split(".")[0]
        if root in FENCES:
            assert within(name, FENCES[root]), f"{name} imports {root}"
        if within(name, TORCH_AND_STANDARD_LIBRARY_ONLY):
            assert root in {"torch", "xseg"} | set(sys.stdlib_module_names), f"{name} imports {root}"


@pytest.mark.parametrize("absent", ["h5py", "keras", "tensorflow", "timm", "onnx", "openvino", "rasterio", "ray"])
def test_the_core_works_without_optional_packages(absent):
    program = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        "import xseg\n"
        "model = xseg.create_model(encoder='xception', width=0.125, classes=2)\n"
        "import xseg.inference.predictor, xseg.weights.load, xseg.cli\n"
        "xseg.cli.main(['--help'])\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_importing_xseg_does_not_import_torch():
    program = "import sys, xseg; xseg.list_encoders; xseg.LabelMap; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    program = "import sys, xseg; dir(xseg); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
