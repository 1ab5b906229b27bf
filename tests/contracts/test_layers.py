"""Each layer imports only layers below it, and heavy libraries stay where DESIGN puts them."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "anatomy_clip"
LAYERS = [
    {"cli"},
    {"results", "describe"},
    {"runs"},
    {"evaluation"},
    {"training"},
    {"objectives", "data"},
    {"sources"},
    {"models", "stores", "inference"},
    {"text", "imaging"},
    {"anatomy", "metrics"},
    {"core"},
]
HEIGHT = {part: -level for level, parts in enumerate(LAYERS) for part in parts}
ONLY_IN = {
    "hydra": ("cli/", "runs/wiring.py"),
    "lightning": ("training/", "data/datamodule.py", "runs/stages.py", "runs/wiring.py"),
    "pydicom": ("imaging/", "sources/", "describe/"),
    "highdicom": ("imaging/", "sources/", "describe/"),
    "open_clip": ("models/towers/", "models/weights/load.py", "models/tokenizers.py"),
    "sklearn": ("evaluation/linear_probe.py", "metrics/", "results/"),
    "transformers": ("models/towers/bert.py", "models/tokenizers.py"),
}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


def part(dotted: str) -> str:
    return dotted.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in HEIGHT, f"{own} is on no layer"
    for name in imports(path):
        if name.startswith("anatomy_clip.") and part(name) != own:
            assert HEIGHT[part(name)] < HEIGHT[own], f"{path.name} ({own}) imports {name}"


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions and those for types alone count too."""
    graph = {}
    for path in MODULES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[module] = imported_modules(path) - {module}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def imported_modules(path: Path) -> set[str]:
    """Modules of the package that a file imports; of `from a import b`, b where it is a module, else a."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anatomy_clip."):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / Path(*inner.split("."))).with_suffix(".py").is_file()
                found.add(inner if is_module else node.module)
    return found


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_where_they_belong(library):
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name == library or name.startswith(f"{library}.") for name in imports(path))
    }
    strangers = {user for user in users if not user.startswith(ONLY_IN[library])}
    assert not strangers


@pytest.mark.parametrize("part_name", ["anatomy", "metrics.classification", "text.templates"])
def test_words_and_numbers_need_no_heavy_library(part_name):
    heavy = "{'torch', 'pydicom', 'lightning', 'open_clip', 'albumentations', 'sklearn'}"
    module = "anatomy.taxonomy, anatomy_clip.core.records" if part_name == "anatomy" else part_name
    code = f"import sys, anatomy_clip.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
