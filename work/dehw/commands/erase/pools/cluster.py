"""`--ray ADDRESS`: workers that are actors of a Ray cluster, or of this machine's cores."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dehw import __version__
from dehw.commands.erase.plan import Job
from dehw.commands.erase.pools import Done, Event, Failed, Lost
from dehw.commands.erase.pools.worker import start
from dehw.errors import DeviceError, InputError

CORES = 2  # of a worker; more than that speed up a page less than another worker does
PATIENCE = 120.0  # seconds a page


class Cluster:
    """A Pool of Ray actors. A worker is an actor.

    args: of `dehw erase`; --ray is "local", or a cluster's address. jobs: what will be erased. Raises DeviceError where
    there is no such cluster.
    """

    def __init__(self, args: argparse.Namespace, jobs: Sequence[Job]):
        self.ray = _connected(args.ray)
        self.patience = math.inf if args.in_place else PATIENCE  # what is erased twice must be the same page
        device = "GPU" if args.device == "gpu" else "CPU"
        has = [node["Resources"].get(device, 0) for node in self.ray.nodes() if node["Alive"]]
        each = 1 if device == "GPU" else min(CORES, max(1, int(max(has, default=1))))
        self.size = max(1, min(len(jobs), args.jobs or sum(int(count // each) for count in has)))
        self.actor = self.ray.remote(_Actor).options(**{f"num_{device.lower()}s": each})
        self.settings = (args, os.getcwd(), _shared(args.pages, jobs[0].target.parent), each, __version__)
        self.refs: dict[Any, Any] = {}  # of what actors are at: the actor

    def start(self) -> None:
        actor = self.actor.remote()
        self.refs[actor.start.remote(*self.settings)] = actor

    def submit(self, worker: Hashable, job: Job) -> None:
        actor: Any = worker
        self.refs[actor.erase.remote(job)] = actor

    def events(self, seconds: float) -> Iterator[tuple[Hashable, Event]]:
        ready, _ = self.ray.wait(list(self.refs), timeout=seconds)
        for ref in ready:
            actor = self.refs.pop(ref)
            try:
                yield actor, self.ray.get(ref)
            except self.ray.exceptions.RayError as error:
                with suppress(self.ray.exceptions.RayError):
                    self.ray.kill(actor)
                yield actor, Lost(f"the worker that erased it ended ({_cause(error)})")

    def close(self) -> None:
        self.ray.shutdown()  # which ends the actors


class _Actor:
    """Erases documents on the machine where Ray puts it."""

    def start(
        self, args: argparse.Namespace, folder: str, shared: Sequence[str], processors: int, version: str
    ) -> Event:
        """Load the networks, where the machine sees the pages and has the same release."""
        import ray

        node = ray.util.get_node_ip_address()
        if version != __version__:
            return Failed(InputError(f"{node} has dehw {__version__}, not {version}; install the same on all machines"))
        for path in shared:
            if not os.path.exists(path):
                return Failed(InputError(f"{node} does not see {path}; pages and -o must be on a disk that all share"))
        with suppress(OSError):  # where absolute names are all that is needed
            os.chdir(folder)
        self.worker, told = start(args, processors)
        return told

    def erase(self, job: Job) -> Done:
        """Erase one document."""
        assert self.worker
        return self.worker.erase(job, lambda pages: None)


def _connected(address: str) -> Any:
    """Ray, connected to a cluster, or to one of its own on this machine. Raises DeviceError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported over the network
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming behaviour, else told as a warning
    try:
        import ray
    except ImportError as error:
        raise DeviceError("--ray needs Ray; pip install 'dehw[cluster]', or use --jobs.") from error
    try:
        options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        ray.init(address, logging_level="ERROR", log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise DeviceError(f"no Ray cluster at {address}: {error}. Start one by `ray start --head`.") from error
    return ray


def _shared(pages: Sequence[Path], output: Path) -> list[str]:
    """What every machine is to see; the folder to write in is made for that."""
    paths = list(pages)
    with suppress(OSError):  # which fails its pages, by name
        output.mkdir(parents=True, exist_ok=True)
        paths.append(output)
    return [os.path.abspath(path) for path in paths]


def _cause(error: Exception) -> str:
    """What Ray tells, in a line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"
