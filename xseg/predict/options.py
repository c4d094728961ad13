"""Options for the output folder and the machines of a prediction. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from xseg.errors import ConfigError

Engine: TypeAlias = Literal["local", "ray"]
Medium: TypeAlias = Literal["image", "raster", "video"]
"""Kind of source, as far as outputs are concerned: a camera counts as a video."""


@dataclass(frozen=True)
class FolderOptions:
    """Options of the output folder.

    Args:
        output_dir: folder to write to, or its URL (s3://bucket/masks). Gets masks/NAME.png, an indexed PNG per image,
            and predictions.csv, with one row per input.
        resume: whether to resume an interrupted run and keep finished outputs.
        overwrite: whether to remove the files of another run in the folder.

    Raises:
        ConfigError: if both resume and overwrite are set.
    """

    output_dir: str = "predictions"
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise ConfigError("resume with overwrite", expected="one of them")


@dataclass(frozen=True)
class EngineOptions:
    """Options for the machines of a prediction.

    Args:
        engine: local (this machine) or ray (the machines of a Ray cluster, which need model, images and output folder
            under the same paths; images and outputs may be URLs that fsspec supports).
        address: address of the Ray cluster, such as "ray://head:10001" or "auto"; by default, Ray starts on this
            machine.

    Raises:
        ConfigError: if an address is given for another engine.
    """

    engine: Engine = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.address is not None and self.engine != "ray":
            raise ConfigError(f"address={self.address} with engine={self.engine}", expected="engine=ray")
