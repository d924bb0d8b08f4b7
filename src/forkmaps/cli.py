"""The command `forkmaps`: arguments in, progress and exit code out.

Only the parser is made before the arguments are known to be right; everything heavy is imported after.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from forkmaps.errors import DiskFullError, ForkmapsError, PoolError, counted, nearest
from forkmaps.run.process import Stopped, logging_to, open_standard_streams, stop_on_signals

if TYPE_CHECKING:
    from forkmaps.mapset import MapSet
    from forkmaps.plan import Plan
    from forkmaps.shared import SharedData

DONE, SOME_FAILED, WRONG_INPUT = 0, 1, 2
STOPPED = 128
"""Plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    open_standard_streams()
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(_unknown(unknown, options.parser))
    if misplaced := _misplaced(options):
        told = "was taken for a region or band; write the map set before --region and --band"
        options.parser.error(f"{misplaced} {told}")
    # Workers draw one map each; a BLAS with threads of its own would only get in their way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        stop_on_signals()
        with logging_to(options.log_file):
            code: int = options.run(options)
        return code
    except ForkmapsError as error:
        print(f"forkmaps: {error}", file=sys.stderr)
        return SOME_FAILED if isinstance(error, DiskFullError | PoolError) else WRONG_INPUT
    except Stopped as stop:
        print(f"forkmaps: {stop}", file=sys.stderr)
        return STOPPED + stop.number
    except BrokenPipeError:
        # The reader of our output (head, less) is gone; nothing more can be told to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forkmaps",
        description="Draw sets of regional maps: the data is loaded once, workers are forked.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    render = commands.add_parser("render", help="draw a map set", description="Draw all maps of a map set.")
    _add_set(render)
    _add_folder(render)
    _add_workers(render)
    render.add_argument("--force", action="store_true", help="draw maps again though nothing has changed")
    render.add_argument("--only-failed", action="store_true", help="draw only maps that failed the last time")
    render.add_argument("--fail-fast", action="store_true", help="stop at the first map that fails")
    render.add_argument("--wait", action="store_true", help="wait for another run in the folder to end")
    render.add_argument("--quiet", action="store_true", help="print nothing of a run that fails at no map")
    render.add_argument("--json", action="store_true", help="print a report as one JSON object")
    render.add_argument(
        "--summary", action="store_true", help="show what became of the last run; read and draw nothing"
    )
    render.set_defaults(run=_render, parser=render)
    check = commands.add_parser(
        "check",
        help="check a map set, draw nothing",
        description="Check all of a map set and list its maps; draw nothing.",
    )
    _add_set(check)
    _add_folder(check)
    check.set_defaults(run=_check, parser=check)
    sheet = commands.add_parser(
        "sheet",
        help="draw all maps of a set small, on one picture",
        description="Draw a contact sheet: all maps of a set on one picture, regions by bands.",
    )
    _add_set(sheet)
    sheet.add_argument(
        "--out",
        type=_picture_file,
        metavar="FILE",
        help="the picture, .png or .webp (default: MAPSET-sheet.png in the map set's folder)",
    )
    _add_workers(sheet)
    sheet.set_defaults(run=_sheet, parser=sheet)
    doctor = commands.add_parser(
        "doctor", help="tell about this machine", description="Tell what this machine is to forkmaps."
    )
    doctor.set_defaults(run=_doctor, parser=doctor, log_file=None)
    return parser


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "mapset", nargs="?", type=Path, metavar="MAPSET.toml", help="the map set (default: the bundled us12)"
    )
    parser.add_argument(
        "--region", action="extend", nargs="+", default=[], metavar="NAME", help="only these regions"
    )
    parser.add_argument(
        "--band",
        action="extend",
        nargs="+",
        default=[],
        metavar="BAND",
        help="only these bands: number, name or valid time",
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="prepare the boundaries anew; keep nothing for later runs"
    )
    parser.add_argument(
        "--log-file", type=Path, metavar="FILE", help="append what happens, in all processes, to a file"
    )


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the pictures (default: the map set's)"
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="worker processes; 0 draws without any (default: one per CPU)",
    )
    parser.add_argument(
        "--timeout", type=_seconds, metavar="S", help="seconds that one map may take (default: no limit)"
    )
    parser.add_argument(
        "--start-method",
        choices=("auto", "fork", "forkserver", "spawn"),
        default="auto",
        help="how workers come into being (default: auto: fork where that is safe)",
    )


def _unknown(arguments: list[str], parser: argparse.ArgumentParser) -> str:
    known = [option for action in parser._actions for option in action.option_strings]
    return f"there is no option {arguments[0]}{nearest(arguments[0], known)}"


def _render(options: argparse.Namespace) -> int:
    if options.summary:
        return _show_last(options)
    try:
        shared, plan = _prepare(options)
    except ForkmapsError as error:
        _report_refusal(options, str(error))
        raise
    from forkmaps.progress import Progress
    from forkmaps.run.batch import Run, draw_maps

    def progress(total: int) -> Progress:
        return Progress(total, None if options.quiet else sys.stderr)

    how = ("workers", "timeout", "force", "only_failed", "fail_fast", "wait", "start_method")
    report = draw_maps(shared, plan, Run(**{name: getattr(options, name) for name in how}), progress=progress)
    if options.json:
        print(report.to_json())
    elif report.failed or not options.quiet:
        print(f"{report.summary()}\npictures are in {_shortest(plan.folder)}")
    return SOME_FAILED if report.failed else DONE


def _report_refusal(options: argparse.Namespace, reason: str) -> None:
    """Leave word in the folder of the pictures, for the morning after, unless there are none yet."""
    from forkmaps.output import is_locked
    from forkmaps.run.report import Report

    with suppress(ForkmapsError):
        mapset = _mapset(options)
        folder = _folder(mapset, options)
        if folder.is_dir() and not is_locked(folder):
            Report.of_refused(mapset.name, folder, reason).write()


def _show_last(options: argparse.Namespace) -> int:
    """Show the last run's report, from the folder that this run would draw to."""
    from forkmaps.run.report import Report

    report = Report.read(_folder(_mapset(options), options))
    if options.json:
        print(report.to_json())
    else:
        print(f"{report.mapset}, {report.begun}\n{report.summary()}")
    return DONE if report.is_complete else SOME_FAILED


def _doctor(options: argparse.Namespace) -> int:
    from forkmaps.doctor import run

    return run()


def _check(options: argparse.Namespace) -> int:
    shared, plan = _prepare(options)
    raster, (rows, columns) = shared.raster, shared.raster.shape
    bands, maps = counted(len(raster.bands), "band"), counted(len(plan.maps), "map")
    print(f"raster: {raster.source}, {bands} of {columns} x {rows} cells, {raster.crs.name}")
    for name, feature in shared.features.items():
        print(f"boundaries: {name}, {len(feature.levels[0].xy):,} vertices")
    print(f"projection: {shared.projection.described}")
    size = plan.style.size
    print(f"{maps} of {size.width} x {size.height} pixels in {_shortest(plan.folder)}:")
    for one in plan.maps:
        print(f"  {one.path.relative_to(plan.folder)}")
    return DONE


def _sheet(options: argparse.Namespace) -> int:
    file, options.out = options.out, None
    shared, plan = _prepare(options)
    from forkmaps.sheet import contact_sheet

    how = {name: getattr(options, name) for name in ("workers", "timeout", "start_method")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of failures, which are told below
        sheet = contact_sheet(shared, plan, **how)
    paths = sheet.save(file or plan.folder / f"{plan.name}-sheet.png")
    for failure in sheet.failures:
        print(f"failed: {failure}", file=sys.stderr)
    for path, page in zip(paths, sheet.pages, strict=True):
        print(f"{_shortest(path)}: {page.shape[1]} x {page.shape[0]} pixels")
    return SOME_FAILED if sheet.failures else DONE


def _prepare(options: argparse.Namespace) -> tuple[SharedData, Plan]:
    """Read everything that the options name, and check all of it."""
    from forkmaps.cache import NoCache
    from forkmaps.regions import select_regions

    mapset = _mapset(options)
    if options.band:
        mapset = mapset.with_bands(options.band)
    shared, regions = mapset.load(NoCache() if options.no_cache else None)
    chosen = select_regions(regions, options.region)
    return shared, mapset.plan(shared, chosen, folder=_folder(mapset, options))


def _misplaced(options: argparse.Namespace) -> str:
    """Return the map set that was taken for one of the names before it; nothing if there is none."""
    taken = [*getattr(options, "region", ()), *getattr(options, "band", ())]
    return next((name for name in taken if name.endswith(".toml")), "")


def _mapset(options: argparse.Namespace) -> MapSet:
    from forkmaps.bundled import bundled_regions
    from forkmaps.mapset import read_mapset

    return read_mapset(options.mapset or bundled_regions() / "us12.toml")


def _folder(mapset: MapSet, options: argparse.Namespace) -> Path:
    """Return the folder for the pictures: as asked for, or the map set's; not in the installed package."""
    from forkmaps.bundled import is_installed

    here = Path("out") / mapset.name if is_installed(mapset.path) else mapset.folder
    return options.out or here


def _shortest(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") or Path.cwd() == Path("/") else relative


def _picture_file(text: str) -> Path:
    if not text.lower().endswith((".png", ".webp")):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a .png or .webp file")
    return Path(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers, 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        import forkmaps

        print(f"forkmaps {forkmaps.__version__}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
