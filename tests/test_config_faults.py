"""Odd configurations: each is refused in a moment, in words that name the file; none ends in a traceback."""

import time
from pathlib import Path

import cv2  # noqa: F401  before Paddle
import pytest

from dehw.commands.main import main
from dehw.config import load, load_pipeline, plain
from dehw.data.synth.mix import load_mix
from dehw.engine import weights
from dehw.errors import ConfigError, ExitCode, WeightsError
from dehw.train.erase import EraseTraining
from dehw.train.segconfig import read_config

ERASE = "erase: {networks: [{type: erasenet, weights: lite_erasenet.pdparams}]}\n"
SEGMENT = "segment: {network: {type: ppocr_small, weights: lite_segmenter.pdparams}, %s}\n" + ERASE
LAUGHS = "[" + ", ".join(f"&{name} [{', '.join([before] * 10)}]" for name, before in
                         zip("abcdefghij", ["x", *(f"*{each}" for each in "abcdefghi")])) + "]"  # fmt: skip
ODD = {
    "a date out of the year": "erase: 2001-12-14t21:59:43.10-99:99",
    "a date": "erase: 2001-12-14",
    "a tagged date": "line_height: !!timestamp 2001-12-14\n" + ERASE,
    "a number that is none": SEGMENT % "window: !!int abc",
    "a float that is none": "!!float abc",
    "an empty number": SEGMENT % "window: !!int ''",
    "5,000 digits": SEGMENT % f"window: {'9' * 5000}",
    "5,000 digits behind the point": f"line_height: 0.{'9' * 5000}\n" + ERASE,
    "a number to base 60": SEGMENT % f"window: {':'.join(['59'] * 100_000)}",
    "an infinite window": SEGMENT % "window: .inf",
    "an infinite stride": SEGMENT % "stride: -.inf",
    "no number": "line_height: .nan\n" + ERASE,
    "an infinite tile": ERASE.replace("]}", "], tile: .inf}"),
    "a huge tile": ERASE.replace("]}", "], tile: 1000000000000}"),
    "a huge number of networks": ERASE.replace("[{", "&n [{").replace("]}", "], views: [" + "identity, " * 5000 + "]}"),
    "a huge window": SEGMENT % "window: 1.0e+400",
    "a stride that never ends": SEGMENT % "stride: 1",
    "a margin that leaves nothing": ERASE.replace("]}", "], margin: 255}"),
    "aliases of aliases": f"name: {LAUGHS}\n" + ERASE,
    "aliases of aliases as a block": f"erase: {LAUGHS}",
    "a list in itself": "erase: &a [*a]",
    "a block in itself": "erase: &a {networks: *a}",
    "deep blocks": "erase: " + "{a: " * 5000 + "}" * 5000,
    "deep lists": "[" * 20_000,
    "deep dashes": "- " * 10_000,
    "deep keys": "? " * 10_000,
    "a set": "erase: !!set {a, b}",
    "bytes": "name: !!binary aGVsbG8=\n" + ERASE,
    "an ordered map": "erase: !!omap [a: 1]",
    "a Python object": "erase: !!python/object/apply:os.system ['true']",
    "a tag of its own": "erase: !own {}",
    "a text that is a block": "name: !!str {a: b}\n" + ERASE,
    "a list that is a text": "erase: !!seq abc",
    "neither true nor false": ERASE.replace("]}", "], cmp: !!bool abc}"),
    "half a character": 'name: "\\ud800"\n' + ERASE,
    "a character beyond all": 'name: "\\UFFFFFFFF"\n' + ERASE,
    "a zero byte": 'name: "a\\0b"\n' + ERASE,
    "a name elsewhere": "name: ../../elsewhere\n" + ERASE,
    "a direction elsewhere": "direction: /dev/zero\n" + ERASE,
    "weights elsewhere": ERASE.replace("lite_erasenet.pdparams", "'..'"),
    "a version of 5,000 digits": f"%YAML 1.{'9' * 5000}\n---\n" + ERASE,
    "two documents": f"{ERASE}---\n{ERASE}",
    "thousands of keys": "".join(f"k{n}: 1\n" for n in range(5_000)),
    "a list as a key": "[a, b]: 1",
    "merged keys": "a: &a {b: 1}\n<<: *a\n" + ERASE,
    "a base that is a number": "_base_: 5",
    "a base with a zero byte": '_base_: "a\\0b"',
    "a base of 5,000 letters": f"_base_: {'a' * 5000}",
    "a folder as a base": "_base_: .",
    "a million wrong values": ERASE.replace("]}", "], views: [" + "{}, " * 4000 + "]}"),
    "another type": "erase: {networks: [{type: [], weights: {}}]}",
    "nothing": "",
    "zero bytes": "\0\0\0",
    "too long": "#" * 300_000,
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_configuration_is_refused_in_a_moment(tmp_path, name):
    path = tmp_path / "odd.yml"
    path.write_text(ODD[name], encoding="utf-8")
    for read in (load_pipeline, load_mix, read_config, lambda path: load(path, EraseTraining)):
        started = time.process_time()
        with pytest.raises(ConfigError, match="odd.yml|cannot be read|not a file") as caught:
            read(str(path))
        assert time.process_time() - started < 10
        assert len(str(caught.value)) < 6000


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b"\x80abc", bytes(range(256))])
def test_bytes_that_are_no_text_are_refused(tmp_path, content):
    path = tmp_path / "odd.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="odd.yml: not valid YAML"):
        load_pipeline(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SEGMENT % "window: !!int abc", ["segment.window: 'abc', which is no int", "line 1"]),
        (SEGMENT % "window: .inf", ["'segment.window' must be a", "inf (float)"]),
        (SEGMENT % "stride: 8", ["segment.stride must lie in 32..window (512), got 8"]),
        (SEGMENT % f"window: {'9' * 5000}", ["segment.window: a number of 5000 characters"]),
        (ERASE.replace("]}", "], tile: 1000000}"), ["'erase.tile' must be at most 4096, got 1000000"]),
        ("name: !!set {a}\n" + ERASE, ["name: a value of the type tag:yaml.org,2002:set", "plain values"]),
        ("line_height: 2001-12-14\n" + ERASE, ["'line_height' must be a number, got '2001-12-14' (str)"]),
        ("name: a/b\n" + ERASE, ["name must be one of a folder, got 'a/b'"]),
    ],
)
def test_a_refusal_names_key_and_remedy(tmp_path, text, words):
    path = tmp_path / "odd.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_pipeline(path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


def test_aliases_that_are_no_bomb_are_read():
    assert plain.parse("a: &a [1, 2]\nb: [*a, *a]\nday: 2026-01-31") == {
        "a": [1, 2],
        "b": [[1, 2], [1, 2]],
        "day": "2026-01-31",
    }


@pytest.mark.parametrize("opt", ["a." * 5000 + "b=1", f"erase.tile={'9' * 5000}", f"erase.networks.{'9' * 5000}.type=1",
                                 "erase=" + "[" * 5000, "line_height=!!float abc"])  # fmt: skip
def test_an_odd_override_is_refused(opt):
    with pytest.raises(ConfigError):
        load_pipeline("lite", [opt])


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "a" * 300 + ".yml", "a\0b.yml", ".", "..yml"])
def test_odd_names_of_pipelines_are_refused(name):
    with pytest.raises(ConfigError):
        load_pipeline(name)


def test_what_is_no_file_is_not_read(tmp_path):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs here")
    os.mkfifo(tmp_path / "odd.yml")
    with pytest.raises(ConfigError, match="odd.yml: not a file"):
        load_pipeline(tmp_path / "odd.yml")
    (tmp_path / "link.yml").symlink_to("link.yml")
    with pytest.raises(ConfigError, match="link.yml"):
        load_pipeline(tmp_path / "link.yml")


def test_odd_arguments_of_networks_are_refused(tmp_path):
    from dehw import models

    for args in (
        {"width": 1e9},
        {"width": float("nan")},
        {"width": "a"},
        {"width": -1},
        {"self": 1},
        {"refinement": []},
    ):
        config = load_pipeline("lite_chain").erase.networks[0]
        with pytest.raises(ConfigError, match="erasenet"):
            models.build(type(config)(config.type, config.weights, args))
    for args in ({"embedding_dim": 10**9}, {"embedding_dim": 1.5}, {"pretrained": "evil.pdparams"}):
        with pytest.raises(ConfigError, match="segformer_b0"):
            models.build(type(config)("segformer_b0", "", args))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 3000,
        "[" * 100_000,
        '{"networks": {"a.pdparams": []}}',
        '{"networks": {"a.pdparams": {"args": [1]}}}',
        '{"networks": [1, 2]}',
        '{"networks": 5}',
        '{"networks": "text"}',
        '{"other": {}}',
        "[]",
        "",
        f'{{"networks": {{"a.pdparams": {{"steps": {"9" * 5000}}}}}}}',
        "\0",
    ],
)
def test_an_odd_manifest_is_refused_by_name(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(WeightsError, match="manifest.json: not a manifest .* restore it"):
        weights.manifest(tmp_path)


def test_the_command_line_tells_it_in_a_line(tmp_path, capsys):
    page = Path(__file__).parents[1] / "data/sample/images/dehw_sample_01.jpg"
    for number, text in enumerate((ODD["5,000 digits"], ODD["aliases of aliases"], ODD["deep blocks"])):
        path = tmp_path / f"{number}.yml"
        path.write_text(text)
        assert main(["erase", str(page), "--pipeline", str(path), "-o", str(tmp_path / "out")]) == ExitCode.USAGE
        told = capsys.readouterr().err
        assert told.startswith("dehw: ") and str(path) in told and "Traceback" not in told
    assert not (tmp_path / "out").exists()
