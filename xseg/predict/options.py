"""Where and on which machines prediction runs, as plain values. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from xseg.errors import ConfigError

Engine: TypeAlias = Literal["local", "ray"]


@dataclass(frozen=True)
class FolderOptions:
    """Where outputs go.

    Args:
        output_dir: folder to write to, or its URL (s3://bucket/masks): masks/NAME.png, an indexed PNG per image, and
            predictions.csv, a row per input.
        resume: resume an interrupted run: what is done is kept.
        overwrite: remove what another run left in the folder, and begin anew.

    Raises:
        ConfigError: if a run is to be resumed and overwritten.
    """

    output_dir: str = "predictions"
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise ConfigError("resume with overwrite", expected="one of them")


@dataclass(frozen=True)
class EngineOptions:
    """Which machines predict.

    Args:
        engine: local (this machine), or ray: the machines of a Ray cluster, which need to see the model, the images and
            the output folder under the same paths; images and outputs may be URLs that fsspec knows.
        address: address of the Ray cluster, as "ray://head:10001" or "auto"; without, Ray starts on this machine.

    Raises:
        ConfigError: if an address is given for another engine.
    """

    engine: Engine = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.address is not None and self.engine != "ray":
            raise ConfigError(f"address={self.address} with engine={self.engine}", expected="engine=ray")
