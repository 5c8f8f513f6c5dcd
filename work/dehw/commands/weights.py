"""`dehw weights`: weights that others released, written as pipelines load them."""

import argparse
from pathlib import Path

from dehw.errors import ExitCode, tell

NETWORKS = ("erasenet", "erasenet-nonlocal", "mtrnet", "segformer_b2")  # dehw.engine.imported.RELEASES


def run(args: argparse.Namespace) -> int:
    """Import a file."""
    from dehw.engine.imported import import_weights

    tell(str(import_weights(args.file, args.network, args.output)))
    return ExitCode.OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw weights`."""
    parser.description = "Import weights that the contest's winners released. Nothing that the file names is run."
    add = parser.add_argument
    add("action", choices=("import",), help="what to do with the file")
    add("file", type=Path, metavar="FILE", help="a .pdparams file, as released")
    add("--as", dest="network", choices=NETWORKS, required=True, help="the network that it belongs to")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the weights and their manifest")
    parser.set_defaults(command=run)
