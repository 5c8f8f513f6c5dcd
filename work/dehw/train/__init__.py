"""Training: the seed's two commands. folders.py says what lies where, pipeline.py is the chain of a whole pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from dehw.errors import ExitCode, guarded

MEMORY, STOPPED = "choose a smaller batch or crop by --opts.", "the same command goes on from the last checkpoint."
RESUME_HELP = (
    "go on from this checkpoint; by default, and with no value, from the newest one of the pipeline that "
    "loads, so that the same command goes on after a cut (to begin anew, choose another --output)"
)


def train_segmenter(argv: Sequence[str] | None = None) -> int:
    """The command of work/train/train_seg.py. Returns the exit code."""
    parser = _parser("Train a pipeline's SegFormer with PaddleSeg.", "configs/segformer_b2.yml")

    def run(args: argparse.Namespace) -> None:
        from dehw.train import seg

        seg.train(*_arguments(args))

    return _run(parser, argv, run)


def train_generator(argv: Sequence[str] | None = None) -> int:
    """The command of work/train/train.py. Returns the exit code."""
    parser = _parser("Train one of a pipeline's generators.", "configs/mtrnet.yml")

    def run(args: argparse.Namespace) -> None:
        from dehw.train import erase

        erase.train(*_arguments(args))

    return _run(parser, argv, run)


def find_mistakes(argv: Sequence[str] | None = None) -> int:
    """The chain's step between segmenter and generators. Returns the exit code."""
    parser = _parser("Cut out what a pipeline's segmenter takes for handwriting and is not.", "configs/mtrnet.yml")

    def run(args: argparse.Namespace) -> None:
        from dehw.train import erase

        erase.find_mistakes(args.config, args.opts, args.data, args.output, args.device)

    return _run(parser, argv, run)


def _parser(description: str, config: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", default=config, help="configuration (default: %(default)s)")
    parser.add_argument("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="override keys: a.b=value")
    parser.add_argument("--data", nargs="+", metavar="DIR", help="datasets, or folders that hold some")
    parser.add_argument("--output", default="output", help="root of the results (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "gpu"], help="default: %(default)s")
    parser.add_argument("--resume", nargs="?", metavar="CHECKPOINT", help=RESUME_HELP)
    parser.add_argument("--masks", metavar="DIR", help="masks of datasets that bring none, DIR/DATASET/STEM.png")
    parser.add_argument("--label", help=argparse.SUPPRESS)  # what the status line calls it
    return parser


def _arguments(args: argparse.Namespace) -> tuple:
    """Those of seg.train and erase.train."""
    return args.config, args.opts, args.data, args.output, args.device, args.resume, args.masks, args.label


def _run(parser: argparse.ArgumentParser, argv: Sequence[str] | None, run: Callable[[argparse.Namespace], None]) -> int:
    """Run one of the seed's commands; returns its exit code."""

    def command() -> int:
        run(parser.parse_args(argv))
        return ExitCode.OK

    return guarded(command, MEMORY, STOPPED)
