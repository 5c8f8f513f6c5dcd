"""A folder's pages: read, erased and written beside each other, and nothing lost by it."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from erasers import constant, dark, tiny

from dehw.commands.erase import batch, plan
from dehw.commands.erase.progress import Progress
from dehw.eraser import Eraser
from dehw.files import documents
from dehw.files.find import find_pages
from dehw.files.images import read_image, write_image

NAMES = ("a.png", "b.png", "c.png")


class Quiet(Progress):
    def message(self, text):
        self.messages = [*getattr(self, "messages", []), text]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        page = np.full((60, 80, 3), 230, np.uint8)
        page[10:14, 5:30] = 30
        write_image(f"in/{name}", page)
    return tmp_path


@pytest.fixture
def reads(monkeypatch):
    """An event for each page, set when it is read."""
    events = {name: threading.Event() for name in NAMES}
    read = documents.ImageFile.read

    def noted(self, index):
        sheet = read(self, index)
        events[self.path.name].set()
        return sheet

    monkeypatch.setattr(documents.ImageFile, "read", noted)
    return events


def eraser(called=lambda number: None):
    """Whitens dark pixels; called with the number of the page, from 0, before each."""
    pages = iter(range(100))

    class Told(Eraser):
        def __call__(self, *arguments, **options):
            called(next(pages))
            return super().__call__(*arguments, **options)

    return Told(tiny(), dark, [(constant(1.0), 1.0)])


def run(made, told=None):
    jobs, _ = plan.make(find_pages(["in"]), Path("out"))
    return batch.erase_all(batch.with_eraser(made), jobs, told or Quiet(len(jobs)))


def appears(path):
    deadline = time.monotonic() + 30
    while not Path(path).exists():
        assert time.monotonic() < deadline, f"{path} is not written beside the networks"
        time.sleep(0.01)


def test_the_networks_work_while_the_next_page_is_read_and_the_last_one_written(folder, reads):
    def called(number):
        if number < 2:
            assert reads[NAMES[number + 1]].wait(30), "the next page is not read beside the networks"
        if number:
            appears(f"out/{NAMES[number - 1]}")

    outcomes = [outcome for done in run(eraser(called)) for outcome in done]
    assert [(Path(each.input).name, each.status) for each in outcomes] == [(name, "erased") for name in NAMES]
    for name in NAMES:
        assert read_image(f"out/{name}").min() == 230
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dehw-")]


def test_a_large_page_waits_until_the_one_before_is_written(folder, reads, monkeypatch):
    monkeypatch.setattr(batch, "READ_AHEAD", 60 * 80 - 1)

    def called(number):
        assert [reads[name].is_set() for name in NAMES] == [place <= number for place in range(3)]
        assert [Path("out", name).exists() for name in NAMES] == [place < number for place in range(3)]

    assert [done[0].status for done in run(eraser(called))] == ["erased"] * 3


def test_a_page_that_cannot_be_written_is_told_and_the_others_are_done(folder, monkeypatch):
    save = documents.images.save

    def full(target, *arguments, **options):
        if threading.current_thread().name.startswith("dehw-write") and not Path("out/a.png").exists():
            raise OSError("No space left on device")
        save(target, *arguments, **options)

    monkeypatch.setattr(documents.images, "save", full)
    told = Quiet(3)
    statuses = []
    for done in run(eraser(), told):
        statuses.append((Path(done[0].input).name, done[0].status, done[0].output))
        if len(statuses) == 1:
            monkeypatch.setattr(documents.images, "save", save)
    assert statuses[0] == ("a.png", "failed", None) and statuses[2] == ("c.png", "erased", "out/c.png")
    assert "out/a.png cannot be written: No space left on device" in told.messages[0]
    assert not list(Path("out").glob(".dehw*"))


def test_a_page_that_cannot_be_read_ahead_is_told_in_its_turn(folder):
    Path("in/b.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    told = Quiet(3)
    assert [done[0].status for done in run(eraser(), told)] == ["erased", "failed", "erased"]
    assert "in/b.png cannot be read" in told.messages[0] and len(told.messages) == 1
    assert told.whole == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_stops_the_run_leaves_the_pages_before_whole_and_told(folder, error):
    def called(number):
        if number == 2:
            raise error

    outcomes = []
    with pytest.raises(error):
        for done in run(eraser(called)):
            outcomes += done
    assert [(Path(each.input).name, each.status) for each in outcomes] == [("a.png", "erased"), ("b.png", "erased")]
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dehw-")]


def test_a_caller_that_stops_asking_leaves_no_half_file(folder):
    results = run(eraser())
    next(results)
    results.close()
    assert {path.name for path in Path("out").iterdir()} <= set(NAMES)
    for path in Path("out").iterdir():
        assert read_image(path).min() == 230
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dehw-")]
