"""Measure what each test-time trick of a pipeline gains on pages with known originals, and print a table.

python -m tools.ablation --data DIR [--split val] [--pipeline lite] [--pages N]

DIR holds images/ and gts/; mask/, valid/ and index.csv (columns id and split) are used where they are there. A row
switches one trick on or off against the pipeline as it is. Seconds are those of the pages' erasing, without files.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from dehw.config import Pipeline, load_pipeline
from dehw.eraser import Eraser
from dehw.page import metrics
from tools.scoreboard import judge_paired, paired

FLIPS = ["identity", "hflip"]


def variants(pipeline: Pipeline) -> dict[str, Pipeline]:
    """The pipeline as it is, and with one trick changed."""
    segment, erase = pipeline.segment, pipeline.erase
    changed = {"as it is": pipeline}
    if segment:
        changed["mask from both mirrored views"] = replace(pipeline, segment=replace(segment, views=FLIPS))
        changed["windows side by side, no overlap"] = replace(pipeline, segment=replace(segment, stride=segment.window))
    if erase.networks:
        changed |= dict(_generating(pipeline))
    if pipeline.mask.spare:
        unspared = replace(pipeline, mask=replace(pipeline.mask, spare=0))
        changed["letters that the mask reaches into are not spared"] = unspared
    if erase.printed:
        changed["print that the page shows is not put back"] = replace(pipeline, erase=replace(erase, printed=False))
    if pipeline.line_height:
        # letters that are spared, and what is put back, are measured by line heights
        changed["pages at their own size"] = replace(
            pipeline, line_height=None, mask=replace(pipeline.mask, spare=0), erase=replace(erase, printed=False)
        )
    return changed


def _generating(pipeline: Pipeline) -> Iterator[tuple[str, Pipeline]]:
    """A pipeline whose generators paint, with one trick of theirs changed."""
    segment, erase = pipeline.segment, pipeline.erase
    both, written = replace(erase, views=FLIPS), replace(erase, cmp=False)
    if erase.views == FLIPS:
        yield "generator not mirrored", replace(pipeline, erase=replace(erase, views=FLIPS[:1]))
    else:
        yield "generator on both mirrored views", replace(pipeline, erase=both)
    yield "whole tiles kept, no margin", replace(pipeline, erase=replace(erase, margin=0))
    if erase.cmp:
        yield "no cmp: the generator writes every pixel", replace(pipeline, erase=written)
    if segment:
        yield "no segmentation: no mask, no cmp", replace(pipeline, segment=None, erase=written)
        yield "all views mirrored", replace(pipeline, segment=replace(segment, views=FLIPS), erase=both)
    if len(erase.networks) > 1:
        yield "first generator alone", replace(pipeline, erase=replace(erase, networks=erase.networks[:1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val", help="split of index.csv (default: %(default)s)")
    parser.add_argument("--pipeline", default="lite")
    parser.add_argument("--weights", type=Path, help="folder of weights, in place of the ones that ship")
    parser.add_argument("--pages", type=int, help="only the first so many")
    args = parser.parse_args()
    known = paired(args.data, args.split)[: args.pages]
    print("| " + " | ".join(["trick", "contest", "residual", "lost", "touched", "psnr", "s a page"]) + " |")
    print("|---" * 7 + "|", flush=True)
    for name, pipeline in variants(load_pipeline(args.pipeline)).items():
        eraser = Eraser.load(pipeline, weights=args.weights)
        scores, seconds = zip(*(judge_paired(eraser, page) for page in tqdm(known, name, unit="page", leave=False)))
        mean = metrics.mean(scores)
        figures = f"{mean.contest:.4f} | {mean.residual:.3f} | {mean.lost:.4f} | {mean.touched:.4f} | {mean.psnr:.2f}"
        print(f"| {name} | {figures} | {sum(seconds) / len(known):.1f} |", flush=True)


if __name__ == "__main__":
    main()
