"""`python docs/programs/tiling.py MODEL IMAGES…` compares predictions by tiles with those of the whole image.

Each image is enlarged and, for each overlap, cut to the largest part that tiles with exactly this overlap cover. The
predictions on this part are compared. The program writes a plot and its figures as JSON. Tiles and overlaps of 32 k + 1
pixels keep tiles and whole on the same coarse grid.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.files.atomic import atomic_path, write_text
from xseg.images.reading import read_image
from xseg.inference.accumulator import tiled
from xseg.inference.loading import load
from xseg.inference.predictor import Predictor
from xseg.inference.preprocessing import to_batch
from xseg.inference.receptive_field import measure_receptive_field
from xseg.inference.tiling import TilePlan
from xseg.nn.aspp import ImagePooling


@dataclass(frozen=True)
class Series:
    """One line of the plot.

    Args:
        tile: side of the tiles in pixels.
        pooling: input of image pooling, "tile" or "whole image".
        overlaps: overlaps in pixels.
        agreement: share of pixels with the same label as in the whole image, per overlap.
        largest: largest difference of a logit, per overlap.
        typical: mean difference of the logits, per overlap.
    """

    tile: int
    pooling: str
    overlaps: list[int]
    agreement: list[float]
    largest: list[float]
    typical: list[float]


def logits_and_probabilities(predictor: Predictor, pixels: NDArray[Any]) -> Tensor:
    """Return logits followed by probabilities, (N, 2 * classes, h, w); tiles mix both in the same way."""
    with torch.inference_mode():
        logits: Tensor = predictor.model(to_batch([*pixels], predictor.normalization, predictor.device)).float()
        return torch.cat([logits, logits.softmax(dim=1)], dim=1)


@contextmanager
def pooling_of(model: nn.Module, kept: dict[nn.Module, Tensor], *, replace: bool) -> Iterator[None]:
    """Store the output of image pooling in `kept`, or replace it by the stored output."""

    def hook(module: nn.Module, _: Any, output: Tensor) -> Tensor | None:
        if replace:
            return kept[module].expand_as(output)
        kept[module] = output[..., :1, :1].clone()
        return None

    hooks = [module.register_forward_hook(hook) for module in model.modules() if isinstance(module, ImagePooling)]
    yield
    for handle in hooks:
        handle.remove()


def compare(
    predictor: Predictor, images: Sequence[NDArray[Any]], *, tile: int, overlaps: Sequence[int], keep_pooling: bool
) -> Series:
    """Predict all images whole and in tiles, and compare."""
    results = np.zeros((len(overlaps), 3))
    for row, overlap in enumerate(overlaps):
        for image in images:
            part = fitting_part(image, tile, overlap)
            agreement, largest, typical = difference(predictor, part, tile, overlap, keep_pooling)
            results[row] += [agreement / len(images), 0, typical / len(images)]
            results[row, 1] = max(results[row, 1], largest)
    agreements, extremes, means = results.T.tolist()
    pooling = "whole image" if keep_pooling else "tile"
    return Series(tile, pooling, list(overlaps), agreements, extremes, means)


def difference(
    predictor: Predictor, image: NDArray[Any], tile: int, overlap: int, keep_pooling: bool
) -> tuple[float, float, float]:
    """Return label agreement, and largest and mean difference of the logits, between tiles and whole."""
    classes = len(predictor.labels)
    kept: dict[nn.Module, Tensor] = {}
    with pooling_of(predictor.model, kept, replace=False):
        whole = logits_and_probabilities(predictor, image[None])[0].cpu().numpy()
    plan = TilePlan.fit(*image.shape[:2], tile=tile, overlap=overlap)
    with pooling_of(predictor.model, kept if keep_pooling else {}, replace=keep_pooling):
        both = tiled(
            lambda pixels: logits_and_probabilities(predictor, pixels),
            image,
            plan,
            classes=2 * classes,
            probabilities=True,
        ).probabilities()
    logits = np.abs(both[:classes] - whole[:classes])
    agreement = (both[classes:].argmax(axis=0) == whole[classes:].argmax(axis=0)).mean()
    return float(agreement), float(logits.max()), float(logits.mean())


def fitting_part(image: NDArray[Any], tile: int, overlap: int) -> NDArray[Any]:
    """Return the largest top left part that tiles cover with exactly this overlap, at least two tiles per axis."""
    step = tile - overlap
    height, width = (tile + (size - tile) // step * step for size in image.shape[:2])
    if min(height, width) <= tile:
        size = f"{image.shape[0]} x {image.shape[1]}"
        raise SystemExit(f"images of {size} are too small for two tiles of {tile} with an overlap of {overlap}")
    return np.ascontiguousarray(image[:height, :width])


def enlarged(path: Path, factor: float, channels: int) -> NDArray[Any]:
    """Read and enlarge an image."""
    image = cv2.resize(read_image(path, channels), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return image.reshape(*image.shape[:2], channels)


def draw(series: Sequence[Series], radius: int, path: Path) -> None:
    """Draw agreement and differences over the overlap."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for line in series:
        style = {"marker": "o", "linestyle": "-" if line.pooling == "tile" else "--", "markersize": 4}
        name = f"tiles of {line.tile}" + ("" if line.pooling == "tile" else ", pooling of the whole")
        left.plot(line.overlaps, [100 * share for share in line.agreement], **style)
        middle.plot(line.overlaps, line.typical, label=name, **style)
        right.plot(line.overlaps, line.largest, **style)
    left.set_ylabel("same label as the whole image, %")
    middle.set_ylabel("mean difference of the logits")
    right.set_ylabel("largest difference of a logit")
    middle.legend(fontsize=8)
    for axes in (left, middle, right):
        axes.set_xlabel("overlap, pixels")
        axes.axvline(2 * radius, color="0.6", linestyle=":", linewidth=1)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (middle, right):
        axes.set_ylim(bottom=0)
    with atomic_path(path) as beside:
        figure.savefig(beside, dpi=130)


def main() -> None:
    """Parse the command line, measure, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run directory, a bundle directory or a Hugging Face Hub id")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--factor", type=float, default=2.25, help="factor by which images are enlarged")
    parser.add_argument("--tiles", type=int, nargs="+", default=[257, 385])
    parser.add_argument("--overlaps", type=int, nargs="+", default=[1, 33, 65, 97, 129, 193])
    parser.add_argument("--output", type=Path, default=Path("tiling.png"), help="path of the plot, beside the figures")
    arguments = parser.parse_args()
    predictor = load(arguments.model)
    channels = predictor.normalization.channels
    images = [enlarged(path, arguments.factor, channels) for path in arguments.images]
    field = measure_receptive_field(predictor.model, channels)
    print(f"effective receptive field: radius {field.radius} pixels")
    cases = [(tile, False) for tile in arguments.tiles] + [(arguments.tiles[-1], True)]
    series = []
    for tile, keep_pooling in cases:
        overlaps = [overlap for overlap in arguments.overlaps if 2 * overlap <= tile]
        line = compare(predictor, images, tile=tile, overlaps=overlaps, keep_pooling=keep_pooling)
        print(line)
        series.append(line)
    figures = {"images": len(images), "receptive_field": asdict(field), "series": [asdict(line) for line in series]}
    write_text(arguments.output.with_suffix(".json"), json.dumps(figures, indent=1))
    draw(series, field.radius, arguments.output)


if __name__ == "__main__":
    main()
