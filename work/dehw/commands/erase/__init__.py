"""`dehw erase`: the handwriting of files and folders erased, to files."""

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dehw.commands.arguments import add_networks, address, at_least, path, share
from dehw.commands.erase.boxes import page_box
from dehw.errors import ExitCode, InputError
from dehw.files import FORMATS

if TYPE_CHECKING:
    from dehw.commands.erase.plan import Job
    from dehw.commands.erase.progress import Progress
    from dehw.commands.erase.report import Outcome
    from dehw.commands.erase.streams import Places
    from dehw.files.find import InputFile

PAPERS = ("a3", "a4", "a5", "b4", "b5", "letter")  # see dehw.page.scan.papers
SIDES = ("mask", "compare", "ink")  # files beside an erased page, see sidefiles.MAKERS


def run(args: argparse.Namespace) -> int:
    """Erase documents to files or streams. Every name is checked before the networks are loaded."""
    from dehw.commands.erase import merge, ocr, streams
    from dehw.files import find

    if args.in_place and (args.output or args.format or args.resume):
        raise InputError("--in-place keeps each file's name and kind, and no trace of what is done: drop the others")
    if args.merge and (args.output or args.format or args.resume or args.in_place):
        raise InputError("--merge writes one PDF and nothing else: drop -o, --format, --in-place and --resume")
    if args.merge and any(getattr(args, side) for side in SIDES):
        raise InputError("--merge writes one PDF and no side files: drop --save-mask, --compare and --save-ink")
    if args.merge and args.report and find.real(args.merge) == find.real(args.report):
        raise InputError(f"{args.report} is what --merge writes; choose another file for --report")
    if args.paper and not args.scan:
        raise InputError("--paper is for scanned pages; add --scan")
    if args.ray and streams.STREAM in (*args.pages, args.output):
        raise InputError("other machines cannot read stdin or write stdout; name files, or leave out --ray")
    if args.ocr:
        ocr.check()
    args.format = "pdf" if args.merge else args.format
    with streams.lent(args.pages, args.merge or args.output, args.in_place) as lent:
        with merge.merged(lent, args.merge, args.overwrite) as places:
            return _erase(args, places)


def _erase(args: argparse.Namespace, places: "Places") -> int:
    from dehw.commands.erase import merge, plan, progress
    from dehw.commands.erase.former import FormerOutputs
    from dehw.commands.erase.report import Report

    started = time.perf_counter()
    former = FormerOutputs(places.pages, places.output, args.report)
    found, unknown = plan.find_documents(places.pages, former)
    found = merge.numbered(found) if args.merge else found
    jobs, finished = _jobs(args, places, found)
    if args.ocr and jobs and not any(job.kind == "PDF" for job in jobs):
        raise InputError("--ocr adds words to PDFs, and none is written: add --format pdf, or --merge")
    report = Report(args.pipeline, finished, unknown, places.named)
    with progress.shown(args.progress, sum(job.count for job in jobs)) as shown:
        shown.named = places.named
        for each in unknown:
            shown.note(f"{each}: passed over, not a kind of file that can be read")
        if former.count:
            shown.note(f"outputs of earlier runs are left out: {former.count} files")
        try:
            for outcomes in _outcomes(args, jobs, shown) if jobs else ():
                report.add(outcomes)
            places.deliver(jobs)
        except BaseException as error:
            if places.are_filled_last:
                report.lose(str(error) or "the run was stopped before it was written")
            raise
        finally:  # what was done is told of an interrupted run too
            report.sort(jobs)
            if args.report:
                report.write(args.report)
    written = args.merge or args.output
    where = "in place" if args.in_place else f"to {written}" if written else "beside the originals"
    shown.note(report.summary(time.perf_counter() - started, where), **report.counts())
    return ExitCode.FAILED if report.count("failed") else ExitCode.OK


def _outcomes(args: argparse.Namespace, jobs: "Sequence[Job]", shown: "Progress") -> "Iterator[list[Outcome]]":
    """Erase documents here, or where --jobs or --ray say, and tell of each one's pages as it is finished."""
    from dehw.commands.erase.pools import erase_all
    from dehw.commands.erase.pools.cluster import Cluster
    from dehw.commands.erase.pools.processes import Processes
    from dehw.commands.erase.pools.worker import EraserWorker

    size = min(args.jobs or 1, len(jobs))
    if args.ray:
        return erase_all(Cluster(args, jobs), jobs, shown)
    if size > 1:
        return erase_all(Processes(args, size), jobs, shown)
    return EraserWorker(args, shown.note).erase_all(jobs, shown)


def _jobs(args: argparse.Namespace, places: "Places", found: "Sequence[InputFile]") -> "tuple[list[Job], list[Job]]":
    """What is to be done and what is done already, all places checked and swept of what killed runs left there."""
    from dehw.commands.erase import checks, plan
    from dehw.files import atomic

    sides = [side for side in SIDES if getattr(args, side)]
    jobs, finished = plan.make(found, places.output, args.format, args.in_place, args.overwrite, args.resume, sides)
    places.check(jobs)
    written = [job.target for job in (*jobs, *finished)]
    if args.report:
        checks.check_report(args.report, [*jobs, *finished], args.overwrite, args.resume)
        written.append(args.report)
    for folder in {each.parent for each in written}:
        atomic.sweep(folder)
    return jobs, finished


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw erase`."""
    parser.description = (
        "Erase the handwriting of pages: JPEG, PNG, WebP, BMP, TIFF, PDF and HEIC (needs pillow-heif), detected by "
        "content. Without -o, STEM.clean.SUFFIX is written beside each file. In folders, what earlier runs wrote is "
        "passed over, by its name (*.clean.*, side files) or by a report that lists it, and files of other kinds are "
        "named. Exit codes: 0 done, 1 some pages failed, 2 bad input, 3 weights, 4 memory, 5 device, 130 stopped."
    )
    add = parser.add_argument
    add("pages", nargs="+", type=path, metavar="PAGE|FOLDER", help="images and PDFs, or folders of them; - is stdin")
    add("-o", "--output", type=path, metavar="DIR|FILE", help="keep relative paths and names under DIR; - is stdout")
    add("--in-place", action="store_true", help="replace the files themselves, each when its clean one is whole")
    add("--format", choices=FORMATS, help="write this kind of file; default: the input's")
    add("--scan", action="store_true", help="pages are photos: find the sheet, straighten and whiten it")
    add("--paper", choices=PAPERS, help="with --scan: put each page on this paper, with margins for printing")
    add("--merge", type=path, metavar="PDF", help="write all pages into one PDF, in order")
    add("--ocr", action="store_true", help="lay the printed words on PDFs, invisible, to search them; extra ocr")
    add_networks(parser)
    add(
        "--jobs", type=at_least(1, int), metavar="N", help="erase so many documents at a time, in processes; default: 1"
    )
    add("--ray", type=address, metavar="local|ADDRESS", help="erase on a Ray cluster that sees all files named here")
    add("--sensitivity", type=share, metavar="S", help="0 to 1: the higher, the more is erased; default: 0.5")
    boxes: dict[str, Any] = {"action": "append", "type": page_box, "metavar": "X0,Y0,X1,Y1", "default": []}
    add("--keep", **boxes, help="leave this box of every page as it is, in pixels or percent; may be given again")
    add("--only", **boxes, help="erase within this box alone; may be given again")
    add("--save-mask", dest="mask", action="store_true", help="write what was erased, tinted, to STEM.mask.png")
    add("--compare", action="store_true", help="write before and after to STEM.compare.png, or .jpg")
    add("--save-ink", dest="ink", action="store_true", help="write the handwriting alone, see-through, to STEM.ink.png")
    there = parser.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace outputs that are there already")
    there.add_argument("--resume", action="store_true", help="pass over files whose output is there already")
    add("--report", type=path, metavar="JSON", help="list each page: seconds, share erased, warnings")
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="default: %(default)s")
    quiet: dict[str, Any] = {"dest": "progress", "action": "store_const", "const": "quiet"}
    told.add_argument("-q", "--quiet", **quiet, help="tell warnings and failures alone")
    parser.set_defaults(command=run)
