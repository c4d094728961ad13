"""Export of a model to a file for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xseg.exporting.options import FormatName, GraphOptions, InputKind, Layout, Result
from xseg.files.description import described_by
from xseg.labels.threshold import ThresholdArgument
from xseg.types import OutputStride, PathArgument

if TYPE_CHECKING:
    from xseg.exporting.proof import Case


@dataclass(frozen=True)
class Exported:
    """An exported file, with the cases in which it was compared with the model."""

    path: Path
    cases: tuple[Case, ...]


@described_by(GraphOptions)
def export(
    model: PathArgument,
    output: PathArgument | None = None,
    *,
    format: FormatName = "onnx",  # noqa: A002 - the field's word
    images: Sequence[PathArgument] = (),
    output_stride: OutputStride | None = None,
    input: InputKind = GraphOptions.input,  # noqa: A002 - as the option
    result: Result = GraphOptions.result,
    layout: Layout = GraphOptions.layout,
    size: Sequence[int] = GraphOptions.size,
    threshold: ThresholdArgument = GraphOptions.threshold,
) -> Exported:
    """Export a model to a file in a `format`, as `xseg export`, and prove that the file computes the same.

    The `model` is a run directory, a bundle directory or a Hugging Face Hub id, at its own `output_stride` unless
    another is given. The path `output` is by default the model's name in the working directory. The proof compares
    `images`, besides generated ones.

    Raises:
        XsegError: if an argument is wrong, or the file would compute something else; no file is written then.
    """
    given = locals()
    options = GraphOptions(**{field.name: given[field.name] for field in fields(GraphOptions)})

    from xseg.bundles.bundle import load_bundle
    from xseg.bundles.locate import locate_bundle
    from xseg.exporting.exported import export_model
    from xseg.exporting.formats import FORMATS
    from xseg.images.reading import read_image
    from xseg.inference.receptive_field import context
    from xseg.inference.tiling import ALIGNMENT

    path = Path(output or Path(model).resolve().name + FORMATS[format].suffix)
    bundle = load_bundle(locate_bundle(model))
    if output_stride:
        bundle = replace(bundle, model=bundle.model.with_output_stride(output_stride))
    arrays = []
    for name in images:
        image = read_image(name, bundle.normalization.source).astype("float32")
        arrays.append((str(name), image[: options.size[0], : options.size[1]] if options.size else image))
    overlap = -(-2 * context(bundle.model, bundle.normalization.channels) // ALIGNMENT) * ALIGNMENT
    advice = {"overlap": overlap, "tile": max(options.size, default=max(513, 2 * overlap + 1))}
    cases = export_model(bundle, path, format=format, options=options, images=arrays, advice=advice)
    return Exported(path, tuple(cases))
