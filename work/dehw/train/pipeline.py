"""The chain behind `sh train.sh`: data, masks, materials, then every network of a pipeline, each in its own process.

What is done is passed over, what was cut goes on, and what is made of something else by now is done again.
"""

from __future__ import annotations

import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dehw.config import NetworkConfig, Pipeline, find_config, load_pipeline, read
from dehw.data import mask_files
from dehw.data.bank import Bank
from dehw.data.pairs import datasets, mask_homes
from dehw.data.zips import ZIP_FOLDER, contest_datasets
from dehw.engine import paddle, weights
from dehw.errors import ConfigError, DehwError, DeviceError, ExitCode, InputError
from dehw.train import steps
from dehw.train.folders import pipeline_folder, record_finished, training_data, weights_folder

if TYPE_CHECKING:
    from dehw.train.banks import Wants

SMOKE = "smoke"
ABOUT = re.compile(r"about ([\d.]+) h\b")
HOURS = re.compile(r"^# Hours, memory: *(.+(?:\n# {8,}.+)*)", re.MULTILINE)  # in a configuration's header


class StepError(DehwError):
    """A network's training that failed in its own process, which has said why."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = next((code for code in ExitCode if code == exit_code), ExitCode.FAILED)


@dataclass(frozen=True)
class NetworkStep:
    """The training of one network.

    part: "seg" or "erase". config: the configuration that trains it. asked: --opts' changes of it.
    """

    part: str
    network: NetworkConfig
    config: Path
    asked: tuple[str, ...] = ()

    def opts(self, source: str) -> list[str]:
        """All changes of its configuration; source: name or file of the pipeline."""
        chosen = [] if self.part == "seg" else [f"network={self.network.weights}"]
        return [f"pipeline={source}", *chosen, *self.asked]


def train(
    source: str,
    data: Path | None = None,
    device: str = "auto",
    taken: Sequence[Path] = (),
    opts: Sequence[str] = (),
    root: Path = Path("."),
) -> Path:
    """Train a pipeline, going on from what ROOT/output/PIPELINE holds; returns its finished.json.

    source: the pipeline's name or file. data: a folder of datasets for all networks, those that their configurations'
    `data` names below ROOT if None; without any there, pipeline `smoke` learns from the sample pages. device: auto, cpu
    or gpu. taken: folders of other trainings, from which networks of the same name are taken over. opts:
    "seg.KEY=VALUE", "erase.KEY=VALUE", or the stem of a network's weights for the first word; one that sets `data`
    goes before `data`. Raises ConfigError, InputError, WeightsError, DeviceError, PageError, StepError.
    """
    paddle.require("training")
    pipeline = load_pipeline(source)
    planned = network_steps(pipeline, opts, [Path(source).parent, root])
    introduce(pipeline, planned)
    places = {step.network.weights: places_of(step, data, root) for step in planned}
    chosen = data is not None or any(".data=" in opt for opt in opts)
    everywhere = list(dict.fromkeys(chain.from_iterable(places.values())))
    if not chosen and not any(contest_datasets(place, labelled=True) for place in everywhere):
        say(
            f"no training data in {', '.join(map(str, everywhere))}: a SMOKE RUN on the sample pages follows, which "
            "only proves that the code works; --opts are left out"
        )
        source, pipeline = SMOKE, load_pipeline(SMOKE)
        planned = network_steps(pipeline, (), [root])
        places = {step.network.weights: [root / "data" / "sample"] for step in planned}
    source = str(Path(source).resolve()) if Path(source).suffix in (".yml", ".yaml") else source
    record = Chain(source, pipeline, planned, places, root).run(device, taken)
    say(f"done: {record}")
    if pipeline.name == SMOKE:
        say(
            "this was a smoke run: a few steps of tiny networks on the sample pages. Its weights erase nothing, and "
            f"test.sh never takes them. To train in earnest put the contest's zips into data/{ZIP_FOLDER}/, or name a "
            "folder by --data."
        )
    else:
        say(f"sh test.sh now erases with pipeline {pipeline.name}")
    return record


def introduce(pipeline: Pipeline, planned: Sequence[NetworkStep]) -> None:
    """Say what will be trained, in how many hours, and what each configuration says of its own."""
    networks = ", ".join(f"{step.network.weights} ({step.network.type})" for step in planned)
    hours = [hours_of(step.config) for step in planned]
    each = [found[1] for text in hours if (found := ABOUT.search(text))]
    cost = f"about {sum(map(float, each)):g} h on one V100 GPU, estimated; " if len(each) == len(planned) else ""
    say(f"pipeline {pipeline.name}: {networks}; {cost}--pipeline chooses another")
    for step, text in zip(planned, hours, strict=True):
        if text:
            say(f"{step.network.train}: {text}")


class Chain:
    """A pipeline's training in the steps `planned`; the other arguments but places are those of `train`.

    places: where each network's datasets are looked for, by its weights. The attribute data holds what is found there,
    folders all of it that holds ground truths.
    """

    def __init__(
        self,
        source: str,
        pipeline: Pipeline,
        planned: Sequence[NetworkStep],
        places: Mapping[str, Sequence[Path]],
        root: Path,
    ) -> None:
        self.source, self.pipeline, self.steps = source, pipeline, planned
        self.output = root / "output"
        self.home = pipeline_folder(self.output, pipeline)
        self.masks = self.home / "masks"
        self.record = self.home / "finished.json"

        @cache
        def found(part: str, *listed: Path) -> list[Path]:  # what is left out is named once
            return [folder.resolve() for folder in training_data(listed, part)]

        self.data = {step.network.weights: found(step.part, *places[step.network.weights]) for step in planned}
        self.folders = datasets(list(chain.from_iterable(self.data.values())))
        asked = [(step, self._read(step).wants(*self._configured(step))) for step in planned]
        self.materials = list({wants.materials_folder: wants for _, wants in asked if wants.materials}.values())
        self.mistakes: tuple[NetworkStep, Wants] | None = next((both for both in asked if both[1].mistakes), None)
        self.count = 2 + len(self.materials) + bool(self.mistakes) + len(self.steps)
        self._numbers = itertools.count(1)

    def run(self, request: str, taken: Sequence[Path]) -> Path:
        """Go through all steps; returns the record of the finished training."""
        for step in self.steps:
            self._made_of(step)  # what is wrong with a configuration is told before work begins
        device, gpus = choose_device(request)
        for step in self.steps:
            adopt(step.network, weights_folder(self.output, self.pipeline), taken)
        say(f"{self._number()} data: {self._data_in_words()}")
        self._make_masks()
        for wants in self.materials:
            pieces = wants.materials_bank()
            say(f"{self._number()} materials: {told(pieces)}")
            pieces.complete(mask_files.workers())
        trained = False
        for step in self.steps:
            if self.mistakes and step is self.mistakes[0]:
                self._find_mistakes(*self.mistakes, device)
            number = self._number()
            if self._is_to_train(number, step):
                self._train(number, step, device, gpus)
                trained = True
        if trained or not self.record.is_file():
            record_finished(self.output, self.pipeline, self.source)
        return self.record

    def _data_in_words(self) -> str:
        """All datasets, network by network where these learn from different ones."""
        listed = {name: ", ".join(map(str, folders)) for name, folders in self.data.items()}
        if len(set(listed.values())) == 1:
            return next(iter(listed.values()))
        return "; ".join(f"{name} from {folders}" for name, folders in listed.items())

    def _make_masks(self) -> None:
        renewals = mask_files.outdated(self.folders, self.masks)
        pages = sum(len(renewal.tasks) for renewal in renewals)
        say(f"{self._number()} masks: {self.masks}: {f'{pages} pages' if pages else 'done before'}")
        mask_files.renew(renewals)

    def _find_mistakes(self, step: NetworkStep, wants: Wants, device: str) -> None:
        """Have the segmenter look through the training pages, in a process of its own. Raises StepError."""
        number, pieces = self._number(), wants.mistakes_bank()
        if pieces is None:
            say(f"{number} mistakes: the segmenter was not trained here; brackets and circles are drawn")
            return
        say(f"{number} mistakes: {told(pieces)}")
        if not pieces.is_current:
            self._start("mistakes", f"{number} mistakes", step, ["-m", "dehw.train"], device)

    def _number(self) -> str:
        """Of the next step: "3/5"."""
        return f"{next(self._numbers)}/{self.count}"

    def _configured(self, step: NetworkStep) -> tuple[str, list[str], Sequence[Path], Path]:
        return str(step.config), step.opts(self.source), self.data[step.network.weights], self.output

    def _read(self, step: NetworkStep) -> ModuleType:
        """What trains the step: the module seg or erase."""
        return importlib.import_module(f"dehw.train.{step.part}")

    def _made_of(self, step: NetworkStep) -> dict:
        """What the step is made of now, see steps.made_of."""
        return self._read(step).made_of(*self._configured(step))

    def _folder(self, step: NetworkStep) -> Path:
        return self._read(step).step_folder(step.network, self.output, self.pipeline)

    def _is_to_train(self, number: str, step: NetworkStep) -> bool:
        """Whether a step is not done; says so, and why. A training that cannot go on is set aside."""
        path, folder = weights_folder(self.output, self.pipeline) / step.network.weights, self._folder(step)
        record, made_of = steps.read(folder), self._made_of(step)
        if record is None:
            if path.is_file() and not step.asked:
                say(f"{number} {path}: done before, elsewhere; delete it to train it here")
                return False
            why = ""
        else:
            then = record["made_of"]
            if then == made_of and record["finished"] and path.is_file():
                say(f"{number} {path}: done before")
                return False
            why = "".join(f"{change}; " for change in steps.changes(then, made_of))
            if not steps.may_go_on(then, made_of):
                why += f"the training before is now {steps.set_aside(folder, path, self.record)}; "
        say(f"{number} {path}: {why}by {step.network.train}")
        return True

    def _train(self, number: str, step: NetworkStep, device: str, gpus: int) -> None:
        """Train in a process of its own, or in one on each GPU. Raises StepError."""
        program = ["-m", "dehw.train"]
        if gpus > 1:
            launch = ["-m", "paddle.distributed.launch", "--log_dir", str(self.home / "launch")]
            program = [*launch, str(Path(__file__).with_name("__main__.py"))]
        self._start(step.part, f"{number} {step.network.weights}", step, program, device)

    def _start(self, part: str, label: str, step: NetworkStep, program: Sequence[str], device: str) -> None:
        """Run `dehw.train PART` on a step's configuration. Raises StepError."""
        config, opts, folders, output = self._configured(step)
        options = ["--config", config, "--data", *folders, "--output", output, "--device", device]
        masks = self._masks_for(step)
        options += ["--label", label, *(["--masks", masks] if masks else []), "--opts", *opts]
        command = [sys.executable, *program, part, *map(str, options)]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, env=environment()).returncode
        if code:
            name = label.split(maxsplit=1)[1]
            raise StepError(f"{name}: its training stopped with exit code {code}, see above", code)

    def _masks_for(self, step: NetworkStep) -> Path | None:
        """The folder of masks, if a network's training finds in it those of its datasets.

        Else, and masks are computed on the way, one of two datasets of one name is among its own, and would be looked
        for in the other's place.
        """
        own = mask_homes(datasets(self.data[step.network.weights]), self.masks)
        return self.masks if own.items() <= mask_homes(self.folders, self.masks).items() else None


def places_of(step: NetworkStep, data: Path | None, root: Path) -> list[Path]:
    """Where a network's datasets are looked for: what --opts says, else `data`, else its configuration below `root`."""
    said = read(step.config, step.asked)[0].get("data", "data")
    listed = [Path(str(place)) for place in (said if isinstance(said, list) else [said])]
    if any(opt.startswith("data=") for opt in step.asked):
        return listed
    return [data] if data else [root / place for place in listed]


def network_steps(pipeline: Pipeline, opts: Sequence[str], places: Sequence[Path]) -> list[NetworkStep]:
    """The steps of a pipeline's networks, the segmenter first.

    places: folders in which configurations are looked for, before those of dehw. Raises ConfigError for a network that
    nothing trains, and for opts of none.
    """
    parts = {network.weights: "erase" for network in pipeline.networks}
    if pipeline.segment:
        parts[pipeline.segment.network.weights] = "seg"
    words = {name: {part, Path(name).stem} for name, part in parts.items()}
    heads = sorted(set().union(*words.values()))
    for opt in opts:
        if not opt.startswith(tuple(f"{word}." for word in heads)):
            raise ConfigError(
                f"--opts: {opt!r} begins with none of {', '.join(heads)}, which pipeline {pipeline.name} trains; write "
                f"such as {heads[0]}.KEY=VALUE, or choose another pipeline by --pipeline."
            )
    found = []
    for network in pipeline.networks:
        if network.train is None:
            raise ConfigError(
                f"pipeline {pipeline.name} names no configuration that trains {network.weights}; give that network "
                "the key train, such as `train: configs/erasenet.yml`."
            )
        asked = [opt[len(word) + 1 :] for opt in opts for word in words[network.weights] if opt.startswith(f"{word}.")]
        known = [place / network.train for place in places] + [find_config(network.train)]
        config = next((path for path in known if path.is_file()), None)
        if config is None:
            raise ConfigError(f"{network.weights} is trained by {network.train}, which is not there; restore it.")
        found.append(NetworkStep(parts[network.weights], network, config, tuple(asked)))
    return found


def choose_device(request: str) -> tuple[str, int]:
    """What trains, "cpu" or "gpu", and the number of GPUs that Paddle drives.

    Found out in a process of its own: some wheels crash on a GPU that they do not fit. Raises DeviceError where there
    is a GPU and Paddle does not drive it, unless `cpu` is asked for: training may take weeks on a CPU.
    """
    if request == "cpu":
        return "cpu", 0
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            gpus = process.submit(_count_driven, request).result()
    except BrokenProcessPool:
        gpus = 0
    if gpus:
        return "gpu", gpus
    if request == "gpu" or _has_gpu():
        raise DeviceError(
            "this machine's GPU is not driven by this Paddle, and training on the CPU takes weeks. Install the wheel "
            f"that fits, see {paddle.INSTALL_GUIDE}, or train on the CPU all the same by --device cpu."
        )
    return "cpu", 0


def _count_driven(request: str) -> int:
    return paddle.gpu_count() if paddle.pick_device(request) != "cpu" else 0


def _has_gpu() -> bool:
    """Whether the system knows a GPU, even one that CUDA_VISIBLE_DEVICES hides."""
    program = shutil.which("nvidia-smi")
    return program is not None and subprocess.run([program, "-L"], capture_output=True).returncode == 0


def adopt(network: NetworkConfig, target: Path, folders: Sequence[Path]) -> None:
    """Copy a network's weights to the folder `target` from the first of `folders` that has them, if it lacks them.

    folders: trainings' folders, or those of weights. Raises InputError for one that is not there, ConfigError where
    another network bears that name, WeightsError where the weights do not load.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--from: {folder} is no folder; name an earlier training's, such as output/seed000.")
    places = [place / network.weights for folder in folders for place in (folder / "weights", folder)]
    source = next((place for place in places if place.is_file()), None)
    if source is None or (target / network.weights).is_file():
        return
    from dehw import models

    facts = weights.manifest(source.parent).get(source.name, {})
    kind = {"type": network.type, "args": network.args}
    if any(facts.get(key, value) != value for key, value in kind.items()):
        raise ConfigError(
            f"{source} was trained as {facts.get('type')} with {facts.get('args')}, not as {kind}; give the network "
            "these args in a pipeline of your own, or leave that --from out."
        )
    layer = models.build(network)
    weights.load(layer, source)
    rest: dict[str, Any] = {**facts, **kind}
    rest.pop("sha256", None)
    weights.save(layer, target / network.weights, **rest)
    say(f"{source} is taken over")


def hours_of(config: Path) -> str:
    """What a configuration's header says of hours and memory, on one line; "" where it says nothing."""
    found = HOURS.search(config.read_text(encoding="utf-8"))
    return re.sub(r"\n# *", " ", found[1]) if found else ""


def environment() -> dict[str, str]:
    """The environment of a step's process, which finds this very package."""
    package = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}


def told(pieces: Bank) -> str:
    """What is to be done for a bank, in words."""
    return f"{pieces.folder}: " + ("done before" if pieces.is_current else f"{len(pieces.stale)} pages")


def say(text: str) -> None:
    """A line for the user."""
    print(f"train: {text}", file=sys.stderr, flush=True)
