"""Nothing of the machine or of a package index stands in the project."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRIVATE = re.compile(r"/(home|Users|work|root)/(?!someone)[a-z]|https?://[^\s)\"']*(pypi|simple/)", flags=re.I)


def test_no_path_of_a_machine_and_no_index_address():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    own = Path(__file__).name
    for name in done.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".png", ".parquet", ".safetensors", ".onnx") or path.name == own or not path.is_file():
            continue
        found = PRIVATE.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{name}: {found}"
