"""Where a training finds its data and leaves its results.

Everything of one pipeline lies in OUTPUT/PIPELINE: masks/ of the pages, seg/ and erase/ with checkpoints, logs and
what they were made of, preview.jpg, weights/ with the networks as inference loads them, and finished.json once all of
them are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from dehw.config import Pipeline
from dehw.data.zips import ZIP_FOLDER, contest_datasets
from dehw.errors import InputError
from dehw.files.atomic import write_json

PREVIEW = "preview.jpg"  # in a pipeline's folder: what validation last saw on three pages


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
