"""The torture program: it repeats itself by its seed, it sees what it is to see, and dehw survives a short form."""

import os
import random
import sys

import pytest

from tools.torture import __main__ as torture
from tools.torture import cases, trial

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="the program measures processes by wait4")
FILES = tuple(cases.GOOD)


def made(kind, seed, count=30):
    rng, sources = random.Random(seed), list(cases.good(kind))
    return [cases.mutated(kind, *(rng.choice(sources)[1] for _ in "ab"), rng) for _ in range(count)]


@pytest.mark.parametrize("kind", FILES)
def test_a_seed_repeats_its_cases(kind):
    first = made(kind, 1)
    assert made(kind, 1) == first != made(kind, 2)
    good = {content for _, content in cases.good(kind)}
    assert sum(case not in good for case in first) > 20


@pytest.mark.parametrize("kind", ["zips", "configs", "weights"])
def test_good_files_are_survived(kind, tmp_path):
    assert trial.try_files(kind, list(cases.good(kind)), tmp_path / "a", trial.Limits()) == []


READER = """
import sys, pathlib
for path in map(pathlib.Path, sys.argv[-2:]):
    {act}
    print('read', path.name)
"""


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        ("1 / ('case' not in path.name)", "traceback"),
        ("import os; os.abort()", "exit status -6"),
        ("path.write_bytes(b'other')", "changed input"),
        ("path.with_name('.dehw-1.png').write_bytes(b'')", "left over: .dehw-1.png"),
        ("import tempfile; tempfile.mkstemp()", "left over: tmp"),
        ("import time; time.sleep(60)", "time"),
        ("sum(range(10**8))", "time"),
        ("bytes(300_000_000).count(1)", "memory"),
        ("'neighbour' in path.name and sys.exit()", "lost neighbour"),
    ],
)
def test_each_fault_is_seen(tmp_path, monkeypatch, act, fault):
    run = trial.run
    monkeypatch.setattr(
        trial,
        "run",
        lambda command, *rest: run([sys.executable, "-c", READER.format(act=act), *command[-2:]], *rest),
    )
    limits = trial.Limits(start=1 if fault == "time" else 60, seconds=0, megabytes=200)
    found = trial.try_files("configs", [("yml", b"")], tmp_path / "a", limits)
    assert any(each.startswith(fault) for each in found), found


def test_the_one_bad_file_of_a_batch_is_named(tmp_path, monkeypatch):
    def try_files(kind, files, folder, limits):
        folder.mkdir()
        return ["time"] if b"bad" in dict(files).values() else []

    monkeypatch.setattr(trial, "try_files", try_files)
    files = [(f"{n}", b"bad" if n == 13 else b"good") for n in range(20)]
    assert torture._failures("zips", files, 0, tmp_path, tmp_path / "keep") == [f"{tmp_path}/keep/zips13.13: time"]
    assert (tmp_path / "keep" / "zips13.13").read_bytes() == b"bad"


@pytest.mark.slow
@pytest.mark.parametrize("kind", torture.KINDS)
def test_a_short_form_is_survived(kind, tmp_path):
    tried, failures = torture.attempt(kind, None, 20, 100, tmp_path / "keep")
    assert tried >= 2 and failures == []
