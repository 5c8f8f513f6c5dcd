"""Work done in threads beside the caller's, its results in the order of the items."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from dehw.engine import machine

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_AT_ONCE = 4  # tiles; each holds a network's features, for the largest some 150 MB


def side_by_side() -> int:
    """How many tiles are run at once on a CPU: one a processor, as far as memory is to allow it."""
    return min(machine.processors(), MOST_AT_ONCE)


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int = 1
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with work(item), in order, while `threads` of them are worked on.

    No more than threads + ahead items are begun whose results nobody has taken yet. With one thread or none the
    caller's own does the work, when its turn comes. What work raises is raised in its item's turn; then, and when
    the caller stops early, what has begun is waited for and nothing else begins.
    """
    if threads <= 1:
        yield from ((item, work(item)) for item in items)
        return
    rest = iter(items)
    pool = ThreadPoolExecutor(threads, "dehw")
    try:
        begun = deque((item, pool.submit(work, item)) for item in islice(rest, threads + ahead))
        while begun:
            item, future = begun.popleft()
            result = future.result()
            begun.extend((item, pool.submit(work, item)) for item in islice(rest, 1))
            yield item, result
    finally:
        pool.shutdown(cancel_futures=True)
