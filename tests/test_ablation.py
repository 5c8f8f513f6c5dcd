"""benchmarks/ablation.py: what it measures can be built, for the default pipeline the rows of README's table."""

import re
import runpy
from pathlib import Path

import pytest

from dehw.config import load_pipeline

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def variants():
    return runpy.run_path(str(ROOT / "benchmarks" / "ablation.py"))["variants"]


@pytest.mark.parametrize("name", ["lite", "erasenet", "full"])
def test_each_variant_differs_from_the_pipeline(variants, name):
    pipeline = load_pipeline(name)
    found = variants(pipeline)
    assert found.pop("as it is") == pipeline and len(found) > 6
    assert all(changed != pipeline for variant, changed in found.items() if "mirrored" not in variant)


def test_readme_has_a_row_for_each_variant(variants):
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("| trick |")[1].split("\n\n")[0]
    assert re.findall(r"^\| ([^|]+?) \| 0\.", table, re.MULTILINE) == list(variants(load_pipeline("lite")))
