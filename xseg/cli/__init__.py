"""The `xseg` program, with one verb per task, imported on demand."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from xseg.errors import XsegError, unknown_name
from xseg.version import __version__

VERBS = {
    "demo": "xseg.cli.demo:main",
    "train": "xseg.cli.train:main",
    "crossval": "xseg.cli.crossval:main",
    "evaluate": "xseg.cli.evaluate:main",
    "predict": "xseg.cli.predict:main",
    "convert": "xseg.cli.convert:main",
    "export": "xseg.cli.export:main",
    "lab": "xseg.cli.lab:main",
    "data": "xseg.cli.data.verbs:main",
    "benchmark": "xseg.cli.benchmark:main",
}

EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def load_verb(verb: str, verbs: Mapping[str, str] = VERBS) -> Callable[[Sequence[str]], int]:
    """Import the function of a verb, which takes the arguments after the verb and returns the exit status."""
    module, _, function = verbs[verb].partition(":")
    loaded: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
    return loaded


def summary_of(verb: str, verbs: Mapping[str, str] = VERBS) -> str:
    """Return the first docstring line of a verb's function, read from its file, as importing takes a second."""
    module, _, function = verbs[verb].partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{module} has no file")
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    found = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == function)
    return (ast.get_docstring(found) or "").splitlines()[0]


def usage() -> str:
    """Return the text of `xseg --help`, from the docstrings of the verbs."""
    lines = [
        "usage: xseg VERB [options]",
        "",
        "Semantic segmentation with Xception and DeepLabV3+.",
        "",
        "verbs:",
        *(f"  {verb:<10} {summary_of(verb)}" for verb in VERBS),
        "",
        "xseg VERB --help lists the options of a verb; xseg --version prints the version.",
        "XSEG_DEBUG=1 shows the traceback of an error.",
    ]
    return "\n".join(lines)


def run_part(verb: str, usage: str, parts: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run a part of a verb, such as `xseg data check`, and return its exit status; without a part, print the usage.

    Raises:
        ConfigError: if the part is unknown.
    """
    part, *rest = [*arguments] or ["--help"]
    kind = usage.partition(" ")[0]
    if part in ("-h", "--help"):
        rows = "\n".join(f"  {name:<10} {summary_of(name, parts)}" for name in parts)
        print(f"usage: xseg {verb} {usage}\n\n{summary_of(verb)}\n\n{kind}:\n{rows}\n")
        print(f"xseg {verb} {kind} --help lists its options.")
        return EXIT_OK
    if part not in parts:
        raise unknown_name(f"unknown {kind.lower()}", part, parts)
    return load_verb(part, parts)(rest)


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run a verb and return its exit status; errors are one line on standard error."""
    try:
        return load_verb(verb)(arguments)
    except KeyboardInterrupt:
        print(f"xseg {verb}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        if os.environ.get("XSEG_DEBUG") == "1":
            traceback.print_exc()
        print(f"xseg {verb}: error: {one_line(error)}", file=sys.stderr)
        return EXIT_USAGE


def one_line(error: Exception) -> str:
    """Return an error as a single line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, XsegError | OSError):
        return text
    return f"{type(error).__name__}: {text} (XSEG_DEBUG=1 shows the traceback)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `xseg` with the arguments after the program name, and return the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    verb = arguments[0] if arguments else "--help"
    if verb in ("-h", "--help", "help"):
        print(usage())
        return EXIT_OK
    if verb == "--version":
        print(f"xseg {__version__}")
        return EXIT_OK
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(VERBS)}"
        print(f"xseg: error: unknown verb {verb!r}; {hint}", file=sys.stderr)
        return EXIT_USAGE
    return run(verb, arguments[1:])
