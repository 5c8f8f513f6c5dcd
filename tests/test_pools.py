"""Documents given to several workers: each page once, whatever becomes of the workers."""

import json
import math
from argparse import Namespace
from collections import deque
from pathlib import Path

import pool_workers
import pytest
from files import files, page, report, run, save_pdf
from PIL import Image
from test_batch import Told

from dehw.commands.erase.plan import Job
from dehw.commands.erase.pools import TRIES, Done, Failed, Lost, Pages, Ready, erase_all, processes
from dehw.commands.erase.report import Outcome, Report
from dehw.errors import DeviceError, ExitCode, WeightsError


def jobs_named(names, count=1):
    return [Job(Path(name), Path("out", name), "PNG", count) for name in names]


def done(job):
    pages = range(1, job.count + 1)
    return Done([Outcome(str(job.source), number, str(job.target), "erased") for number in pages], [job.source.name])


class Scripted:
    """A pool whose workers are numbers.

    behave: gives what happens once a worker has got a document, events of its own or (worker, event).
    """

    def __init__(self, size, behave, first=None, patience=math.inf):
        self.size, self.behave, self.first, self.patience = size, behave, first or Ready(["an engine"]), patience
        self.started, self.given, self.queue, self.is_closed, self.looks = 0, [], deque(), False, 0

    def start(self):
        self.started += 1
        self.queue.append((self.started, self.first))

    def submit(self, worker, job):
        self.given.append((worker, str(job.source)))
        for event in self.behave(self, worker, job):
            self.queue.append(event if isinstance(event, tuple) else (worker, event))

    def events(self, seconds):
        self.looks += 1
        assert self.looks < 1000, "the run does not end"
        for _ in range(len(self.queue)):
            yield self.queue.popleft()

    def close(self):
        self.is_closed = True


def erased(pool, jobs):
    told = Told(sum(job.count for job in jobs))
    told.notes = []
    told.note = lambda text: told.notes.append(text)
    outcomes = [outcome for each in erase_all(pool, jobs, told) for outcome in each]
    assert pool.is_closed and told.seen == sorted(told.seen) and told.done == told.total
    return outcomes, told


def pages_of(outcomes):
    return sorted((each.input, each.page) for each in outcomes)


def test_each_page_comes_once_and_workers_get_one_document_at_a_time():
    jobs = jobs_named("abcdefg", count=2)
    pool = Scripted(3, lambda pool, worker, job: [Pages(1), Pages(1), done(job)])
    outcomes, told = erased(pool, jobs)
    assert pages_of(outcomes) == [(name, number) for name in "abcdefg" for number in (1, 2)]
    assert pool.started == 3 and {worker for worker, _ in pool.given} == {1, 2, 3}
    assert told.notes == ["an engine"] and sorted(told.messages) == list("abcdefg")
    assert told.seen == list(range(1, 15))


def test_a_document_whose_worker_dies_goes_to_another_one():
    def behave(pool, worker, job):
        dies = str(job.source) == "b" and len([name for _, name in pool.given if name == "b"]) < TRIES
        return [Pages(1), Lost("SIGKILL")] if dies else [Pages(1), Pages(1), done(job)]

    pool = Scripted(2, behave)
    outcomes, told = erased(pool, jobs_named("abc", count=2))
    assert pages_of(outcomes) == [(name, number) for name in "abc" for number in (1, 2)]
    assert {each.status for each in outcomes} == {"erased"}
    assert pool.started == 2 + TRIES - 1  # each that died has a successor
    assert [note for note in told.notes if "b: SIGKILL; it is tried again" in note]


def test_a_document_that_kills_every_worker_fails_alone():
    pool = Scripted(2, lambda pool, worker, job: [Lost("SIGSEGV") if str(job.source) == "b" else done(job)])
    outcomes, told = erased(pool, jobs_named("abcd", count=2))
    failed = [each for each in outcomes if each.status == "failed"]
    assert pages_of(failed) == [("b", 1), ("b", 2)] and len(outcomes) == 8
    assert [name for _, name in pool.given].count("b") == TRIES
    assert f"b: SIGSEGV, {TRIES} times" in failed[0].warnings[0] and failed[0].warnings[0] in told.messages
    assert failed[0].output is None


@pytest.mark.parametrize("late", ["answers", "dies", "says nothing"])
def test_a_slow_worker_does_not_hold_up_the_run(late):
    """Its document goes to an idle worker; what the slow one says then is not counted."""

    def behave(pool, worker, job):
        if worker == 1:
            return []
        if str(job.source) == "a":
            end = {"answers": [done(job)], "dies": [Lost("SIGKILL")], "says nothing": []}[late]
            return [done(job), *((1, event) for event in end)]
        return [done(job)]

    pool = Scripted(2, behave, patience=0)
    outcomes, told = erased(pool, jobs_named("abc"))
    assert pages_of(outcomes) == [("a", 1), ("b", 1), ("c", 1)]
    assert (1, "a") in pool.given and (2, "a") in pool.given
    assert sorted(told.messages) == list("abc")


def test_with_patience_a_document_is_tried_by_one_worker():
    """The first worker answers long after the second one has nothing left to do."""

    class Held(Scripted):
        def events(self, seconds):
            yield from super().events(seconds)
            if self.looks == 20:
                yield 1, done(jobs[0])

    jobs = jobs_named("abc")
    pool = Held(2, lambda pool, worker, job: [] if worker == 1 else [done(job)])
    outcomes, _ = erased(pool, jobs)
    assert pages_of(outcomes) == [("a", 1), ("b", 1), ("c", 1)] and len(pool.given) == 3


def test_what_keeps_every_worker_from_loading_ends_the_run():
    pool = Scripted(2, None, first=Failed(WeightsError("damaged")))
    with pytest.raises(WeightsError, match="damaged"):
        erased(pool, jobs_named("ab"))
    assert pool.is_closed


def test_workers_that_die_at_their_start_are_not_started_for_ever():
    pool = Scripted(1, None, first=Lost("SIGKILL"))
    with pytest.raises(DeviceError, match="no worker starts: SIGKILL"):
        erased(pool, jobs_named("ab"))
    assert pool.started <= TRIES + 1


def test_the_report_lists_pages_in_the_order_of_their_documents():
    jobs = jobs_named("abc", count=2)
    made = Report("lite", jobs_named("z"), [])
    for job in (jobs[2], jobs[0], jobs[1]):
        made.add(done(job).outcomes)
    made.sort(jobs)
    assert [(each.input, each.page) for each in made.pages] == [
        ("z", 1), *((name, number) for name in "abc" for number in (1, 2))
    ]  # fmt: skip


# -- processes -----------------------------------------------------------------------------------------------


def test_processes_that_are_killed_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_work", pool_workers.work)
    names = ["a.png", "die.1", "b.png", "die.9", "c.png"]
    jobs = [Job(tmp_path / name, tmp_path / f"{name}.out", "PNG", 1) for name in names]
    pool = processes.Processes(Namespace(pipeline="lite"), 2)
    told = Told(len(jobs))
    outcomes = [outcome for each in erase_all(pool, jobs, told) for outcome in each]
    status = {Path(each.input).name: each.status for each in outcomes}
    assert len(outcomes) == 5 and status == {**dict.fromkeys(names, "erased"), "die.9": "failed"}
    tries = {name: len((tmp_path / f"{name}.out.tries").read_text().split()) for name in names}
    assert tries == {"a.png": 1, "b.png": 1, "c.png": 1, "die.1": 2, "die.9": TRIES}
    assert not pool.processes and told.done == 5


def test_an_error_of_weights_in_a_process_is_the_run_s(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_work", pool_workers.work)
    pool = processes.Processes(Namespace(pipeline="none"), 2)
    with pytest.raises(WeightsError, match="no weights"):
        list(erase_all(pool, jobs_named("ab"), Told(2)))
    assert not pool.processes


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path, monkeypatch, capsys):
    """The same files, report, messages and exit code, and a second run finds all done but what failed."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number in range(5):
        Image.fromarray(page(size=(100 + number, 120))).save(f"in/{number}.png")
    Path("in/broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    save_pdf("in/many.pdf", page(size=(100, 120)), page(size=(90, 120)), points=(120, 100))
    told = {}
    for jobs in (1, 2):
        options = ("-o", f"out{jobs}", "--jobs", jobs, "--report", "report.json", "--overwrite", "--progress", "json")
        assert run("in", *options) == ExitCode.FAILED
        pages = report()["pages"]
        for each in pages:
            each["output"] = each["output"] and Path(each["output"]).name
            del each["seconds"]
        lines = map(json.loads, capsys.readouterr().err.splitlines())
        messages = sorted(line["message"].partition("failed, in")[0] for line in lines if "message" in line)
        told[jobs] = pages, messages, files(f"out{jobs}")
    assert told[1] == told[2] and len(told[1][0]) == 8
    for name in files("out1"):
        if not name.endswith(".pdf"):  # whose numbers differ from run to run
            assert Path("out1", name).read_bytes() == Path("out2", name).read_bytes()
    assert run("in", "-o", "out2", "--jobs", 2, "--report", "report.json", "--resume") == ExitCode.FAILED
    assert [each["status"] for each in report()["pages"]].count("skipped") == 7
