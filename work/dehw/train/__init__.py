"""Training: the seed's two commands, and what they share.

Everything of one pipeline lies in OUTPUT/PIPELINE: seg/ and erase/ hold checkpoints and logs, weights/ the
networks as inference loads them, finished.json the record that all of them are there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from dehw.config import Pipeline
from dehw.data.zips import ZIP_FOLDER, contest_datasets
from dehw.errors import DehwError, ExitCode, InputError
from dehw.files.atomic import write_json

RESUME_HELP = (
    "go on from this checkpoint; by default, and with no value, from the newest one of the pipeline that "
    "loads, so that the same command goes on after a cut (to begin anew, choose another --output)"
)


def train_segmenter(argv: Sequence[str] | None = None) -> int:
    """The command of work/train/train_seg.py. Returns the exit code."""
    parser = _parser("Train a pipeline's SegFormer with PaddleSeg.", "configs/segformer_b2.yml")

    def run(args: argparse.Namespace) -> None:
        from dehw.train import seg

        seg.train(args.config, args.opts, args.data, args.output, args.device, args.resume)

    return run_command(parser, argv, run)


def train_generator(argv: Sequence[str] | None = None) -> int:
    """The command of work/train/train.py. Returns the exit code."""
    parser = _parser("Train one of a pipeline's generators.", "configs/erasenet.yml")

    def run(args: argparse.Namespace) -> None:
        from dehw.train import erase

        erase.train(args.config, args.opts, args.data, args.output, args.device, args.resume)

    return run_command(parser, argv, run)


def training_data(roots: Sequence[str | Path]) -> list[Path]:
    """The datasets at or below `roots`, the contest's zips there unpacked. Raises InputError if none."""
    found = [folder for root in roots for folder in contest_datasets(root)]
    if not found:
        listed = ", ".join(map(str, roots))
        raise InputError(
            f"no training data in {listed}: no folder there holds both images/ and gts/. Put the contest's "
            f"zips into data/{ZIP_FOLDER}/, or name a folder by --data."
        )
    return list(dict.fromkeys(found))


def pipeline_folder(output: str | Path, pipeline: Pipeline) -> Path:
    """Where a pipeline's training keeps its files."""
    return Path(output) / pipeline.name


def weights_folder(output: str | Path, pipeline: Pipeline) -> Path:
    """Where a pipeline's training puts the networks for inference."""
    return pipeline_folder(output, pipeline) / "weights"


def record_finished(output: str | Path, pipeline: Pipeline, source: str) -> list[str]:
    """Write OUTPUT/PIPELINE/finished.json if every network of the pipeline has its weights there.

    source: the pipeline's name or file as load_pipeline takes it. Returns the weights that are still missing;
    while there are any, nothing is recorded.
    """
    weights = weights_folder(output, pipeline)
    names = [network.weights for network in pipeline.networks]
    missing = [name for name in names if not (weights / name).is_file()]
    if not missing:
        facts = {
            "pipeline": source,
            "weights": str(weights),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "networks": names,
        }
        write_json(pipeline_folder(output, pipeline) / "finished.json", facts)
    return missing


def _parser(description: str, config: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", default=config, help="configuration (default: %(default)s)")
    parser.add_argument("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="override keys: a.b=value")
    parser.add_argument("--data", nargs="+", metavar="DIR", help="datasets, or folders that hold some")
    parser.add_argument("--output", default="output", help="root of the results (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "gpu"], help="default: %(default)s")
    parser.add_argument("--resume", nargs="?", metavar="CHECKPOINT", help=RESUME_HELP)
    return parser


def run_command(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, run: Callable[[argparse.Namespace], None]
) -> int:
    """Run a command of this package; what the user can act on ends in a line on stderr. Returns the exit code."""
    try:
        run(parser.parse_args(argv))
    except DehwError as error:
        print(f"dehw: {error}", file=sys.stderr)
        return int(error.exit_code)
    except MemoryError:
        print("dehw: not enough memory; choose a smaller batch or crop by --opts.", file=sys.stderr)
        return int(ExitCode.MEMORY)
    except KeyboardInterrupt:
        print("\ndehw: stopped; the same command goes on from the last checkpoint.", file=sys.stderr)
        return 130  # as the shell reports a program that Ctrl-C ended
    return int(ExitCode.OK)
