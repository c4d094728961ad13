"""Bundles on the Hugging Face Hub, with its library's own mixin and a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData, ModelHubMixin

from xseg.bundles.bundle import Bundle, load_bundle, write_files
from xseg.bundles.locate import FILES, require_bundle
from xseg.models.segmentation import SegmentationModel
from xseg.types import PathArgument
from xseg.weights.catalogue.hub import fetch_files, hub_errors


class HubBundle(ModelHubMixin):
    """A bundle with the methods `save_pretrained`, `push_to_hub` and `from_pretrained` of the Hub's library.

    Args:
        bundle: bundle to save, or loaded bundle.
    """

    def __new__(cls, *_args: Any) -> HubBundle:
        """Skip the mixin's configuration, which would be a JSON copy of the bundle with weights."""
        return object.__new__(cls)

    def __init__(self, bundle: Bundle[SegmentationModel]) -> None:
        self.bundle = bundle

    def _save_pretrained(self, save_directory: Path) -> None:
        write_files(self.bundle, save_directory)

    @classmethod
    def _from_pretrained(  # type: ignore[override]  # the mixin also takes arguments of __init__; there are none here
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
    ) -> HubBundle:
        if Path(model_id).is_dir():
            return cls(load_bundle(model_id))
        access = {"token": token, "local_files_only": local_files_only, "force_download": force_download}
        folder = fetch_files(model_id, FILES, revision=revision, cache_dir=cache_dir, access=access)
        return cls(load_bundle(require_bundle(folder, model_id)))

    def generate_model_card(
        self,
        repo_id: str = "OWNER/NAME",
        license: str | None = None,  # noqa: A002 - the card's own word
    ) -> ModelCard:
        """Return the model card with licence, classes, score and usage.

        Args:
            repo_id: repository of the bundle.
            license: licence of the weights; None for the one in the bundle's provenance.
        """
        said = license or self.bundle.provenance.get("license")
        data = ModelCardData(
            license=said.lower() if isinstance(said, str) else None,
            library_name="xseg",
            pipeline_tag="image-segmentation",
            tags=["xception", "semantic-segmentation", self.bundle.model.config.architecture],
        )
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{card_text(self.bundle, repo_id)}")


def push_to_hub(
    bundle: Bundle[SegmentationModel],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    license: str | None = None,  # noqa: A002 - the Hub's own word
    commit_message: str = "Push a bundle of xseg",
) -> str:
    """Push a bundle with its model card to the Hugging Face Hub, in one commit.

    Args:
        bundle: model, labels and normalisation.
        repo_id: owner and name of the repository, created if necessary.
        private: whether a new repository is private.
        token: token that replaces the one from `hf auth login`.
        license: licence of the weights for the card; None for the one in the provenance.
        commit_message: message of the commit.

    Returns:
        The address of the commit.

    Raises:
        WeightsError: if the Hub refuses or cannot be reached.
    """
    options: dict[str, Any] = {"private": private, "token": token, "commit_message": commit_message}
    options["model_card_kwargs"] = {"repo_id": repo_id, "license": license}
    with hub_errors(f"pushing to {repo_id}"):
        return str(HubBundle(bundle).push_to_hub(repo_id, **options))


def pull_from_hub(
    source: PathArgument, *, revision: str | None = None, token: str | bool | None = None
) -> Bundle[SegmentationModel]:
    """Load a bundle from the Hugging Face Hub, downloaded unless it is cached, or from a directory.

    Args:
        source: Hub id "owner/name", or directory.
        revision: branch, tag or commit.
        token: token that replaces the one from `hf auth login`; False for none.

    Raises:
        WeightsError: if there is no bundle, or it is damaged.
    """
    with hub_errors(str(source)):
        return HubBundle.from_pretrained(str(source), revision=revision, token=token).bundle


def card_text(bundle: Bundle[SegmentationModel], repo_id: str) -> str:
    """Return the text of a model card in Markdown."""
    config, provenance, numbers = bundle.model.config, bundle.provenance, bundle.normalization
    parameters = sum(parameter.numel() for parameter in bundle.model.parameters())
    known = ("source", "origin", "score", "val_miou", "epoch")
    properties = [f"- {name}: {provenance[name]}" for name in known if provenance.get(name) is not None]
    classes = [
        f"| {index} | {name} | #{red:02x}{green:02x}{blue:02x} |"
        for index, (name, (red, green, blue)) in enumerate(zip(bundle.labels.names, bundle.labels.colors, strict=True))
    ]
    return "\n".join(
        [
            f"# {config.architecture} on {config.encoder}\n",
            f"Semantic segmentation into {config.classes} classes; {parameters:,} parameters, output stride "
            f"{config.output_stride}, {config.in_channels} input channels. Input: stored values divided by "
            f"{numbers.maximum:g}, mean {list(numbers.mean)}, standard deviation {list(numbers.std)}.\n",
            *([*properties, ""] if properties else []),
            "```python",
            "import xseg\n",
            f'predictor = xseg.load("{repo_id}")',
            'predictor("photo.jpg").save("mask.png")',
            "```\n",
            "| train id | class | colour |",
            "| --- | --- | --- |",
            *classes,
            "",
        ]
    )
