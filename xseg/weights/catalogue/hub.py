"""Files of the Hugging Face Hub, through its own library: cache, token, offline mode and mirror are its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from xseg.errors import WeightsError
from xseg.weights.catalogue.entries import HubFile

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubAccess:
    """How the Hub is asked, where its library's own settings are not meant.

    Args:
        token: instead of `HF_TOKEN`; False for none.
        cache_dir: instead of the cache in `HF_HOME`.
        local_files_only: serve only what is cached.
        force_download: fetch again what is cached.
    """

    token: str | bool | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    force_download: bool = False


def fetch_from_hub(place: HubFile) -> Path:
    """Return the path of a file of the Hub, fetched once.

    `HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` (a mirror) and `HF_HUB_OFFLINE` mean what they mean everywhere. Large files
    are stored under their SHA-256, with which a fresh one is compared.

    Raises:
        WeightsError: if the Hub or the network does not give it, or gives other bytes.
    """
    # Slow to import, and rarely needed.
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    name = f"{place.repo}: {place.filename}"
    cached = try_to_load_from_cache(place.repo, place.filename, revision=place.revision)
    with hub_errors(name):
        path = Path(hf_hub_download(place.repo, place.filename, revision=place.revision))
    if not isinstance(cached, str):
        _verify(name, path)
    return path


def fetch_files(
    repo: str, filenames: Sequence[str], *, revision: str | None = None, access: HubAccess | None = None
) -> Path:
    """Return the folder of some files of one commit of a repository, fetched once and side by side.

    Args:
        repo: owner and name.
        filenames: inside the repository; one that it lacks is left out.
        revision: a branch, a tag or a commit.
        access: how the Hub is asked.

    Raises:
        WeightsError: if the Hub or the network gives nothing, or other bytes.
    """
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    access = access or HubAccess()
    cached = {
        name: try_to_load_from_cache(repo, name, cache_dir=access.cache_dir, revision=revision) for name in filenames
    }
    with hub_errors(repo):
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(filenames), **asdict(access)))
    for name in filenames:
        if (folder / name).is_file() and cached[name] != str(folder / name):
            _verify(f"{repo}: {name}", folder / name)
    return folder


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn what the Hub's library raises into one line.

    Args:
        name: what is asked for.

    Raises:
        WeightsError: for anything that the network or the library raises: they have no common class.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except WeightsError:
        raise
    except HFValidationError as error:
        raise WeightsError(f"{name} is neither a directory here nor a Hub id", expected="owner/name") from error
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
            remedy="if it is private, or yours to write, set HF_TOKEN",
        ) from error
    except EntryNotFoundError as error:
        raise WeightsError(f"{name} is not in that repository: {_first_line(error)}") from error
    except Exception as error:
        raise WeightsError(
            f"{name}: the Hugging Face Hub failed: {_first_line(error)}",
            remedy="run it again; a download goes on where it stopped",
        ) from error


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
