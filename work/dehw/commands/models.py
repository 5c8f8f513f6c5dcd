"""`dehw models` and `dehw export`: the networks listed, and written as ONNX files."""

import argparse
from pathlib import Path

from dehw.errors import ExitCode, tell


def list_models(args: argparse.Namespace) -> int:
    """Print each network, or each network of a pipeline, with its size and its work on a 512x512 page."""
    from dehw.config import load_pipeline
    from dehw.models import VARIANTS, build, learnable, summary
    from dehw.models.discriminators import DISCRIMINATORS

    networks, discriminators = list(VARIANTS.items()), DISCRIMINATORS
    if args.pipeline:
        pipeline = load_pipeline(args.pipeline)
        chosen = pipeline.networks
        networks, discriminators = [(network.type, network) for network in chosen], {}
    print(f"{'network':24} {'parameters':>12} {'GMACs':>8}  (learnable; one 512x512 page)")
    for name, network in networks:
        parameters, gmacs = summary(build(network), 64)
        gmacs *= (512 / 64) ** 2  # the work of every layer grows with the area
        print(f"{name:24} {parameters:12,} {gmacs:8.1f}  {network.weights}".rstrip())
    for name, discriminator in discriminators.items():
        print(f"{name + '-discriminator':24} {learnable(discriminator()):12,} {'-':>8}")
    return ExitCode.OK


def export(args: argparse.Namespace) -> int:
    """Write a pipeline's networks as ONNX files, with a README of their inputs and outputs."""
    from dehw.config import load_pipeline
    from dehw.engine.export import export_pipeline

    export_pipeline(load_pipeline(args.pipeline), args.weights, args.output)
    tell(str(args.output))
    return ExitCode.OK


def add_models(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw models`."""
    parser.add_argument("--pipeline", help="list this pipeline's networks only")
    parser.set_defaults(command=list_models)


def add_export(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw export`."""
    parser.description = "Write each network of a pipeline as STEM.onnx, and a README.md of inputs and outputs."
    add = parser.add_argument
    add("pipeline", metavar="PIPELINE", help="name in configs/pipelines, or a file")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the files, new or empty")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    parser.set_defaults(command=export)
