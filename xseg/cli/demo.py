"""`xseg demo`: run all steps once, without a download."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from xseg.cli import EXIT_OK, evaluate, predict, train
from xseg.cli.arguments import parse_options
from xseg.errors import ConfigError
from xseg.training.checkpoints.run_directory import RunDirectory

SCENE_SIZE = (128, 192)  # height and width in pixels


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo.

    Args:
        output_dir: folder for data/, run/, predictions/ and report.html.
        overwrite: whether to replace an older demo.
        epochs: number of passes over the training scenes.
        scenes: number of training scenes; an eighth of it is the number of validation and of test scenes.
        encoder: another encoder, of this package or of SMP, at full width; empty for a quarter-width Xception.
        architecture: another architecture; empty for DeepLabV3+.

    Raises:
        ConfigError: if a number is not positive.
    """

    output_dir: str = "runs/demo"
    overwrite: bool = False
    epochs: int = 8
    scenes: int = 256
    encoder: str = ""
    architecture: str = ""

    def __post_init__(self) -> None:
        if min(self.epochs, self.scenes) < 1:
            raise ConfigError(f"epochs={self.epochs}, scenes={self.scenes}", expected="1 or more")


def main(arguments: Sequence[str]) -> int:
    """Train, evaluate and predict on generated street scenes, in a few minutes and without a download.

    Raises:
        XsegError: if an option is wrong.
    """
    options = parse_options("demo", main, DemoOptions, arguments)
    root = Path(options.output_dir)
    data, run, predictions = root / "data", root / "run", root / "predictions"
    _require_free(root, data, overwrite=options.overwrite)
    if options.encoder or options.architecture:
        from xseg.factory import create_model

        # nothing is written if it cannot be built
        create_model(options.architecture or "deeplabv3plus", encoder=options.encoder or "xception")
    from xseg.data.generated.scenes import write_scenes

    start = time.monotonic()
    held_out, (height, width) = max(1, options.scenes // 8), SCENE_SIZE
    write_scenes(data, counts=(options.scenes, held_out, held_out), size=SCENE_SIZE)
    counts = f"{options.scenes} + {held_out} + {held_out}"
    print(f"data: {counts} scenes of {height}x{width} pixels (height x width) in {data}")
    with as_file(files("xseg.cli") / "demo.yaml") as config:
        chosen = ["--data.root", str(data), "--trainer.max_epochs", str(options.epochs)]
        chosen += ["--model.encoder", options.encoder, "--model.width", "1"] if options.encoder else []
        chosen += ["--model.architecture", options.architecture] if options.architecture else []
        train.main(["--config", str(config), "--output_dir", str(run), *chosen, *["--overwrite"] * options.overwrite])
    print("scores on unseen scenes:", flush=True)
    evaluate.main([str(run), "--split", "test", "--output_dir", str(root), *["--overwrite"] * options.overwrite])
    predict.main([str(run), str(data / "test" / "images"), "--output_dir", str(predictions), "--overlay"])
    print(f"demo done in {time.monotonic() - start:.0f} s; open {root / 'report.html'}", flush=True)
    return EXIT_OK


def _require_free(root: Path, data: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is not empty; remove an older demo if overwriting is requested."""
    if root.exists() and not root.is_dir():
        raise ConfigError(f"output_dir={root} is a file", expected="a folder")
    if not root.is_dir() or not any(root.iterdir()):
        return
    older = RunDirectory(root / "run").config.is_file() or data.is_dir()
    if not (overwrite and older):
        remedy = "add --overwrite to replace it" if older else "choose another with --output_dir"
        raise ConfigError(f"output_dir={root} is not empty", expected="a new folder", remedy=remedy)
    for folder in (data, root / "predictions"):
        shutil.rmtree(folder, ignore_errors=True)
