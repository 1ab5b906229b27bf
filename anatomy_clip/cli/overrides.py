"""Check Hydra overrides before anything runs, and name the nearest right name for a wrong one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf


def check_overrides(arguments: Sequence[str], config_dir: Path, config_name: str) -> None:
    """End the program with one line if an override names a group, an option or a key that isn't there.

    Args:
        arguments: the command line after the program's name.
        config_dir: folder of the config groups.
        config_name: the primary config.
    """
    problem = find_problem([a for a in arguments if not a.startswith("-")], config_dir, config_name)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(2)


def find_problem(arguments: Sequence[str], config_dir: Path, config_name: str) -> str | None:
    """The first wrong override in words, or None.

    Args:
        arguments: overrides alone, as on the command line; sweeps are taken apart.
        config_dir: folder of the config groups.
        config_name: the primary config.
    """
    try:
        overrides = OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        return str(error).splitlines()[0]
    with initialize_config_dir(str(config_dir), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        groups = [o for o in overrides if o.key_or_group in _all_groups(loader)]
        for override in groups:
            problem = _group_problem(override, loader)
            if problem:
                return problem
        # `~group` takes a group away and `group=null` leaves it out: neither has keys of its own
        chosen = [f"{o.key_or_group}={c}" for o in groups if (c := _choices(o)[0]) != "null"]
        config = compose(config_name, overrides=chosen)
        known = set(_paths(config)) | {"hydra"}
        options = sorted(known | set(loader.list_groups("")))
        return next((p for o in overrides if o not in groups and (p := _key_problem(o, known, options))), None)


def _all_groups(loader: ConfigLoader, parent: str = "") -> list[str]:
    names = [f"{parent}/{name}".lstrip("/") for name in loader.list_groups(parent)]
    return names + [deeper for name in names for deeper in _all_groups(loader, name)]


def _choices(override: Override) -> list[str]:
    if override.is_delete():
        return ["null"]
    value = override.sweep_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
    return [str(v) for v in value]


def _group_problem(override: Override, loader: ConfigLoader) -> str | None:
    group = override.key_or_group
    repository = loader.repository  # type: ignore[attr-defined]
    for choice in _choices(override):
        if choice == "null" or repository.config_exists(f"{group}/{choice}"):
            continue
        folder, _, _ = choice.rpartition("/")
        options = [f"{folder}/{o}".lstrip("/") for o in _options(loader, f"{group}/{folder}".rstrip("/"))]
        return f"{group}={choice}: no such option{_hint(choice, options)}; there are {', '.join(sorted(options))}"
    return None


def _options(loader: ConfigLoader, group: str) -> list[str]:
    return list(loader.get_group_options(group, results_filter=ObjectType.CONFIG))


def _key_problem(override: Override, known: set[str], options: Iterable[str]) -> str | None:
    key = override.key_or_group
    if override.is_add() or override.is_delete() or key.split(".")[0] == "hydra" or key in known:
        return None
    return f"{override.input_line}: there is no '{key}' in the config{_hint(key, options)}"


def _hint(name: str, options: Iterable[str]) -> str:
    match = difflib.get_close_matches(name, list(options), n=1, cutoff=0.4)
    return f" (did you mean '{match[0]}'?)" if match else ""


def _paths(config: Any, prefix: str = "") -> list[str]:
    if not isinstance(config, DictConfig):
        return []
    paths = []
    for key in config:
        path = f"{prefix}.{key}".lstrip(".")
        plain = not (OmegaConf.is_missing(config, key) or OmegaConf.is_interpolation(config, key))
        paths += [path, *(_paths(config._get_node(key), path) if plain else [])]
    return paths
