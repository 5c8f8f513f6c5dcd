"""The tool that times a phone's visit: its clock, and visits to a server of this process over hand-made networks."""

import re
import shutil
import threading
import time
from contextlib import contextmanager
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from erasers import dark, eraser_with
from visits import Visitor

from dehw.eraser import Eraser
from dehw.files.images import read_image
from dehw.page.layout import Reader
from tools import browser, phone

NAP = 0.02  # s that the generator sleeps a batch
HAS_SERVER = all(map(util.find_spec, ("fastapi", "uvicorn", "python_multipart")))
HAS_BROWSER = any(map(shutil.which, browser.NAMES)) and util.find_spec("playwright")


class Tab:
    """What the web page's script does in a browser, done over HTTP."""

    def __init__(self, url):
        self.visitor = Visitor(url).open()

    @contextmanager
    def expect_event(self, name, predicate):
        yield

    def set_input_files(self, selector, path):
        content = Path(path).read_bytes()
        assert self.visitor.ask("PUT", f"/visit/files?name={Path(path).name}&scan=true", content)[0] == 200

    @contextmanager
    def expect_download(self):
        yield self

    def click(self, selector):
        self.content = self.visitor.ask("GET", "/visit/files/1")[2]

    @property
    def value(self):
        return self

    def save_as(self, path):
        Path(path).write_bytes(self.content)


@pytest.fixture(params=["http", pytest.param("browser", marks=pytest.mark.slow)])
def naps(request, monkeypatch):
    """Visits find ink by its darkness and whiten it slowly; how long each batch slept. By HTTP, or in a browser."""
    if not HAS_SERVER or (request.param == "browser" and not HAS_BROWSER):
        pytest.skip("not installed: the web page's libraries, chromium or playwright")
    if request.param == "http":
        monkeypatch.setattr(browser, "opened", contextmanager(lambda url, size, locale: iter([Tab(url)])))
        monkeypatch.setattr(browser, "wait_for_result", lambda tab: tab.visitor.finished())
    slept = []

    def whiten(tiles, mask):
        slept.append(NAP)
        time.sleep(NAP)
        return np.ones_like(tiles)

    reader = Reader(lines=lambda tile: np.zeros_like(tile[:, :1]))
    eraser = eraser_with(whiten, segmenter=dark, device="cpu", reader=reader, batch=64)
    monkeypatch.setattr(Eraser, "load", lambda *arguments, **options: eraser)
    return slept


def test_a_visits_seconds_are_those_of_its_stages(naps, tmp_path, capsys):
    (stages,) = phone.measure(1, 0.2, tmp_path)
    assert set(stages) == {*phone.STAGES, "total"}, "no function of a stage goes by another name"
    seconds = {stage: wall for stage, (wall, _) in stages.items()}
    assert all(seconds[stage] > 0 for stage, functions in phone.STAGES.items() if functions)
    np.testing.assert_allclose(sum(stages[stage] for stage in phone.STAGES), stages["total"])
    wall, used = stages["erase"]
    slept = sum(naps) / 2  # of two visits, whose photos have one size
    assert slept * 0.5 < wall < seconds["total"] and used < wall
    told = re.findall(r"^photo0(\d).jpg (\S+): (\S+) s", capsys.readouterr().out, re.MULTILINE)
    assert [each[:2] for each in told] == [("0", "zh-CN"), ("1", "en-US")]
    assert float(told[1][2]) == pytest.approx(seconds["total"], abs=0.006), "the first is to warm up"
    photos = [read_image(tmp_path / f"photo0{number}.jpg") for number in (0, 1)]
    border = [np.median(np.concatenate([photo[:, 0], photo[:, -1]])) for photo in photos]
    assert border[0] < 100 < 120 < border[1], "a dark desk, and a light one"
    for photo, name in zip(photos, ("photo00.clean.jpg", "photo01.clean.jpg")):
        sheet = read_image(tmp_path / name)
        assert np.percentile(photo, 75) < 245 < np.percentile(sheet, 25), "white paper, no desk"


@pytest.fixture
def time_of_day(monkeypatch):
    """Whoever moves it lets time pass; a tenth of it is the processor's."""
    passed = [0.0]
    monkeypatch.setattr(phone, "now", lambda: np.array([passed[0], passed[0] / 10]))

    def move(seconds):
        passed[0] += seconds

    return move


def test_functions_count_for_themselves_alone(time_of_day):
    clock = phone.Clock()
    inner = clock.timed("inner", time_of_day)

    @lambda function: clock.timed("outer", function)
    def outer():
        time_of_day(1)
        inner(20)
        time_of_day(300)
        inner(4000)

    outer()
    assert {stage: wall for stage, (wall, _) in clock.seconds.items()} == {"outer": 301, "inner": 4020}
    assert clock.seconds["outer"][1] == pytest.approx(30.1)
    outer()
    assert clock.seconds["inner"][0] == 8040


def test_what_fails_took_its_time_too(time_of_day):
    clock = phone.Clock()

    def fail():
        time_of_day(2)
        raise KeyError("a page")

    failing = clock.timed("failing", fail)

    def survive():
        time_of_day(5)
        with pytest.raises(KeyError):
            failing()

    clock.timed("around", survive)()
    assert {stage: wall for stage, (wall, _) in clock.seconds.items()} == {"failing": 2, "around": 5}


def test_threads_do_not_count_for_each_other(time_of_day):
    clock = phone.Clock()

    def outer():
        beside = threading.Thread(target=clock.timed("beside", time_of_day), args=(7,))
        beside.start()
        beside.join()

    clock.timed("outer", outer)()
    assert {stage: wall for stage, (wall, _) in clock.seconds.items()} == {"outer": 7, "beside": 7}


def test_functions_are_watched_for_a_while_only():
    def functions():
        return [getattr(owner, name) for places in phone.STAGES.values() for owner, name in places]

    before = functions()
    with phone.Clock().watching():
        assert not any(one is other for one, other in zip(before, functions()))
    assert functions() == before


def test_a_photo_depends_on_its_number_alone():
    photos = [phone.photograph(number, 0.1) for number in (2, 2, 10)]
    np.testing.assert_array_equal(photos[0], photos[1])
    assert photos[0].size == pytest.approx(3 * 100_000, rel=0.02)
    assert photos[0].shape != photos[2].shape or (photos[0] != photos[2]).mean() > 0.5


def test_the_table_has_medians_and_a_stage_that_never_ran():
    visits = [{"read": np.array([wall, wall / 2]), "total": np.array([9.0, 4.0])} for wall in (1.0, 8.0, 3.0)]
    rows = phone.table(visits).splitlines()
    assert rows[2 + list(phone.STAGES).index("read")] == "| read | 3.00 | 1.50 |"
    assert rows[2 + list(phone.STAGES).index("erase")] == "| erase | 0.00 | 0.00 |"
    assert rows[-1] == "| total | 9.00 | 4.00 |" and len(rows) == 3 + len(phone.STAGES)


def test_photos_are_kept_where_that_is_asked_for(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(phone, "measure", lambda *given: asked.append(given) or [{"total": np.array([2.0, 1.0])}])
    assert phone.run(["--count", "3", "--megapixels", "0.5", "--photos", str(tmp_path / "kept")]) == 0
    assert asked == [(3, 0.5, tmp_path / "kept")] and (tmp_path / "kept").is_dir()
    assert "| total | 2.00 | 1.00 |" in capsys.readouterr().out
    assert phone.run([]) == 0 and asked[1][:2] == (6, 12) and not asked[1][2].exists()
