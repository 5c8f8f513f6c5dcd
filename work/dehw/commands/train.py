"""`dehw train`: a pipeline's networks, one after another."""

import argparse
from pathlib import Path

from dehw.engine import DEVICES
from dehw.errors import ExitCode, guarded


def run(args: argparse.Namespace) -> int:
    """Train a pipeline and print where the record of the finished training is."""
    from dehw import train
    from dehw.train import pipeline

    def command() -> int:
        print(pipeline.train(args.pipeline, args.data, args.device, args.taken, args.opts, args.root))
        return ExitCode.OK

    return guarded(command, train.MEMORY, train.STOPPED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw train`."""
    parser.description = (
        "Train a pipeline: data, masks, then each network in a process of its own, on all GPUs that Paddle sees. What "
        "is done is passed over, what was cut goes on, and what has changed since is trained again. Results go to "
        "output/NAME. Without data a smoke run on the sample pages proves that the code works."
    )
    add = parser.add_argument
    add("--pipeline", default="seed001", help="name in configs/pipelines, or a file; default: %(default)s")
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="datasets of images/ and gts/, or their zips, for all networks; default: data",
    )
    add("--device", choices=DEVICES, default="auto", help="default: %(default)s")
    add(
        "--from",
        dest="taken",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="take networks of the same name from an earlier training, such as output/seed000; may be given again",
    )
    add(
        "--opts",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change configurations: seg.KEY the segmenter's, erase.KEY every generator's, and with the name of its "
        "weights (erasenet_nonlocal.batch=2) that of one network; seg.data=DIR and erase.data=DIR choose data",
    )
    add("--root", type=Path, default=Path("."), help=argparse.SUPPRESS)  # what data/ and output/ are below
    parser.set_defaults(command=run)
