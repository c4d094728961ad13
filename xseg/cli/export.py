"""`xseg export`: a model as a file for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments
from xseg.exporting.options import FormatName, GraphOptions

SUMMARY = "Export a model to ONNX, OpenVINO or torch, and prove that the file computes the same."


def main(arguments: Sequence[str]) -> int:
    """Export a model to ONNX, OpenVINO or torch, and prove that the file computes the same.

    Args:
        arguments: arguments after `xseg export`.

    Returns:
        0.

    Raises:
        XsegError: if an option is wrong, or the file would compute something else; no file is written then.
    """
    parser = new_parser("export", SUMMARY)
    parser.add_argument("model", type=str, help="a run directory, a bundle directory or a Hugging Face Hub id")
    parser.add_argument("--format", type=FormatName, default="onnx", help="format of the file")
    parser.add_argument("--output", type=str, help="path of the file; by default the model's name in this folder")
    parser.add_argument(
        "--images", type=str, nargs="*", default=[], help="images for the proof, besides generated ones"
    )
    parser.add_argument("--output_stride", type=int, help="4, 8, 16 or 32 instead of the stride of the training")
    add_options(parser, GraphOptions)
    values = vars(parse_arguments(parser, arguments))
    options = options_of(GraphOptions, values)

    from xseg.bundles.bundle import load_bundle
    from xseg.bundles.locate import locate_bundle
    from xseg.exporting.exported import export_model
    from xseg.exporting.formats import FORMATS
    from xseg.images.reading import read_image
    from xseg.inference.receptive_field import context
    from xseg.inference.tiling import ALIGNMENT

    output = Path(values["output"] or Path(values["model"]).resolve().name + FORMATS[values["format"]].suffix)
    bundle = load_bundle(locate_bundle(values["model"]))
    if values["output_stride"]:
        bundle = replace(bundle, model=bundle.model.with_output_stride(values["output_stride"]))
    images = []
    for name in values["images"]:
        image = read_image(name, bundle.normalization.channels).astype("float32")
        images.append((name, image[: options.size[0], : options.size[1]] if options.size else image))
    overlap = -(-2 * context(bundle.model, bundle.normalization.channels) // ALIGNMENT) * ALIGNMENT
    advice = {"overlap": overlap, "tile": max(options.size, default=max(513, 2 * overlap + 1))}
    cases = export_model(bundle, output, format=values["format"], options=options, images=images, advice=advice)
    for case in cases:
        height, width = case.size
        print(f"{case.image}, {height}x{width}: difference {case.difference:.1e}, labels equal {case.agreement:.4%}")
    size = sum(file.stat().st_size for file in output.parent.glob(f"{output.stem}.*")) / 1e6
    print(f"{output}: {size:.1f} MB, equal to the model; proof in {output.with_suffix('.proof.json')}")
    return EXIT_OK
