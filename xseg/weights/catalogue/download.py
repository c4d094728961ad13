"""Weights by path, or by a name of the catalogue: downloaded with resumption, checksums and an optional mirror."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from xseg.errors import WeightsError
from xseg.files.caches import user_cache
from xseg.files.progress import NO_PROGRESS, Progress, ShowProgress
from xseg.types import PathArgument
from xseg.weights.catalogue.entries import HubFile, WebFile, find_entry, unknown
from xseg.weights.catalogue.hub import fetch_from_hub
from xseg.weights.formats.read import KINDS
from xseg.weights.formats.tensorflow import checkpoint_prefix

MIRROR = "XSEG_WEIGHTS_MIRROR"
ATTEMPTS, CHUNK, TIMEOUT = 4, 1 << 20, 30.0
BUSY = (429, 500, 502, 503, 504)  # status codes of temporary failures
MAX_WAIT = 300.0  # seconds; a longer wait is an error
MAX_BYTES = 4 * 2**30


def locate(weights: PathArgument, *, encoder: str | None = None, show: ShowProgress = NO_PROGRESS) -> Path:
    """Return the path of weights.

    Args:
        weights: path, or name from the catalogue; a path takes precedence.
        encoder: encoder for the weights; None if the name is "ENCODER/NAME".
        show: progress display of a download.

    Raises:
        WeightsError: if it is neither, or the download fails.
    """
    path = Path(weights)
    if path.exists() or checkpoint_prefix(path) is not None:
        return path
    entry = find_entry(str(weights), encoder)
    if entry is None:
        raise unknown(str(weights), encoder, KINDS)
    if isinstance(entry.place, HubFile):
        return fetch_from_hub(entry.place)
    return fetch_from_web(entry.place, show=show)


def fetch_from_web(place: WebFile, *, show: ShowProgress = NO_PROGRESS) -> Path:
    """Return the path of a file, and download it unless it is cached.

    `XSEG_WEIGHTS_MIRROR`, a folder or an address that holds the file under its own name, replaces the publisher.

    Raises:
        WeightsError: if the download fails, or the checksum differs.
    """
    target = user_cache("weights") / place.filename
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    mirror = os.environ.get(MIRROR, "")
    if mirror and "://" not in mirror:
        found = Path(mirror) / place.filename
        if not found.is_file():
            got = f"{MIRROR}={mirror} has no {place.filename}"
            raise WeightsError(got, remedy="put the file there, or unset the variable")
        shutil.copyfile(found, part)
    else:
        _download(f"{mirror.rstrip('/')}/{place.filename}" if mirror else place.url, part, show)
    _verify(place, part)
    part.replace(target)
    return target


def _verify(place: WebFile, part: Path) -> None:
    """Compare with the publisher's checksum; remove a wrong file, so that it is not resumed."""
    for kind, wanted in (("sha256", place.sha256), ("md5", place.md5)):
        if wanted is None:
            continue
        with part.open("rb") as file:
            got = hashlib.file_digest(file, kind).hexdigest()
        if got != wanted:
            part.unlink()
            got = f"{place.filename} arrived with {kind} {got}"
            raise WeightsError(got, expected=wanted, remedy="run again, or pass the path of a file")


def _download(url: str, part: Path, show: ShowProgress) -> None:
    """Download a file; resume an earlier attempt, and wait if the server is busy."""
    reason = ""
    for attempt in range(ATTEMPTS):
        try:
            if _attempt(url, part, show):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the partial file is as long as the file or longer, so it is not its beginning
                part.unlink(missing_ok=True)
                _tag(part).unlink(missing_ok=True)
                continue
            reason = f"the server answers {error.code} {error.reason}"
            if error.code not in BUSY:
                got = f"{url}: {reason}"
                raise WeightsError(got, remedy=f"set {MIRROR}, or download the file and pass its path") from error
            seconds = _wait(error.headers.get("Retry-After"), attempt)
            if seconds > MAX_WAIT:
                reason += f" and asks for a wait of {seconds:.0f} seconds"
                break
            if attempt + 1 < ATTEMPTS:
                time.sleep(seconds)
        except (OSError, HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
    got = f"{url} could not be downloaded: {reason}"
    raise WeightsError(got, remedy=f"run again to resume, set {MIRROR}, or download the file and pass its path")


def _wait(retry_after: str | None, attempt: int) -> float:
    """Return the seconds to wait for a busy server: its Retry-After (RFC 9110, 10.2.3), or 1, 2, 4 by the attempt."""
    text = (retry_after or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return float(2**attempt)


def _attempt(url: str, part: Path, show: ShowProgress) -> bool:
    """Download the missing part; return whether the file is complete."""
    done = part.stat().st_size if part.is_file() and _tag(part).is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "xseg"})  # noqa: S310 - the catalogue's, or the user's
    if done:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", _tag(part).read_text(encoding="utf-8"))
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
        if done and response.status != 206:
            done = 0
        total = done + int(response.headers.get("Content-Length") or 0)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if tag and not tag.startswith("W/"):
            _tag(part).write_text(tag, encoding="utf-8")
        with show("fetch", total >> 20, unit="MiB") as progress:
            progress.advance(done >> 20)
            done = _receive(response, part, done, progress)
    if total > done or (not total and done == 0):
        return False
    _tag(part).unlink(missing_ok=True)
    return True


def _receive(response: HTTPResponse, part: Path, done: int, progress: Progress) -> int:
    with part.open("r+b" if done else "wb") as file:
        file.seek(done)
        while chunk := response.read(CHUNK):
            file.write(chunk)
            progress.advance((done + len(chunk) >> 20) - (done >> 20))
            done += len(chunk)
            if done > MAX_BYTES:
                got = f"{response.url} is longer than {MAX_BYTES} bytes"
                raise WeightsError(got, remedy="pass the path of a file instead")
    return done


def _tag(part: Path) -> Path:
    """Return the path that records the version of a partial file: the rest of another version would not fit."""
    return part.with_name(part.name + ".version")
