"""Arguments that several commands take, for argparse."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from dehw.engine import DEVICES, ENGINES


def path(text: str) -> Path:
    """A path, for argparse; an empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty; the current folder is .")
    return Path(text)


def address(text: str) -> str:
    """The address of a cluster, for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty; this machine's own cores are local")
    return text


def share(text: str) -> float:
    """A number in 0..1, for argparse."""
    value = at_least(0)(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"must lie in 0..1, got {text!r}")
    return value


def at_least(least: float, kind: type = float) -> Callable[[str], float]:
    """What reads an argument that must be a number of this kind and size, for argparse."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value < math.inf:
            word = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"must be a {word} of at least {least}, got {text!r}")
        return value

    return read


def add_networks(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose the networks and what runs them: pipeline, weights, device, engine."""
    add = parser.add_argument
    add("--pipeline", default="lite", help="name in configs/pipelines, or a file; default: %(default)s")
    add("--weights", type=path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    add("--device", choices=DEVICES, default="auto", help="default: %(default)s")
    add("--engine", choices=ENGINES, default="auto", help="what runs the networks; default: %(default)s")
