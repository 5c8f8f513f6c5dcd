"""The line that tells where a training is."""

import io

import pytest

from dehw.train import status
from dehw.train.status import StatusLine, in_words


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time in seconds; set clock[0]."""
    now = [100.0]
    monkeypatch.setattr(status.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.7, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3 * 3600 + 61, "3 h 1 min"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
    ],
)
def test_times_are_told_by_their_two_largest_units(seconds, words):
    assert in_words(seconds) == words


def test_a_terminal_shows_one_line_with_the_time_left(clock):
    line = StatusLine("3/5 mtrnet.pdparams", stream=Terminal())
    line.start("stage1", 1000, 200)  # which an earlier run did
    clock[0] += 10
    line.step(300, 0.01234)
    shown = f"{status.CLEAR}3/5 mtrnet.pdparams, stage1: 300/1000, loss 0.0123, 1 min 10 s left"
    assert line.stream.getvalue() == shown
    line.step(301, 0.01234)  # too soon to be drawn
    assert line.stream.getvalue() == shown
    clock[0] += 10
    line.show("validating page 1 of 2")
    assert line.stream.getvalue().endswith(", validating page 1 of 2, 2 min 18 s left")
    line.say("done")
    assert line.stream.getvalue().endswith(f"{status.CLEAR}done\n")


def test_elsewhere_a_line_comes_every_few_minutes(clock):
    line = StatusLine("a", stream=io.StringIO())
    line.start("", 100, 0)
    for step in range(1, 61):
        clock[0] += 10
        line.step(step)
    lines = line.stream.getvalue().splitlines()
    assert lines == ["a: 18/100, 13 min 40 s left", "a: 36/100, 10 min 40 s left", "a: 54/100, 7 min 40 s left"]


def test_processes_that_train_along_are_silent(clock):
    line = StatusLine("a", shown=False, stream=Terminal())
    line.start("", 10, 0)
    clock[0] += 1000
    line.step(5)
    line.say("done")
    line.close()
    assert line.stream.getvalue() == ""
