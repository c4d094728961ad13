"""A function's arguments are described by the dataclasses that they are the fields of."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import xseg
from xseg.files.description import described_by


@dataclass
class Base:
    """A base.

    Args:
        depth: number of
            maps.
        width: multiplier.
    """

    depth: int = 5
    width: float = 1.0


@dataclass
class Derived(Base):
    """A derived class.

    Args:
        width: multiplier of the channels.
    """


def test_arguments_are_described_between_the_text_and_what_is_returned():
    @described_by(Derived)
    def build(name, *, depth=5, width=1.0):
        """Build what `name` says.

        Returns:
            It.
        """

    assert build.__doc__.splitlines() == [
        "Build what `name` says.",
        "",
        "Args:",
        "    depth: number of maps.",
        "    width: multiplier of the channels.",
        "",
        "Returns:",
        "    It.",
    ]


def test_the_first_dataclass_that_has_a_field_describes_it():
    @described_by(Base, Derived)
    def build(*, width):
        """Build."""

    assert "width: multiplier.\n" in build.__doc__ + "\n"


def test_an_argument_that_nobody_describes_is_refused():
    def build(colour):
        """Build."""

    with pytest.raises(TypeError, match="build does not describe colour"):
        described_by(Base)(build)


@pytest.mark.parametrize("function", [xseg.create_model, xseg.create_encoder, xseg.create_classifier, xseg.load])
def test_public_functions_describe_their_arguments(function):
    assert function.__doc__.count("\nArgs:\n") == 1
    assert function.__doc__.count("\nRaises:\n") == 1
