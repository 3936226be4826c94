"""`python -m yolo_trainer data ls|verify|gc`: look after the prepared data sets of a data volume.

Exit codes: 0 done; 2 a wrong argument, or it is not known what is used; 3 a set is damaged, or there is no
data volume; 4 something cannot be read or removed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from yolo_crds.layout import DATA_DIR, RUNS_DIR, DataVolume
from yolo_crds.trainer import ExitCode

from ..errors import TrainerError, volume_errors
from ..sizes import bytes_text, parse_span, span_text
from .check import check_set, choose
from .collect import collect
from .holders import Use, read_uses
from .listing import survey
from .survey import check_prepared, list_sets
from .tables import collected_line, fault_lines, listing_lines

MIN_AGE_SECONDS = 24 * 3600
"""A prepare may take hours from its look at an archive to the set whose links need it, and to `prepare.json`;
what was used within a day is never collected."""


def main(arguments: Sequence[str]) -> int:
    """The exit code; `arguments` are those after `data`."""
    options = build_parser().parse_args(arguments)
    try:
        with volume_errors(options.data_dir, "look through"):
            return int(options.command(options, DataVolume(options.data_dir)))
    except TrainerError as error:
        print(f"ERROR {error.message}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        "python -m yolo_trainer data", description=(__doc__ or "").split("\n")[0]
    )
    volumes = argparse.ArgumentParser(add_help=False)
    volumes.add_argument("--data-dir", type=Path, default=DATA_DIR, help="the data volume (%(default)s)")
    volumes.add_argument("--runs-dir", type=Path, default=RUNS_DIR, help="the run volume (%(default)s)")
    volumes.add_argument(
        "--no-runs", action="store_true", help="there is no run volume at hand, and no training uses a set"
    )
    commands = parser.add_subparsers(required=True, metavar="ls|verify|gc")

    ls = commands.add_parser("ls", parents=[volumes], help="what is there, how large it is, who uses it")
    ls.add_argument("--json", action="store_true", help="as JSON")
    ls.set_defaults(command=_ls)

    verify = commands.add_parser("verify", parents=[volumes], help="are the sets whole?")
    verify.add_argument("hash", nargs="*", metavar="HASH", help="a set, or its first digits; all by default")
    verify.add_argument(
        "--content", action="store_true", help="read all images too, and compare their sha256"
    )
    verify.set_defaults(command=_verify)

    gc = commands.add_parser("gc", parents=[volumes], help="remove what was not used for long")
    gc.add_argument(
        "--older-than", type=_age, required=True, metavar="AGE", help="last used so long ago, as 30d"
    )
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    gc.set_defaults(command=_gc)
    return parser


def _age(text: str) -> int:
    try:
        seconds = parse_span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if seconds < MIN_AGE_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text} is less than {span_text(MIN_AGE_SECONDS)}, which a prepare may take"
        )
    return seconds


def _ls(options: argparse.Namespace, volume: DataVolume) -> ExitCode:
    now = time.time()
    # Nothing is prepared before the first training, which makes the run volume's folders too.
    listing = survey(volume, _uses(options) if check_prepared(volume) else {}, now)
    if options.json:
        print(json.dumps(listing.to_wire(), indent=1))
    else:
        print("\n".join(listing_lines(listing, now)))
    return ExitCode.DONE


def _verify(options: argparse.Namespace, volume: DataVolume) -> ExitCode:
    sets = [stored.path for stored in list_sets(volume, {})] if check_prepared(volume) else []
    damaged = False
    for folder in choose(sets, options.hash):
        verdict = check_set(folder, volume, content=options.content, report=_progress)
        damaged = damaged or bool(verdict.faults)
        print("\n".join(fault_lines(verdict.hash, verdict.images, verdict.faults)))
    if damaged:
        print("a prepare mends links and copies; what lacks more is made anew once its folder is gone")
    return ExitCode.DATA if damaged else ExitCode.DONE


def _gc(options: argparse.Namespace, volume: DataVolume) -> ExitCode:
    now = time.time()
    freed = 0
    failed = False
    if check_prepared(volume):
        for one in collect(volume, _uses(options), options.older_than, dry_run=options.dry_run):
            failed = failed or one.error is not None
            freed += 0 if one.error else one.own_bytes
            print(
                collected_line(one, now, dry_run=options.dry_run),
                file=sys.stderr if one.error else sys.stdout,
            )
    print(f"{bytes_text(freed)} {'would be free' if options.dry_run else 'freed'}")
    return ExitCode.FAILED if failed else ExitCode.DONE


def _uses(options: argparse.Namespace) -> dict[str, list[Use]]:
    return {} if options.no_runs else read_uses(options.runs_dir)


def _progress(**fields: object) -> None:
    print("{stage} {batch} of {batches} images, {images_per_second}/s".format(**fields), file=sys.stderr)
