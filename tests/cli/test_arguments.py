from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass

import pytest

from xseg.cli.arguments import add_options, new_parser, parse_arguments
from xseg.errors import ConfigError
from xseg.types import OutputStride, Precision


@dataclass(frozen=True)
class Options:
    """Some options.

    Args:
        scales: sizes to run at.
        flip: mirror too.
        output_stride: finer or coarser.
        precision: of the computation.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    output_stride: OutputStride | None = None
    precision: Precision = "float32"


def tried(_arguments):
    """Try."""
    return 0


@pytest.fixture
def parse():
    parser = new_parser("try", tried)
    parser.add_argument("model", type=str, help="a model")
    add_options(parser, Options)
    return lambda *arguments: vars(parse_arguments(parser, arguments))


def test_what_is_not_given_has_the_dataclasses_default(parse):
    assert Options(**{key: value for key, value in parse("m").items() if key != "model"}) == Options(scales=[1.0])


def test_options_have_their_types(parse):
    values = parse("m", "--scales", "0.5", "1", "--flip", "--output_stride", "8", "--precision=bfloat16")
    assert values == {"model": "m", "scales": [0.5, 1.0], "flip": True, "output_stride": 8, "precision": "bfloat16"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m", "--scale", "2"], "unknown option --scale; did you mean --scales?"),
        (["m", "--outputstride=8"], "unknown option --outputstride; did you mean --output_stride?"),
        (["m", "--zzzzzz"], "unknown option --zzzzzz; xseg try --help lists the options"),
        (["m", "--output_stride", "7"], "output_stride=7; expected one of 4, 8, 16, 32; xseg try"),
        (["m", "--scales", "big"], "scales=big; expected float; xseg try"),
        ([], "the following arguments are required: model; xseg try"),
        (["m", "n"], "unrecognized arguments: n; xseg try"),
    ],
)
def test_a_wrong_option_is_one_line_that_says_what_is_right(parse, arguments, message):
    with pytest.raises(ConfigError) as caught:
        parse(*arguments)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_help_comes_from_the_docstring(parse, capsys):
    with pytest.raises(SystemExit) as left:
        parse("--help")
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in ("sizes to run at.", "mirror too.", "{4,8,16,32}", "default: float32"):
        assert words in text


def test_importing_the_main_module_runs_nothing(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xseg", "--no-such-option"])
    runpy.run_module("xseg.__main__", run_name="xseg.__main__")
    with pytest.raises(SystemExit):
        runpy.run_module("xseg", run_name="__main__")
