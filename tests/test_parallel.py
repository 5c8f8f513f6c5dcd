"""Work in threads: in order, bounded, and stopped by what goes wrong."""

import threading
import time

import pytest

from dehw.engine.parallel import in_order


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_results_come_with_their_items_in_order(threads):
    def work(n):
        time.sleep(0.02 if n % 3 == 0 else 0)  # the first of three is the last to be ready
        return n * n

    assert list(in_order(work, range(10), threads)) == [(n, n * n) for n in range(10)]


def test_one_thread_is_the_caller_s_own():
    names = {name for _, name in in_order(lambda _: threading.current_thread().name, range(3), 1)}
    assert names == {threading.current_thread().name}


def test_items_are_worked_on_side_by_side():
    """Each waits for the other: one after the other they would wait for ever."""
    both = threading.Barrier(2, timeout=30)
    assert [n for n, _ in in_order(lambda _: both.wait(), range(4), 2)] == [0, 1, 2, 3]


def test_no_more_is_begun_than_may_wait():
    begun = []
    results = in_order(begun.append, range(100), 2, ahead=1)
    next(results)
    time.sleep(0.1)
    assert len(begun) <= 4  # three, and one in place of what was taken


def test_an_error_is_raised_in_its_turn_and_nothing_begins_after_it():
    begun = []

    def work(n):
        begun.append(n)
        if n == 2:
            raise MemoryError
        return n

    taken = []
    with pytest.raises(MemoryError):
        taken += (n for n, _ in in_order(work, range(100), 2))
    assert taken == [0, 1] and len(begun) <= 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dehw")]


def test_a_caller_that_stops_early_leaves_no_thread():
    results = in_order(str, range(100), 3)
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dehw_")]
