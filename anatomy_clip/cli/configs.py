"""Where the configs are, and the experiments, sweeps and columns that `conf/arms` lists line by line."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def config_folder() -> Path:
    """The folder of the configs: the package's own, or else the checkout's; from then on Hydra knows all arms."""
    own = _PACKAGE / "conf"
    folder = own if own.is_dir() else _PACKAGE.parent / "conf"
    for file in sorted(folder.glob("arms/*.yaml")):
        _store_arms(file)
    return folder


def checkout() -> Path:
    """The checkout that the package stands in.

    Raises:
        ValueError: it was installed from a wheel.
    """
    if config_folder().parent == _PACKAGE:
        raise ValueError(
            "record=true and readme=true write into a checkout of the project, but this is an installed wheel; run "
            "this in a checkout"
        )
    return _PACKAGE.parent


def _store_arms(file: Path) -> None:
    """Make a suite's file its experiments, its sweep, and the columns of its table with what they differ in."""
    suite, spec = file.stem, yaml.safe_load(file.read_text(encoding="utf-8"))
    store, names = ConfigStore.instance().store, list(spec["arms"])
    texts = {name: arm.pop("text") for name, arm in spec["arms"].items()}
    differs = {}
    for n, (name, arm) in enumerate(spec["arms"].items()):
        groups = [{f"override /{key}": option} for key, option in arm.items() if "." not in key]
        node = OmegaConf.create(
            {"defaults": [f"/experiment/{spec['experiment']}", *groups, "_self_"], "suite": suite, "name": name}
        )
        for key, value in (spec["all"] | arm).items():
            if "." in key:
                OmegaConf.update(node, key, value)
        store(name, node, group=f"experiment/{suite}", package="_global_")
        if n:
            other = names[0 if spec["over"] == "first" else n - 1]
            keys = sorted({*arm, *spec["arms"][other]})
            differs[name] = {other: [key for key in keys if "." not in key or key.split(".")[0] not in keys]}
    params = {"experiment": ",".join(f"{suite}/{name}" for name in names), "seed": 0}
    store(suite, {"hydra": {"sweeper": {"params": params}}}, group="sweep", package="_global_")
    store(suite, {"columns": texts, "differs": differs}, group="table/arms")
