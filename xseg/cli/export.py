"""`xseg export`: a model as a file for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from xseg.api.export import export
from xseg.cli import EXIT_OK
from xseg.cli.arguments import MODEL, add_options, new_parser, options_of, parse_arguments
from xseg.exporting.options import FormatName, GraphOptions


def main(arguments: Sequence[str]) -> int:
    """Export a model to ONNX, OpenVINO or torch, and prove that the file computes the same.

    Raises:
        XsegError: if an option is wrong, or the file would compute something else; no file is written then.
    """
    parser = new_parser("export", main)
    parser.add_argument("model", type=str, help=MODEL)
    parser.add_argument("--format", type=FormatName, default="onnx", help="format of the file")
    parser.add_argument("--output", type=str, help="path of the file; by default the model's name in this folder")
    images = "images for the proof, besides generated ones"
    parser.add_argument("--images", type=str, nargs="*", default=[], help=images)
    parser.add_argument("--output_stride", type=int, help="4, 8, 16 or 32 instead of the stride of the training")
    add_options(parser, GraphOptions)
    values = vars(parse_arguments(parser, arguments))
    own = {name: values[name] for name in ("model", "output", "format", "images", "output_stride")}
    made = export(**own, **asdict(options_of(GraphOptions, values)))
    for case in made.cases:
        height, width = case.size
        print(f"{case.image}, {height}x{width}: difference {case.difference:.1e}, labels equal {case.agreement:.4%}")
    size = sum(file.stat().st_size for file in made.path.parent.glob(f"{made.path.stem}.*")) / 1e6
    print(f"{made.path}: {size:.1f} MB, equal to the model; proof in {made.path.with_suffix('.proof.json')}")
    return EXIT_OK
