"""Messages name keys of the config that exist."""

import inspect
import re
from functools import cache

import pytest
import yaml
from hydra.utils import get_object

from anatomy_clip.cli.configs import config_folder

PACKAGE = config_folder().parent / "anatomy_clip"
CONF = config_folder()
GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())
NAMED = re.compile(rf"""f?["'(\s;,]((?:{"|".join(GROUPS)})(?:\.[a-z_]+)+)(?==)""")


def keys(node, prefix):
    """The paths of a plain config node, and the arguments of what it builds."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}.{key}"
        yield from keys(value, f"{prefix}.{key}")
        if key == "_target_":
            yield from (f"{prefix}.{name}" for name in inspect.signature(get_object(value)).parameters)


@cache
def known():
    """Every key of every option of every group, and those of options that set other groups' keys."""
    found = set()
    for path in CONF.rglob("*.yaml"):
        node = yaml.safe_load(path.read_text()) or {}
        group = path.relative_to(CONF).parts[0].removesuffix(".yaml")
        found |= set(keys(node, group)) | {key for name in GROUPS for key in keys(node.get(name), name)}
    return found


def named():
    """(Module, key) of each `group.key=` in a message of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for key in NAMED.findall(path.read_text()):
            yield path.relative_to(PACKAGE).as_posix(), key


@pytest.mark.parametrize(("module", "key"), sorted(set(named())))
def test_a_key_that_a_message_names_is_in_the_config(module, key):
    assert key in known()


def test_messages_with_keys_are_found():
    assert ("training/optim.py", "optim.scheduler.warmup_steps") in set(named())
