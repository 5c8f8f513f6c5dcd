"""`dehw erase --ray`: a cluster of two machines, one of which is lost."""

import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

import pytest
from files import files, page, report, run
from PIL import Image

from dehw.commands.erase.pools import cluster
from dehw.commands.erase.pools.cluster import Cluster
from dehw.errors import DeviceError, ExitCode

COUNT = 40
QUICK = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}


def save_pages(count):
    Path("in").mkdir()
    for number in range(count):
        Image.fromarray(page(size=(100, 120 + number))).save(f"in/{number:02}.png")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DeviceError, match=r"dehw\[cluster\]"):
        Cluster(Namespace(ray="local"), [])


def test_streams_stay_on_this_machine(capsys):
    assert run("-", "--ray", "local") == ExitCode.USAGE
    assert "other machines cannot read stdin" in capsys.readouterr().err


def test_a_machine_must_see_the_pages_and_have_the_same_release(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.7")
    missing = cluster._Actor().start(Namespace(), str(tmp_path), [str(tmp_path / "in")], 1, cluster.__version__)
    assert "10.0.0.7 does not see" in str(missing.error)
    other = cluster._Actor().start(Namespace(), str(tmp_path), [], 1, "0.0.1")
    assert f"10.0.0.7 has dehw {cluster.__version__}, not 0.0.1" in str(other.error)


@pytest.mark.slow
def test_a_machine_that_is_lost_costs_no_page(tmp_path, monkeypatch, capsys):
    """Each page is erased and reported once; a second run finds all done, and what was removed is made again."""
    utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "work"))
    save_pages(COUNT)
    machines = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "_system_config": QUICK})
    left = []

    def kill():
        while len(files("out") if Path("out").is_dir() else ()) < COUNT // 5:
            time.sleep(0.02)
        machines.remove_node(second, allow_graceful=False)
        left.append(COUNT - len(files("out")))

    try:
        second = machines.add_node(num_cpus=2)
        machines.wait_for_nodes()
        killer = threading.Thread(target=kill)
        killer.start()
        options = ("-o", "out", "--ray", machines.address, "--report", "report.json")
        assert run("in", *options) == ExitCode.OK
        killer.join()
        pages = report()["pages"]
        assert [each["input"] for each in pages] == [f"in/{number:02}.png" for number in range(COUNT)]
        assert {each["status"] for each in pages} <= {"erased", "empty"}
        assert files("out") == [f"{number:02}.png" for number in range(COUNT)]
        assert left[0] > 0 and "it is tried again" in capsys.readouterr().err
        Path("out/03.png").unlink()
        assert run("in", *options, "--resume") == ExitCode.OK
        assert [each["status"] for each in report()["pages"]].count("skipped") == COUNT - 1
        assert Path("out/03.png").is_file()
    finally:
        machines.shutdown()
