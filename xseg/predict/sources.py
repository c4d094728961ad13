"""From what a user names to the files to predict on, each with a name of its own for its outputs."""

from __future__ import annotations

import glob
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
    from xseg.predict.outputs.output import Medium

Kind: TypeAlias = Literal["image", "raster", "video", "camera"]

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
KIND_THREADS = 8  # TIFFs whose headers are read at once


@dataclass(frozen=True)
class Source:
    """One file to predict on, or a camera.

    Args:
        path: the file; the camera's number; where a URL's file is kept while it is needed.
        name: unique among the sources: a relative path without suffix, "/" separated; what outputs are called.
        kind: "image" is read whole, "raster" by windows, "video" frame by frame, "camera" until it is interrupted.
        url: what the file is fetched from; None for one that is here.
    """

    path: Path
    name: str
    kind: Kind = "image"
    url: str | None = None

    @property
    def place(self) -> str:
        """Path or URL, as the user named it."""
        return self.url or str(self.path)

    @property
    def medium(self) -> Medium:
        """Kind of source as far as outputs are concerned."""
        return "video" if self.kind == "camera" else self.kind


@dataclass(frozen=True)
class _Found:
    """A file and the folder below which its place is kept; a URL's are made up, and say what it is called alone."""

    path: Path
    root: Path
    url: str | None = None


def expand_sources(arguments: Sequence[str], *, exclude: PathArgument | None = None) -> tuple[Source, ...]:
    """Return the files that the arguments name.

    Args:
        arguments: files; folders, searched to the bottom for images; globs ("**" spans folders) of images and videos;
            @list.txt, a text file with a file, folder or glob per line, relative to the list or to the working
            directory, "#" for comments; and cameras by their number. Files, folders and globs may be URLs that fsspec
            knows, as s3://bucket/photos.
        exclude: a folder, or its URL, that is not searched: where the outputs go.

    Returns:
        The files in the order of the arguments, sorted within a folder or glob, each once. A file that is named
        outright is taken whatever its suffix, and one that a list names even if it is missing: reading it will tell.

    Raises:
        DataError: if an argument names nothing.
        ConfigError: if a URL's protocol is not installed.
    """
    found: dict[str, _Found] = {}
    for argument in arguments:
        for item in _expand(argument):
            found.setdefault(item.url or os.path.abspath(item.path), item)  # noqa: PTH100 - keeps symbolic links' names
    if exclude is not None:
        found = {place: item for place, item in found.items() if not _is_below(item, exclude)}
    if not found:
        raise DataError(
            f"{' '.join(arguments) or 'nothing'} names no image outside the output folder",
            expected="files, folders, globs or @list.txt",
        )
    items = list(found.values())
    with ThreadPoolExecutor(KIND_THREADS) as threads:
        kinds = list(threads.map(_kind, items))
    here = staging_folder() / uuid.uuid4().hex
    paths = [here / item.path.relative_to(item.path.anchor) if item.url else item.path for item in items]
    whole = zip(paths, _names(items), kinds, [item.url for item in items], strict=True)
    return tuple(Source(*facts) for facts in whole)


def forget(sources: Iterable[Source]) -> None:
    """Remove what is left on this machine of fetched files."""
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

    if item.url is None:
        return "raster" if is_raster(path) else "image"
    with suppress(DataError), opened_url(item.url) as file:  # what cannot be read is told when it is its turn
        return "raster" if is_raster_file(file) else "image"
    return "image"


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
            raise DataError(f"{path} holds no image", expected=f"files that end in {', '.join(sorted(IMAGE_SUFFIXES))}")
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
        yield from _found_at(url, [name for name in files_below(url) if _is_shown(PurePosixPath(name))])
    else:
        raise DataError(f"{url} does not exist", expected="the URL of a file or folder, or a glob")


def _is_shown(name: PurePosixPath) -> bool:
    """Tell whether a name below a folder is an image's, and neither it nor its folders are hidden."""
    return _is_image(name.name) and not any(part.startswith(".") for part in name.parts)


def _found_one(url: str) -> _Found:
    folder, name = url.rsplit("/", 1)
    return next(_found_at(folder, [name]))


def _found_at(folder: str, names: Sequence[str]) -> Iterator[_Found]:
    """Give files below a URL, as if its protocol were a folder of this machine: their names follow from that."""
    if not names:
        raise DataError(f"{folder} holds no image that was asked for", expected="images, or a glob in quotes")
    root = Path(os.sep, *re.split(r"[:/]+", folder.rstrip("/")))
    for name in names:
        if ".." in PurePosixPath(name).parts:
            raise DataError(f"{join_url(folder, name)} leads out of its folder", expected="names without ..")
        yield _Found(root / name, root, join_url(folder, name))


def _images_below(folder: Path) -> Iterator[Path]:
    """Give the images below a folder; hidden files and folders are left out, links are followed once."""
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # A folder with nothing in it but a picture's name is told as what cannot be read
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
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - absolute ones too
    files = [match for match in matches if match.is_file() and _is_picture(match.name)]
    if not files:
        raise DataError(f"{pattern} matches no image or video", expected="a glob in quotes, as 'photos/**/*.jpg'")
    yield from (_Found(file, root) for file in files)


def _expand_list(file: Path) -> Iterator[_Found]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file} cannot be read as a list: {error}", expected="a text file, one path per line"
        ) from error
    entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not entries:
        raise DataError(f"{file} is an empty list", expected="one path per line")
    for entry in entries:
        if is_url(entry):
            many = entry.endswith("/") or glob.has_magic(entry)
            yield from _expand_url(entry) if many else [_found_one(entry)]  # not asked for one by one
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

    It is the path below the argument's folder, without suffix. If files of several folders would share a name, all
    names start at the deepest folder that holds all files; files that differ in their suffix alone keep it.
    """
    paths = [PurePath(_below(item.path, item.root)) for item in items]
    if _repeated([str(path) for path in paths]):
        whole = [os.path.abspath(item.path) for item in items]  # noqa: PTH100 - keeps symbolic links' names
        common = os.path.commonpath([os.path.dirname(path) for path in whole])  # noqa: PTH120
        paths = [PurePath(path).relative_to(common) for path in whole]
    names = [path.with_suffix("").as_posix() for path in paths]
    while repeated := _repeated(names):
        # Ends: whole paths differ, and each round turns at least one more name into the whole path.
        names = [path.as_posix() if name in repeated else name for path, name in zip(paths, names, strict=True)]
    return names


def _below(path: Path, root: Path) -> Path:
    """Return the path below root; the file's name alone where that would lead outside."""
    relative = path.relative_to(root)
    return Path(path.name) if ".." in relative.parts else relative


def _repeated(names: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
