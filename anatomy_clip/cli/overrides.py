"""Check Hydra overrides before anything runs, and suggest the nearest known name for a wrong one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from anatomy_clip.core.names import did_you_mean

_FOLDER = re.compile(r"[^./\\\0][^/\\\0]*")  # a run's suite or name


def check_overrides(arguments: Sequence[str], config_dir: Path, config_name: str) -> None:
    """End the program with one line if an override names a group, an option or a key that isn't there.

    Args:
        arguments: the command line after the program's name.
        config_dir: folder of the config groups.
        config_name: the primary config.
    """
    problem = find_problem(get_args_parser().parse_args(list(arguments)).overrides, config_dir, config_name)
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
        groups = [o for o in overrides if _repository(loader).group_exists(o.key_or_group)]
        for override in groups:
            problem = _group_problem(override, loader)
            if problem:
                return problem
        # `~group` takes a group away and `group=null` leaves it out: neither has keys of its own. Where a group has
        # several choices, Hydra composes the config without it before it starts the first run.
        single = [o for o in groups if not o.is_sweep_override()]
        chosen = [f"{o.key_or_group}={c}" for o in single if (c := _choices(o)[0]) != "null"]
        config = compose(config_name, overrides=chosen)
        known = set(_paths(config)) | {"hydra"}
        options = sorted(known | set(loader.list_groups("")))
        for override in (o for o in overrides if o not in groups):
            problem = _key_problem(override, known, options, config)
            if problem and len(single) < len(groups):
                problem += "; with several choices of a group, only keys can be set that the config has without it"
            problem = problem or _place_problem(override)
            if problem:
                return problem
        return None


def _repository(loader: ConfigLoader) -> Any:
    return loader.repository  # type: ignore[attr-defined]


def _choices(override: Override) -> list[str]:
    if override.is_delete():
        return ["null"]
    value = override.sweep_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
    return [str(v) for v in value]


def _group_problem(override: Override, loader: ConfigLoader) -> str | None:
    group = override.key_or_group
    for choice in _choices(override):
        if choice == "null" or _repository(loader).config_exists(f"{group}/{choice}"):
            continue
        folder, _, _ = choice.rpartition("/")
        options = [f"{folder}/{o}".lstrip("/") for o in _options(loader, f"{group}/{folder}".rstrip("/"))]
        near = did_you_mean(choice, options, 0.4)
        return f"{group}={choice}: no such option{near}; known options: {', '.join(sorted(options))}"
    return None


def _options(loader: ConfigLoader, group: str) -> list[str]:
    return list(loader.get_group_options(group, results_filter=ObjectType.CONFIG))


def _key_problem(override: Override, known: set[str], options: Iterable[str], config: DictConfig) -> str | None:
    key = override.key_or_group
    if override.is_add() or override.is_delete() or key.split(".")[0] == "hydra" or key in known:
        return None
    problem = f"{override.input_line}: there is no '{key}' in the config{did_you_mean(key, options, 0.4)}"
    place = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else None
    if isinstance(place, DictConfig) and "_target_" not in place:  # it takes any names
        problem += f"; to add one, write +{override.input_line}"
    return problem


def _place_problem(override: Override) -> str | None:
    """What is wrong with a suite, a name or a seed, which make the path of a run's folder."""
    key = override.key_or_group
    if override.is_delete() or key not in ("suite", "name", "seed"):
        return None
    for value in override.sweep_iterator() if override.is_sweep_override() else [override.value()]:
        if key == "seed" and (type(value) is not int or not 0 <= value < 2**32) and not _refers(value):
            return f"seed={value}: give a whole number from 0 to {2**32 - 1}"
        if key != "seed" and not isinstance(value, str):
            read = "nothing" if value is None else f"the truth value {value}" if isinstance(value, bool) else value
            text = "NAME" if override.is_sweep_override() else str(override.input_line).partition("=")[2]
            return f"{override.input_line}: {key} is read as {read}, not as text; write \"{key}='{text}'\""
        if isinstance(value, str) and not (_refers(value) or _FOLDER.fullmatch(value.strip("'\""))):
            return f"{key}={value}: give the name of one folder, without '/' or '\\' and not beginning with a dot"
    return None


def _refers(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _paths(config: Any, prefix: str = "") -> list[str]:
    if not isinstance(config, DictConfig):
        return []
    paths = []
    keys: list[Any] = list(config)  # numbers too, where a file has such
    for key in keys:
        path = f"{prefix}.{key}".lstrip(".")
        plain = not (OmegaConf.is_missing(config, key) or OmegaConf.is_interpolation(config, key))
        paths += [path, *(_paths(config._get_node(key), path) if plain else [])]
    return paths
