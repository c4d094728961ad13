"""Files to predict, from a user's arguments, each with a unique name for its outputs."""

from __future__ import annotations

import glob
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeAlias

from xseg.errors import DataError
from xseg.files.remote import (
    files_below,
    files_matching,
    is_file,
    is_folder,
    is_url,
    join_url,
    opened_url,
    staging_folder,
)
from xseg.images.reading import IMAGE_SUFFIXES
from xseg.types import PathArgument

if TYPE_CHECKING:
    from xseg.predict.options import Medium

Kind: TypeAlias = Literal["image", "raster", "video", "camera"]

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
KIND_THREADS = 8  # TIFFs whose headers are read at once


@dataclass(frozen=True)
class Source:
    """A file to predict, or a camera.

    Args:
        path: path of the file, number of the camera, or temporary path of a downloaded file.
        name: unique name for the outputs: a relative path without suffix, separated by "/".
        kind: "image" is read whole, "raster" by windows, "video" frame by frame, "camera" until it is interrupted.
        url: URL of the file; None for a local file.
    """

    path: Path
    name: str
    kind: Kind = "image"
    url: str | None = None

    @property
    def place(self) -> str:
        """Path or URL, as given by the user."""
        return self.url or str(self.path)

    @property
    def medium(self) -> Medium:
        """Kind of source as far as outputs are concerned."""
        return "video" if self.kind == "camera" else self.kind


@dataclass(frozen=True)
class _Found:
    """A file and the folder to which its name is relative; for a URL, both are only used for names."""

    path: Path
    root: Path
    url: str | None = None


def expand_sources(arguments: Sequence[str], *, exclude: PathArgument | None = None) -> tuple[Source, ...]:
    """Return the files for the user's arguments.

    Args:
        arguments: files; folders, searched recursively for images; globs ("**" spans folders) of images and videos;
            @list.txt, a text file with one file, folder or glob per line, relative to the list or to the working
            directory, and "#" for comments; and cameras by number. Files, folders and globs may be URLs that fsspec
            supports, such as s3://bucket/photos.
        exclude: folder or URL that is not searched, such as the output folder.

    Returns:
        The files in the order of the arguments, sorted within a folder or glob, without repetitions. A file given by
        its path may have any suffix; a file in a list may be missing, which prediction reports.

    Raises:
        DataError: if an argument matches no files.
        ConfigError: if the protocol of a URL is not installed.
    """
    found: dict[str, _Found] = {}
    for argument in arguments:
        for item in _expand(argument):
            found.setdefault(item.url or os.path.abspath(item.path), item)  # noqa: PTH100 - keeps symbolic links' names
    if exclude is not None:
        found = {place: item for place, item in found.items() if not _is_below(item, exclude)}
    if not found:
        got = f"{' '.join(arguments) or 'an empty list'} matches no image outside the output folder"
        raise DataError(got, expected="files, folders, globs or @list.txt")
    items = list(found.values())
    with ThreadPoolExecutor(KIND_THREADS) as threads:
        kinds = list(threads.map(_kind, items))
    here = staging_folder() / uuid.uuid4().hex
    paths = [here / item.path.relative_to(item.path.anchor) if item.url else item.path for item in items]
    whole = zip(paths, _names(items), kinds, [item.url for item in items], strict=True)
    return tuple(Source(*found) for found in whole)


def forget(sources: Iterable[Source]) -> None:
    """Remove the local copies of downloaded files."""
    room = staging_folder()
    for folder in {room / source.path.relative_to(room).parts[0] for source in sources if source.url}:
        shutil.rmtree(folder, ignore_errors=True)


def _is_below(item: _Found, folder: PathArgument) -> bool:
    if item.url is not None:
        return item.url.startswith(join_url(str(folder), ""))
    return not is_url(folder) and item.path.resolve().is_relative_to(Path(folder).resolve())


def _kind(item: _Found) -> Kind:
    path = item.path
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return "video"
    if item.url is None and not path.suffix and _is_camera(str(path)):
        return "camera"
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return "image"
    from xseg.predict.geotiff import is_raster, is_raster_file

    with suppress(DataError), opened_url(item.url) if item.url else nullcontext() as file:
        return "raster" if (is_raster_file(file) if file else is_raster(path)) else "image"
    return "image"  # prediction reports unreadable files


def _is_camera(argument: str) -> bool:
    return argument.isdecimal() and argument.isascii() and not Path(argument).exists()


def _expand(argument: str) -> Iterator[_Found]:
    if is_url(argument):
        yield from _expand_url(argument)
        return
    path = Path(argument).expanduser()
    if path.is_dir():
        files = sorted(_images_below(path))
        if not files:
            raise DataError(f"{path} holds no image", expected=f"files with suffix {', '.join(sorted(IMAGE_SUFFIXES))}")
        yield from (_Found(file, path) for file in files)
    elif path.exists():
        yield _Found(path, path.parent)
    elif argument.startswith("@"):
        yield from _expand_list(Path(argument[1:]).expanduser())
    elif glob.has_magic(argument):
        yield from _expand_glob(str(path))
    elif _is_camera(argument):
        yield _Found(path, path.parent)
    else:
        raise DataError(f"{argument} does not exist", expected="a file, folder, glob, @list.txt or camera")


def _expand_url(url: str) -> Iterator[_Found]:
    if not url.endswith("/") and is_file(url):
        yield _found_one(url)
    elif glob.has_magic(url):
        folder, names = files_matching(url)
        yield from _found_at(folder, [name for name in names if _is_picture(PurePosixPath(name).name)])
    elif is_folder(url):
        shown = [name for name in files_below(url) if not any(part.startswith(".") for part in name.split("/"))]
        yield from _found_at(url, [name for name in shown if _is_image(PurePosixPath(name).name)])
    else:
        raise DataError(f"{url} does not exist", expected="the URL of a file or folder, or a glob")


def _found_one(url: str) -> _Found:
    folder, name = url.rsplit("/", 1)
    return next(_found_at(folder, [name]))


def _found_at(folder: str, names: Sequence[str]) -> Iterator[_Found]:
    """Yield files below a URL, with names as if its protocol were a local folder."""
    if not names:
        raise DataError(f"{folder} holds no matching image", expected="images, or a glob in quotes")
    root = Path(os.sep, *re.split(r"[:/]+", folder.rstrip("/")))
    for name in names:
        if ".." in PurePosixPath(name).parts:
            raise DataError(f"{join_url(folder, name)} leads out of its folder", expected="names without ..")
        yield _Found(root / name, root, join_url(folder, name))


def _images_below(folder: Path) -> Iterator[Path]:
    """Yield the images below a folder, without hidden files and folders; links are followed once."""
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # An empty folder with the name of an image is included, so that it is reported as unreadable
        yield from (path for name in folders if _is_image(name) and not any((path := Path(parent, name)).iterdir()))
        yield from (Path(parent, name) for name in files if _is_image(name))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and PurePath(name).suffix.lower() in IMAGE_SUFFIXES


def _is_picture(name: str) -> bool:
    return _is_image(name) or (not name.startswith(".") and PurePath(name).suffix.lower() in VIDEO_SUFFIXES)


def _expand_glob(pattern: str) -> Iterator[_Found]:
    parts = PurePath(pattern).parts
    plain = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:plain])
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - supports absolute patterns
    files = [match for match in matches if match.is_file() and _is_picture(match.name)]
    if not files:
        raise DataError(f"{pattern} matches no image or video", expected="a glob in quotes, such as 'photos/**/*.jpg'")
    yield from (_Found(file, root) for file in files)


def _expand_list(file: Path) -> Iterator[_Found]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        expected = "a text file, one path per line"
        raise DataError(f"{file} cannot be read as a list: {error}", expected=expected) from error
    entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not entries:
        raise DataError(f"{file} is an empty list", expected="one path per line")
    for entry in entries:
        if is_url(entry):
            many = entry.endswith("/") or glob.has_magic(entry)
            yield from _expand_url(entry) if many else [_found_one(entry)]  # without a request for each one
            continue
        beside = file.parent / entry
        here = Path(entry)
        path = here if here.exists() and not beside.exists() else beside
        if path.is_dir() or (glob.has_magic(entry) and not path.exists()):
            yield from _expand(str(path))
        else:
            yield _Found(path, file.parent if path.is_relative_to(file.parent) else path.parent)


def _names(items: Sequence[_Found]) -> list[str]:
    """Return a unique name per file.

    It is the path relative to the folder of the argument, without suffix. If files of several folders would share a
    name, all names start at the deepest common folder; files that differ only in their suffix keep it.
    """
    paths = [PurePath(item.path.relative_to(item.root)) for item in items]
    paths = [PurePath(path.name) if ".." in path.parts else path for path in paths]  # outside the root
    if _repeated(map(str, paths)):
        whole = [os.path.abspath(item.path) for item in items]  # noqa: PTH100 - keeps names of symbolic links
        common = os.path.commonpath([os.path.dirname(path) for path in whole])  # noqa: PTH120
        paths = [PurePath(path).relative_to(common) for path in whole]
    names = [path.with_suffix("").as_posix() for path in paths]
    while repeated := _repeated(names):
        # Terminates, as complete paths differ and each round completes at least one more path.
        names = [path.as_posix() if name in repeated else name for path, name in zip(paths, names, strict=True)]
    return names


def _repeated(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}
