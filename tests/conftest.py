"""`--slow` runs the tests marked slow too; without it they are left out."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2  # noqa: F401  before Paddle
import paddle  # noqa: F401  before pytest's faulthandler, whose place it takes otherwise: a crash would leave no trace
import pytest
from erasers import constant, dark, eraser_with

from dehw.eraser import Eraser
from dehw.files.worker import client

# A shell ignores Ctrl-C for what runs in its background: tests that send it need it, and so do the programs they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Being imported, OpenVINO and ONNX Runtime would report it over the network, the latter again and again by a thread.
sys.modules["openvino_telemetry"] = None
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exported networks go to a folder of this run, not to the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEHW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def eraser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Eraser:
    """Finds dark pixels and whitens them; `dehw erase` gets it too, and the current folder is empty."""
    made = eraser_with(constant(1.0), segmenter=dark, device="cpu")
    monkeypatch.setattr(Eraser, "load", lambda *arguments, **options: made)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker would do is done here, where tests can change how."""
    monkeypatch.setattr(client, "run", lambda failing, function, *arguments, times=1: function(*arguments))
