"""Each storey imports only storeys below it, and heavy libraries stay where DESIGN puts them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "anatomy_clip"
STOREYS = [
    {"cli"},
    {"run", "report", "describe"},
    {"wiring"},
    {"evaluation", "runs"},
    {"training"},
    {"objectives", "data", "sources"},
    {"models", "prompts", "imaging"},
    {"metrics", "anatomy", "types", "files"},
]
HEIGHT = {part: -level for level, parts in enumerate(STOREYS) for part in parts}
ONLY_IN = {
    "hydra": ("wiring.py",),
    "lightning": ("training/", "data/datamodule.py", "run.py", "wiring.py"),
    "pydicom": ("imaging/", "sources/", "describe/"),
    "highdicom": ("imaging/", "sources/", "describe/"),
    "open_clip": ("models/open_clip.py", "models/weights.py", "models/tokenizers.py"),
    "transformers": ("models/bert.py", "models/tokenizers.py"),
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
    assert own in HEIGHT, f"{own} has no storey"
    for name in imports(path):
        if name.startswith("anatomy_clip.") and part(name) != own:
            assert HEIGHT[part(name)] < HEIGHT[own], f"{path.name} ({own}) imports {name}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_where_they_belong(library):
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name == library or name.startswith(f"{library}.") for name in imports(path))
    }
    strangers = {user for user in users if not user.startswith(ONLY_IN[library])}
    assert not strangers


@pytest.mark.parametrize("part_name", ["anatomy", "metrics.classification", "prompts.templates"])
def test_words_and_numbers_need_no_heavy_library(part_name):
    heavy = "{'torch', 'pydicom', 'lightning', 'open_clip', 'albumentations'}"
    module = "anatomy.taxonomy, anatomy_clip.anatomy.records" if part_name == "anatomy" else part_name
    code = f"import sys, anatomy_clip.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
