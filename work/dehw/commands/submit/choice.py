"""Which pipeline a submission is made by, and with which weights."""

import json
from dataclasses import dataclass
from pathlib import Path

from dehw.config import Pipeline, load_pipeline
from dehw.errors import DehwError, InputError, WeightsError

SHIPPED = "lite"  # the pipeline whose weights come with the program
SMOKE = "smoke"  # output/smoke* hold trainings that only prove the code
RECORD = "finished.json"  # in a pipeline's training folder, once all of it is there


@dataclass(frozen=True)
class Choice:
    """A pipeline, the folder of its weights (None: the ones that ship), and why it was taken."""

    pipeline: Pipeline
    weights: Path | None
    why: str
    finished: str = ""  # when its training ended, ISO 8601


def choose_pipeline(
    output_root: str | Path,
    requested: str | None = None,
    weights: str | Path | None = None,
    by_mask: bool = False,
) -> Choice:
    """Choose what to run: what is asked for, else the newest complete training, else the one that ships.

    output_root: where training writes a folder a pipeline, each with finished.json once it is complete.
    requested: a pipeline's name or file. weights: a folder of weights, or a training's folder; a finished.json
    there tells the pipeline too. by_mask: whether trainings of pipelines with a segmenter go before newer ones without.
    output/smoke* is taken only where it is asked for. Raises ConfigError, InputError, WeightsError.
    """
    root = Path(output_root)
    if weights:
        return _given(Path(weights), requested)
    if requested:
        pipeline = load_pipeline(requested)
        try:
            return read_training(root / pipeline.name, pipeline)
        except DehwError as error:
            return Choice(pipeline, None, f"asked for, with the weights that ship, since {error}")
    trained, passed = [], []
    for record in sorted(root.glob(f"*/{RECORD}")):
        if record.parent.name.startswith(SMOKE):
            continue
        try:
            trained.append(read_training(record.parent))
        except DehwError as error:
            passed.append(str(error))
    if trained:
        return max(trained, key=lambda choice: (by_mask and choice.pipeline.segment is not None, choice.finished))
    why = "; ".join(passed) or f"{root} holds no finished training"
    return Choice(load_pipeline(SHIPPED), None, f"the pipeline that ships, since {why}")


def read_training(folder: Path, pipeline: Pipeline | None = None) -> Choice:
    """Read the record that a finished training left in its folder.

    pipeline: what to run its weights in; the pipeline they were trained for, if None. Raises ConfigError,
    InputError, WeightsError.
    """
    record = folder / RECORD
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        pipeline, finished = pipeline or load_pipeline(facts["pipeline"]), str(facts["finished"])
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no finished training") from error
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{record} is not a training's record ({error!r})") from error
    weights = folder / "weights"
    names = [network.weights for network in pipeline.networks]
    missing = [name for name in names if not (weights / name).is_file()]
    if missing:
        raise WeightsError(f"{weights} lacks {', '.join(missing)}")
    return Choice(pipeline, weights, f"trained in {folder}, finished {finished}", finished)


def _given(weights: Path, requested: str | None) -> Choice:
    """The choice for a folder of weights, or for the training folder around it."""
    if not weights.is_dir():
        raise InputError(f"{weights}: no such folder; give the one that holds the .pdparams files")
    pipeline = load_pipeline(requested) if requested else None
    for folder in (weights, weights.parent):
        if (folder / RECORD).is_file():
            return read_training(folder, pipeline)
    if pipeline:
        return Choice(pipeline, weights, f"asked for, with {weights}")
    return Choice(load_pipeline(SHIPPED), weights, f"the pipeline that ships, with {weights}")
