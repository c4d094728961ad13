"""Files of the Hugging Face Hub, through its own library: cache, token, offline mode and mirror are its own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from xseg.errors import WeightsError
from xseg.weights.catalogue import HubFile

SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_from_hub(place: HubFile) -> Path:
    """Return the path of a file of the Hub, fetched once.

    `HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` (a mirror) and `HF_HUB_OFFLINE` mean what they mean everywhere. Large files
    are stored under their SHA-256, with which a fresh one is compared.

    Raises:
        WeightsError: if the Hub or the network does not give it, or gives other bytes.
    """
    # Slow to import, and rarely needed.
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"{place.repo}: {place.filename}"
    cached = try_to_load_from_cache(place.repo, place.filename, revision=place.revision)
    try:
        path = Path(hf_hub_download(place.repo, place.filename, revision=place.revision))
    except LocalEntryNotFoundError as error:
        raise WeightsError(
            f"{name} is not in the cache, and the Hugging Face Hub cannot be reached: {_first_line(error)}",
            expected="a network, or a file fetched before",
            remedy="unset HF_HUB_OFFLINE, set HF_ENDPOINT to a mirror, or name a file",
        ) from error
    except GatedRepoError as error:
        raise WeightsError(f"{name} is gated", remedy="ask for access on its page, and set HF_TOKEN") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise WeightsError(
            f"{name} is not on the Hugging Face Hub, or not for you: {_first_line(error)}",
            remedy="if it is private, set HF_TOKEN",
        ) from error
    except EntryNotFoundError as error:
        raise WeightsError(f"{name} is not in that repository: {_first_line(error)}") from error
    except Exception as error:  # what the network and the Hub's library raise has no common class
        raise WeightsError(
            f"{name} could not be fetched: {_first_line(error)}", remedy="run it again; it goes on where it stopped"
        ) from error
    if not isinstance(cached, str):
        _verify(name, path)
    return path


def _verify(name: str, path: Path) -> None:
    """Compare a fresh file with the SHA-256 that it is stored under, if it is; a wrong one is removed."""
    blob = path.resolve()
    if SHA256.fullmatch(blob.name) and _sha256(blob) != blob.name:
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
        raise WeightsError(
            f"{name} arrived with another SHA-256 than {blob.name}",
            expected="the bytes that the Hub announced",
            remedy="run it again; if it repeats, the mirror or a proxy changes the file",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
