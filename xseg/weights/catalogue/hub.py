"""Download from the Hugging Face Hub with its own library, cache, token, offline mode and mirror."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xseg.errors import WeightsError
from xseg.weights.catalogue.entries import HubFile

SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_from_hub(place: HubFile) -> Path:
    """Return the path of a file on the Hub, and download it unless it is cached.

    `HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` (a mirror) and `HF_HUB_OFFLINE` have their usual meaning. Large files are
    stored under their SHA-256, with which a new file is compared.

    Raises:
        WeightsError: if the download fails, or the bytes differ.
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
    repo: str,
    filenames: Sequence[str],
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    access: Mapping[str, Any] | None = None,
) -> Path:
    """Return the folder of files of one commit, downloaded unless they are cached; missing ones are left out.

    `cache_dir` replaces the cache in `HF_HOME`; `access` holds further arguments of `snapshot_download`: `token`,
    `local_files_only` and `force_download`.

    Raises:
        WeightsError: if the download fails, or the bytes differ.
    """
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    place: dict[str, Any] = {"cache_dir": cache_dir, "revision": revision}
    cached = {name: try_to_load_from_cache(repo, name, **place) for name in filenames}
    with hub_errors(repo):
        folder = Path(snapshot_download(repo, allow_patterns=list(filenames), **place, **(access or {})))
    for name in filenames:
        if (folder / name).is_file() and cached[name] != str(folder / name):
            _verify(f"{repo}: {name}", folder / name)
    return folder


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn the exceptions of the Hub's library into one line.

    Raises:
        WeightsError: for any exception of the network or the library, which have no common class.
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
        got = f"{name} is not in the cache, and the Hugging Face Hub cannot be reached: {_first_line(error)}"
        remedy = "unset HF_HUB_OFFLINE, set HF_ENDPOINT to a mirror, or pass the path of a file"
        raise WeightsError(got, expected="a network connection, or a cached file", remedy=remedy) from error
    except GatedRepoError as error:
        raise WeightsError(f"{name} is gated", remedy="request access on its page, and set HF_TOKEN") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        got = f"{name} is not on the Hugging Face Hub, or you have no access: {_first_line(error)}"
        raise WeightsError(got, remedy="set HF_TOKEN if the repository is private, or to write to it") from error
    except EntryNotFoundError as error:
        raise WeightsError(f"{name} is not in that repository: {_first_line(error)}") from error
    except Exception as error:
        got = f"{name}: the Hugging Face Hub failed: {_first_line(error)}"
        raise WeightsError(got, remedy="run again; an interrupted download is resumed") from error


def _verify(name: str, path: Path) -> None:
    """Compare a new file with the SHA-256 in its name, if any; remove a wrong file."""
    blob = path.resolve()
    if not SHA256.fullmatch(blob.name):
        return
    with blob.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != blob.name:
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
        got = f"{name} arrived with another SHA-256 than {blob.name}"
        remedy = "run again; if the error persists, the mirror or a proxy changes the file"
        raise WeightsError(got, expected="the SHA-256 from the Hub", remedy=remedy)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
