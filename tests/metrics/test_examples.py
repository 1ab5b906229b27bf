"""Every public function of the metrics has an example, and the examples are right."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import anatomy_clip.metrics

MODULES = [module.name for module in pkgutil.iter_modules(anatomy_clip.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    module = importlib.import_module(f"anatomy_clip.metrics.{name}")
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_one(name):
    module = importlib.import_module(f"anatomy_clip.metrics.{name}")
    public = [part for part in vars(module).values() if inspect.isfunction(part) and part.__module__ == module.__name__]
    for function in public:
        assert function.__name__.startswith("_") or ">>> " in function.__doc__, function.__name__
