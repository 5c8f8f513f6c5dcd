"""What `sh train.sh` goes through for a pipeline: its name on the first line, then a line a network.

A network's line holds the part it plays (seg or erase), its weights' file and the configuration that trains it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dehw.config import NetworkConfig, Pipeline, load_pipeline
from dehw.engine import weights
from dehw.errors import ConfigError
from dehw.train import run_command, weights_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Print a pipeline's stages, after taking over what other trainings have done already."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("pipeline", help="name or file")
    parser.add_argument("--output", default="output", help="root of the results (default: %(default)s)")
    parser.add_argument("--from", dest="folders", nargs="*", type=Path, default=[], metavar="DIR")

    def run(args: argparse.Namespace) -> None:
        pipeline = load_pipeline(args.pipeline)
        lines = [" ".join(stage) for stage in stages(pipeline)]
        for network in pipeline.networks:
            adopt(network, weights_folder(args.output, pipeline), args.folders)
        print(pipeline.name, *lines, sep="\n")

    return run_command(parser, argv, run)


def stages(pipeline: Pipeline) -> list[tuple[str, str, str]]:
    """Part, weights' file and configuration of each network, the segmenter first. Raises ConfigError."""
    found = []
    for network in pipeline.networks:
        if network.train is None:
            raise ConfigError(
                f"pipeline {pipeline.name} names no configuration that trains {network.weights}; give that network "
                "the key train, such as `train: configs/erasenet.yml`."
            )
        part = "seg" if pipeline.segment and network is pipeline.segment.network else "erase"
        found.append((part, network.weights, network.train))
    return found


def adopt(network: NetworkConfig, target: Path, folders: Sequence[Path]) -> None:
    """Copy a network's weights to the folder `target` from the first of `folders` that has them, if it lacks them.

    folders: trainings' folders, or those of weights. Raises ConfigError where another network bears that name,
    WeightsError where the weights do not load.
    """
    places = [place / network.weights for folder in folders for place in (folder / "weights", folder)]
    source = next((place for place in places if place.is_file()), None)
    if source is None or (target / network.weights).is_file():
        return
    from dehw import models

    facts = weights.manifest(source.parent).get(source.name, {})
    kind = {"type": network.type, "args": network.args}
    if any(facts.get(key, value) != value for key, value in kind.items()):
        raise ConfigError(f"{source} was trained as {facts.get('type')} with {facts.get('args')}, not as {kind}.")
    layer = models.build(network)
    weights.load(layer, source)
    rest = {key: value for key, value in facts.items() if key not in ("sha256", *kind)}
    weights.save(layer, target / network.weights, **kind, **rest)
    print(f"train: {source} is taken over", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
