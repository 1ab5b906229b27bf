"""The `anatomy-clip` command; every heavy import waits until its subcommand runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from anatomy_clip import __version__
from anatomy_clip.cli.program import PROGRAMS, set_environment

_DESCRIBE_END = """\
exit status: 0 everything was described; 1 nothing was; 2 wrong usage; 3 some files were refused.
Research software, not for diagnosis. The JSON, the CSV and the library are documented in docs/DESCRIBE.md."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status, and prints a ValueError as one clear line."""
    set_environment()
    arguments = command_line().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        return status
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the answer has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def command_line() -> argparse.ArgumentParser:
    """The command line: every subcommand with its options."""
    parser = argparse.ArgumentParser(prog="anatomy-clip", description="Stations and organs in CT and MR slices.")
    parser.add_argument("--version", action="version", version=f"anatomy_clip {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_describe(commands)
    _add_export(commands)
    _add_serve(commands)
    _add_download(commands)
    for name, (config, does) in PROGRAMS.items():
        # Without a prefix for options, all that follows is an override or Hydra's own.
        program = commands.add_parser(name, help=f"{does} (conf/{config}.yaml)", add_help=False, prefix_chars="\0")
        program.add_argument("overrides", nargs="*")
        program.set_defaults(run=_program, program=name)
    return parser


def _add_describe(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "describe",
        help="say which stations and organs files show",
        description="Say which body stations and organs files show, slice by slice and series by series.",
        epilog=_DESCRIBE_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="DICOM, DICOMDIR, NIfTI, PNG, JPEG, zip, or a folder of such")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--csv", metavar="FILE", help="write one row a slice")
    add("--plot", "--figure", metavar="FILE", help="draw slices and the stations along the body (.png, .pdf, .svg)")
    add("--audit", action="store_true", help="list only series whose header names another body part than is seen")
    add("--bundle", metavar="FOLDER", help="folder, or hf:OWNER/NAME@COMMIT; default: the one of the package")
    add("--onnx", action="store_true", help="run the bundle's ONNX file: starts in a fraction of the time")
    add("--modality", choices=("CT", "MR"), help="of NIfTI files and pictures; default: judged from the image")
    add("--workers", type=int, metavar="N", help="processes that read files; default: one a processor")
    add("--batch-size", type=int, default=32, metavar="N", help="slices that the network takes at once (32)")
    add("--seconds", type=float, default=30.0, metavar="S", help="most time for one file (30)")
    add("--memory-gb", type=float, default=2.0, metavar="GB", help="most memory for one file (2)")
    _add_exchange(parser)
    parser.set_defaults(run=_describe, usage=parser.error)


def _add_exchange(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("DICOM out, and archives", "Docs: docs/PACS.md.").add_argument
    add("--sr-out", metavar="FOLDER", help="write a DICOM Structured Report a series")
    add("--sr-patient", action="store_true", help="name the patient in the SR documents; without, nobody is named")
    add("--dicomweb", metavar="URL", help="fetch a study from a DICOMweb server in place of PATHs")
    add("--study", metavar="UID", help="... this one")
    add("--series", metavar="UID", help="... and only this series of it")
    add("--store", action="store_true", help="store the SR documents on that server")
    add("--ca-bundle", metavar="FILE", help="certificates to trust, in place of the usual ones (PEM)")
    add("--client-cert", metavar="FILE", help="certificate and key to show the server (PEM)")


def _check_exchange(arguments: argparse.Namespace) -> None:
    """End with the usage where options don't go together."""
    if bool(arguments.paths) == bool(arguments.dicomweb):
        arguments.usage("give either PATHs, or --dicomweb URL with --study UID")
    if arguments.dicomweb and not arguments.study:
        arguments.usage("--dicomweb: add --study UID, the Study Instance UID of what to describe")
    for name in ("study", "series", "store", "ca_bundle", "client_cert"):
        if getattr(arguments, name) and not arguments.dicomweb:
            arguments.usage(f"--{name.replace('_', '-')}: goes with --dicomweb URL; add it")
    if arguments.sr_patient and not (arguments.sr_out or arguments.store):
        arguments.usage("--sr-patient: goes with --sr-out FOLDER or --store; add one")


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "export",
        help="make a bundle of a trained run",
        description="Make a bundle of a trained run: what `describe` needs, and what open_clip loads as local-dir:.",
    )
    add = parser.add_argument
    add("run_folder", metavar="RUN", help="folder of a run after its stages fit and evaluate")
    add("--to", metavar="FOLDER", help="the bundle (default: RUN/bundle)")
    add("--data", metavar="FOLDER", help="folder of the slice stores, if it isn't where the run's config has it")
    add("--onnx", action="store_true", help="write the image tower as an ONNX file too, for describe --onnx")
    add("--half", action="store_true", help="round the weights to 16 bits, which halves the bundle's size")
    add("--overwrite", action="store_true", help="replace the bundle if it is there")
    add("--push", metavar="hf:OWNER/NAME", help="upload it to the Hugging Face hub too (needs HF_HUB_OFFLINE=0)")
    parser.set_defaults(run=_export)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "serve",
        help="open a page on this machine to drag studies into",
        description="Serve a web page that describes what is dragged into it; files don't leave this machine.",
    )
    add = parser.add_argument
    add("--bundle", metavar="FOLDER", help="folder, or hf:OWNER/NAME@COMMIT; default: the one of the package")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (127.0.0.1: this machine alone)")
    add("--port", type=int, default=7860, metavar="N", help="port to listen on; 0: any that is free (7860)")
    add("--max-upload", type=int, default=2000, metavar="MB", help="most megabytes of one study (2000)")
    add("--max-files", type=int, default=5000, metavar="N", help="most files of one study (5000)")
    parser.set_defaults(run=_serve)


def _add_download(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "download",
        help="fetch a public collection",
        description="Fetch a public collection, from where it stopped the last time; check it, and unpack it.",
    )
    add = parser.add_argument
    add("collection", metavar="NAME", help="totalsegmentator_ct, visible_human, rocov2, imagenet, ...")
    add("root", metavar="FOLDER", help="folder of all collections; the files go to FOLDER/NAME")
    add("--dry-run", action="store_true", help="only tell what would be fetched")
    add("--dicom", action="store_true", help="as DICOM, from Imaging Data Commons (visible_human)")
    parser.set_defaults(run=_download)


def _describe(arguments: argparse.Namespace) -> int:
    _check_exchange(arguments)
    from anatomy_clip.describe.command import run

    return run(arguments)


def _export(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from anatomy_clip.describe.bundle.export import export_run, push

    run = Path(arguments.run_folder)
    to = Path(arguments.to) if arguments.to else run / "bundle"
    options = {"onnx": arguments.onnx, "half": arguments.half, "overwrite": arguments.overwrite}
    bundle = export_run(run, to, arguments.data, **options)
    size = sum(file.stat().st_size for file in to.iterdir()) / 1e6
    print(f"{to}: bundle of {bundle.name}, {size:.1f} MB, {len(bundle.captions)} captions, digest {bundle.digest}")
    if arguments.push:
        print(f"{arguments.push}: commit {push(to, arguments.push)}")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from anatomy_clip.describe.web.serve import run

    return run(arguments)


def _download(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from anatomy_clip.sources.download.collections import collections
    from anatomy_clip.sources.download.fetch import fetch_collection, fetch_idc
    from anatomy_clip.sources.download.packages import Unreachable

    known = collections()
    if arguments.collection not in known:
        raise ValueError(f"{arguments.collection}: no such collection; there are {', '.join(known)}")
    fetch = fetch_idc if arguments.dicom else fetch_collection
    try:
        fetch(known[arguments.collection], Path(arguments.root), dry_run=arguments.dry_run)
    except Unreachable as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    return 0


def _program(arguments: argparse.Namespace) -> int:
    from anatomy_clip.cli.program import start

    start(arguments.program, arguments.overrides)
    return 0
