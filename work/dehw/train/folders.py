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
from dehw.data.pairs import GT_FOLDER, LABEL_FOLDER, left_out
from dehw.data.zips import ZIP_FOLDER, contest_datasets
from dehw.errors import InputError, tell
from dehw.files.atomic import write_json

PREVIEW = "preview.jpg"  # in a pipeline's folder: what validation last saw on three pages
OWN = {"seg": "dataset1", "erase": "dataset2"}  # the first seed's zips, one for each part of its network
LEARNERS = {"seg": "segmenter", "erase": "generator"}


def training_data(roots: Sequence[str | Path], part: str) -> list[Path]:
    """The datasets at or below `roots` that a part learns from, the contest's zips there unpacked.

    part: "seg" or "erase". Of a folder with both of the first seed's datasets each part takes its own. What holds pages
    and yet cannot be learnt from is named on stderr: a generator needs gts/, a segmenter these or Annotations/. Raises
    InputError if there are none.
    """
    segmenting = part == "seg"
    truth = f"neither {GT_FOLDER}/ nor {LABEL_FOLDER}/" if segmenting else f"no {GT_FOLDER}/"
    found = [folder for root in roots for folder in _own(contest_datasets(root, segmenting), part)]
    for folder in left_out(roots, segmenting):
        tell(f"{folder} is left out: it holds {truth}, which a {LEARNERS[part]} learns from")
    if not found:
        listed = ", ".join(map(str, roots))
        raise InputError(
            f"no training data in {listed}: no folder there holds both images/ and {GT_FOLDER}/. Put the contest's "
            f"zips into data/{ZIP_FOLDER}/, or name a folder by --data."
        )
    return list(dict.fromkeys(found))


def _own(folders: Sequence[Path], part: str) -> list[Path]:
    """All but the first seed's dataset of the other part, where this part's is among them."""
    (other,) = set(OWN.values()) - {OWN[part]}
    if OWN[part] not in (folder.name for folder in folders):
        return list(folders)
    for folder in folders:
        if folder.name == other:
            tell(f"{folder} is not for a {LEARNERS[part]}, which has {OWN[part]}; the key data chooses others")
    return [folder for folder in folders if folder.name != other]


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
