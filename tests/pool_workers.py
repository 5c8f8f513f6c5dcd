"""Workers for tests of pools: they load no networks, and write what is in the page's name."""

import os
import time
from pathlib import Path

from dehw.commands.erase.pools import Done, Failed, Ready
from dehw.commands.erase.report import Outcome
from dehw.errors import WeightsError


def work(pool, args, processors):
    """In the place of processes._work. A page named die.N ends its process the first N times."""
    pool.send(Failed(WeightsError("no weights")) if args.pipeline == "none" else Ready([f"{processors} processors"]))
    while True:
        try:
            job = pool.recv()
        except EOFError:
            return
        time.sleep(0.05)
        lives = int(job.source.suffix[1:]) if job.source.stem.startswith("die") else 0
        with open(job.target.with_name(f"{job.target.name}.tries"), "a") as tries:
            tries.write(f"{os.getpid()}\n")
        if len(Path(tries.name).read_text().split()) <= lives:
            os.kill(os.getpid(), 9) if hasattr(os, "fork") else os._exit(9)
        job.target.write_text(str(os.getpid()))
        pool.send(Done([Outcome(str(job.source), 1, str(job.target), "erased")], [f"{job.source}: a warning"]))
