"""The Dockerfile: its steps run here without Docker, in an environment of their own, and what they build serves."""

import fnmatch
import json
import shutil
import site
import subprocess
import sys
import time
from importlib import util
from pathlib import Path

import pytest
from visits import Visitor

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
STEPS = [tuple(line.split(" ", 1)) for line in LINES if line and not line.startswith("#")]
MISSING = [name for name in ("fastapi", "uvicorn", "python_multipart") if util.find_spec(name) is None]


def step(name):
    return [rest for step, rest in STEPS if step == name]


def test_it_is_built_for_a_python_that_is_supported_and_without_paddle():
    (image,) = step("FROM")
    assert image in {f"python:3.{minor}-slim" for minor in (10, 11, 12)}
    assert "[serve,heic]" in step("RUN")[0] and "train" not in step("RUN")[0]


def test_nobody_serves_as_root():
    order = [name for name, _ in STEPS]
    assert order.index("USER") < order.index("ENTRYPOINT") and step("USER") == ["dehw"]


def context(folder):
    """What Docker sends to the build: all that .dockerignore does not leave out."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert rules[0] == "*"
    for rule in (rule[1:] for rule in rules if rule.startswith("!")):
        found = [path for path in ROOT.iterdir() if fnmatch.fnmatch(path.name, rule)] or [ROOT / rule]
        for path in found:
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, target)


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_its_steps_build_what_serves(tmp_path):
    """Needs the network, for the build's own environment; what the package requires is taken from here."""
    source, venv = tmp_path / "src", tmp_path / "venv"
    assert step("COPY") == [". /src"]
    context(source)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "here.pth").write_text("\n".join(site.getsitepackages()))
    install, _ = step("RUN")
    command = install.replace("pip install", f"{venv}/bin/pip install --no-deps").replace("/src", str(source))
    assert command != install
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    serve = json.loads(step("ENTRYPOINT")[0]) + json.loads(step("CMD")[0])
    environment = {"PATH": f"{venv}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    running = subprocess.Popen(
        [venv / "bin" / serve[0], *serve[1:], "--port", "7999"], env=environment, cwd=tmp_path, stderr=subprocess.PIPE
    )
    try:
        visitor, deadline = Visitor("http://127.0.0.1:7999"), time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None:
            try:
                assert visitor.ask("GET", "/page/sample.jpg")[0] == 200
                break
            except ConnectionError:
                time.sleep(0.2)
        check = step("HEALTHCHECK")[0].split(" CMD ", 1)[1].replace("7860", "7999")
        subprocess.run([venv / "bin" / "python", *json.loads(check)[1:]], check=True, env=environment)
        sample = (ROOT / "work/dehw/commands/serve/page/sample.jpg").read_bytes()
        status, headers, content = visitor.post_form("/api/erase", ("page.jpg", sample))
        assert (status, headers["content-type"]) == (200, "image/jpeg") and content.startswith(b"\xff\xd8")
    finally:
        running.terminate()
        running.wait(30)
        running.stderr.close()
    assert not list(tmp_path.glob("dehw-serve-*")), "nothing is left behind"
