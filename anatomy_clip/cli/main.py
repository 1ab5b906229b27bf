"""The `anatomy-clip` command; every heavy import waits until its subcommand runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from anatomy_clip import __version__
from anatomy_clip.cli.program import PROGRAMS, set_environment

_DESCRIBE_END = """\
exit status: 0 all files were described; 1 no file was described; 2 wrong usage; 3 some files were refused.
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
    parser = argparse.ArgumentParser(
        prog="anatomy-clip", description="Name body stations and organs in CT and MR slices."
    )
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
        help="name the stations and organs that files show",
        description="Name the body stations and organs that files show, for each slice and each series.",
        epilog=_DESCRIBE_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "paths",
        nargs="*",
        metavar="PATH",
        help="DICOM, DICOMDIR, NIfTI, PNG, JPEG or zip files, or folders of such files",
    )
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--csv", metavar="FILE", help="write a CSV file with one row for each slice")
    add("--plot", "--figure", metavar="FILE", help="write a plot of slices and stations (.png, .pdf, .svg)")
    add(
        "--audit",
        action="store_true",
        help="list only series whose header names another body part than the image shows",
    )
    add("--bundle", metavar="FOLDER", help="a folder, or hf:OWNER/NAME@COMMIT (default: the package's bundle)")
    add("--onnx", action="store_true", help="use the bundle's ONNX file, which starts much faster")
    add(
        "--modality",
        choices=("CT", "MR"),
        help="modality of NIfTI files and pictures (default: estimated from the image)",
    )
    add(
        "--workers", type=int, metavar="N", help="number of processes that read files (default: one for each processor)"
    )
    add(
        "--batch-size",
        type=int,
        default=32,
        metavar="N",
        help="number of slices in one batch of the network (default: 32)",
    )
    add("--seconds", type=float, default=30.0, metavar="S", help="time limit for one file, in seconds (default: 30)")
    add("--memory-gb", type=float, default=2.0, metavar="GB", help="memory limit for one file, in GB (default: 2)")
    _add_exchange(parser)
    parser.set_defaults(run=_describe, usage=parser.error)


def _add_exchange(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("DICOM output and archives", "Docs: docs/PACS.md.").add_argument
    add("--sr-out", metavar="FOLDER", help="write one DICOM Structured Report for each series")
    add(
        "--sr-patient",
        action="store_true",
        help="name the patient in the SR documents (default: the documents name nobody)",
    )
    add("--dicomweb", metavar="URL", help="fetch a study from a DICOMweb server instead of reading PATHs")
    add("--study", metavar="UID", help="Study Instance UID of the study to fetch")
    add("--series", metavar="UID", help="fetch only this series of the study")
    add("--store", action="store_true", help="store the SR documents on that server")
    add("--ca-bundle", metavar="FILE", help="file of certificates to trust instead of the usual ones (PEM)")
    add(
        "--client-cert", metavar="FILE", help="client certificate and key, to identify this program to the server (PEM)"
    )


def _check_exchange(arguments: argparse.Namespace) -> None:
    """End with the usage where options don't go together."""
    if bool(arguments.paths) == bool(arguments.dicomweb):
        arguments.usage("give either PATHs, or --dicomweb URL with --study UID")
    if arguments.dicomweb and not arguments.study:
        arguments.usage("--dicomweb: add --study UID, the Study Instance UID of the study to describe")
    for name in ("study", "series", "store", "ca_bundle", "client_cert"):
        if getattr(arguments, name) and not arguments.dicomweb:
            arguments.usage(f"--{name.replace('_', '-')}: needs --dicomweb URL; add it")
    if arguments.sr_patient and not (arguments.sr_out or arguments.store):
        arguments.usage("--sr-patient: needs --sr-out FOLDER or --store; add one of them")


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "export",
        help="make a bundle from a trained run",
        description="Make a bundle from a trained run, for `describe` and for open_clip (local-dir:FOLDER).",
    )
    add = parser.add_argument
    add("run_folder", metavar="RUN", help="folder of a run that has finished the stages fit and evaluate")
    add("--to", metavar="FOLDER", help="folder of the bundle (default: RUN/bundle)")
    add("--data", metavar="FOLDER", help="folder of the slice stores, if it is not the one in the run's config")
    add("--onnx", action="store_true", help="also write the image tower as an ONNX file, for describe --onnx")
    add("--half", action="store_true", help="round the weights to 16 bits, which halves the bundle's size")
    add("--overwrite", action="store_true", help="replace the bundle if it exists")
    add(
        "--push",
        metavar="hf:OWNER/NAME",
        help="also upload the bundle to the Hugging Face hub (needs HF_HUB_OFFLINE=0)",
    )
    parser.set_defaults(run=_export)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "serve",
        help="open a web page on this machine that describes your studies",
        description="Serve a web page. It describes the studies that you drag into it. The files stay on this machine.",
    )
    add = parser.add_argument
    add("--bundle", metavar="FOLDER", help="a folder, or hf:OWNER/NAME@COMMIT (default: the package's bundle)")
    add(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, only this machine)",
    )
    add("--port", type=int, default=7860, metavar="N", help="port to listen on; 0 takes any free port (default: 7860)")
    add("--max-upload", type=int, default=2000, metavar="MB", help="size limit of one study, in MB (default: 2000)")
    add(
        "--max-files",
        type=int,
        default=5000,
        metavar="N",
        help="limit on the number of files of one study (default: 5000)",
    )
    parser.set_defaults(run=_serve)


def _add_download(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "download",
        help="download a public collection",
        description="Download a public collection, check it and unpack it. An interrupted download continues.",
    )
    add = parser.add_argument
    add(
        "collection",
        metavar="NAME",
        help="name of the collection: totalsegmentator_ct, visible_human, rocov2, imagenet, ...",
    )
    add("root", metavar="FOLDER", help="folder of all collections; the files are written to FOLDER/NAME")
    add("--dry-run", action="store_true", help="only print what would be downloaded")
    add("--dicom", action="store_true", help="download it as DICOM from Imaging Data Commons (visible_human only)")
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
        raise ValueError(f"{arguments.collection}: no such collection; known collections: {', '.join(known)}")
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
