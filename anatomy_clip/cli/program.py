"""One entry for all programs: `anatomy-clip NAME` and `experiments/*.py` start them here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from anatomy_clip.cli.plain_errors import plain_errors
from anatomy_clip.core.processors import share_processors

if TYPE_CHECKING:
    from omegaconf import DictConfig

PROGRAMS = {  # name, which is that of its module -> primary config, what it does
    "train": ("config", "train and evaluate a run, or sweep over many"),
    "prepare": ("prepare", "make slice stores from a source"),
    "check": ("check", "check that stores are complete, list what they contain, and find what they share"),
    "results": ("results", "make the tables, the plots and the page of a suite's runs"),
    "publish": ("publish", "publish a finished suite to Weights & Biases"),
    "estimate": ("estimate", "estimate what a suite needs, and list what is missing"),
    "export-weights": ("export", "export a trained run as a model for open_clip or transformers"),
}


def start(name: str, arguments: Sequence[str] | None = None) -> None:
    """Check the overrides, let Hydra compose the config, and run the program; wrong input ends with one line.

    Args:
        name: one of `PROGRAMS`; its module's `main(cfg)` returns the exit status, None for 0.
        arguments: overrides and Hydra's own options; by default, those of the process.

    Raises:
        SystemExit: the program ended with another status than 0.
    """
    set_environment()
    import hydra

    from anatomy_clip.cli.configs import config_folder
    from anatomy_clip.cli.overrides import check_overrides

    given = sys.argv
    arguments = given[1:] if arguments is None else list(arguments)
    config = PROGRAMS[name][0]
    check_overrides(arguments, config_folder(), config)

    def task(cfg: DictConfig) -> None:
        sys.argv = given  # Lightning starts further ranks by it
        with plain_errors():
            if status := import_module(task.__module__).main(cfg):
                raise SystemExit(status)

    task.__module__ = f"anatomy_clip.cli.{name.replace('-', '_')}"  # whose name Hydra shows
    sys.argv = [given[0], *arguments]  # Hydra reads them from there
    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config)(task)()
    finally:
        sys.argv = given


def set_environment() -> None:
    """Let no library ask the network by itself, and threads that wait sleep, unless the environment says otherwise."""
    share_processors()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the package index for its version otherwise
