"""The GPU check: every part's way on a CPU with tiny models, and what becomes of a part that breaks."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from experiments import gpu

SCRIPT = Path(gpu.__file__)
FOLDER = "/somebody/gpu_check_x"


def start(*options, **env):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=3600, env=os.environ | env
    )


def test_without_a_gpu_it_says_so_in_a_sentence_and_all_is_well(tmp_path):
    done = start(f"out={tmp_path}/gpu.json", CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("no GPU was found") and done.stdout.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_every_part_goes_its_way_on_a_cpu(tmp_path):
    done = start("device=cpu", "size=tiny", f"out={tmp_path}/gpu.json")
    text = (tmp_path / "gpu.json").read_text()
    found = json.loads(text)
    assert done.returncode == 0, done.stdout
    assert found["device"] == {"name": "cpu"} and found["data"]["simulated"] is True
    parts = found["parts"]
    assert list(parts) == list(gpu.all_parts())
    assert {part["status"] for part in parts.values()} == {"ok"}
    assert {len(parts[name]["checks"]) for name in ("clipping", "restart")} == {3, 4}
    assert all(parts["restart"][model]["bitwise_equal"] for model in ("ViT-B/32", "RN50"))
    before, after = parts["clipping"]["limit 1"]["before_and_after"][0]
    assert before > 1.0 and after == pytest.approx(1.0, rel=1e-4)
    assert 0 < parts["loss_in_bf16"]["ViT-B/32"]["greatest"] < 0.02
    rates = parts["pairs_a_second"]["RN50"]["pairs_per_s"]
    assert len(rates) == 4 and all(rate["median"] > 0 for rate in rates.values())
    assert "BatchNorm" in parts["memory"]["RN50"]["objective.chunk_size=4"]["refused"]
    assert parts["memory"]["ViT-B/32"]["plain"]["peak_gib_by_batch"] == {"8": None, "16": None}  # no claim on a CPU
    assert str(Path.home()) not in text and str(tmp_path) not in text


def breaks(bench):
    raise RuntimeError(f"{bench.folder}/store is gone")


def dies(bench):
    os.write(2, f"{bench.folder}: last words\n".encode())
    os._exit(3)


def hangs(bench):
    time.sleep(60)


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (breaks, "RuntimeError: <folder>/store is gone"),
        (dies, "its process ended with status 3"),
        (hangs, "stopped after 1 s"),
    ],
)
def test_a_part_that_breaks_is_written_down(part, error):
    found = gpu.run_part(part, SimpleNamespace(device="", folder=FOLDER), 1 if part is hangs else 60)
    assert (found["status"], found["error"]) == ("failed", error)
    if part is breaks:
        assert found["where"][-1].startswith("test_gpu_check.py:") and found["where"][-1].endswith(" breaks")
    if part is dies:
        assert found["log"] == ["<folder>: last words"]


@pytest.mark.parametrize(
    ("name", "part", "status", "code"),
    [
        ("clipping", lambda bench: {"checks": {"it is so": True}}, "ok", 0),
        ("clipping", lambda bench: {"checks": {"it is so": False}}, "wrong", 1),
        ("clipping", breaks, "failed", 1),
        ("transfer", lambda bench: {"checks": {"it is so": False}}, "wrong", 1),
        ("transfer", breaks, "failed", 0),
    ],
)
def test_the_exit_status_tells_of_checks_not_of_speeds(name, part, status, code, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "all_parts", lambda: {name: part, "loader": lambda bench: {"images_per_s": 1.0}})
    assert gpu.main(["device=cpu", "size=tiny", f"out={tmp_path}/gpu.json"]) == code
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert (parts[name]["status"], parts["loader"]["status"]) == (status, "ok")  # the others go on
    assert ("does not hold: it is so" in capsys.readouterr().out) == (status == "wrong")


def test_what_isnt_an_option_is_refused():
    with pytest.raises(SystemExit, match="options are device=, size=, out=, parts="):
        gpu.main(["sizes=tiny"])
    with pytest.raises(SystemExit, match=r"parts are clipping, .*; sizes are paper, tiny"):
        gpu.main(["device=cpu", "parts=speed"])


def test_differences_of_losses_and_of_weights():
    from experiments import gpu_checks

    one, nan = torch.tensor(1.0), torch.tensor(torch.nan)
    found = gpu_checks.difference([one, 2 * one], [1.1 * one, 2 * one])
    assert found["greatest"] == pytest.approx(0.1) and found["mean"] == pytest.approx(0.05)
    assert not gpu_checks.difference([one], [nan])["greatest"] <= gpu_checks.LOSS_LIMIT
    start, through, other = ({"w": torch.tensor([0.0, 0.0]) + n} for n in (0, 2, 3))
    assert gpu_checks.share_of_change(through, other, start) == pytest.approx(0.5)


def test_what_torch_says_isnt_deterministic_is_named():
    from experiments import gpu_checks

    told = (
        "kthvalue CUDA does not have a deterministic implementation, but you set 'torch.use_deterministic...",
        "Flash Attention defaults to a non-deterministic algorithm. To explicitly enable determinism call ...",
        "Deterministic behavior was enabled with ..., but this operation is not deterministic because it uses CuBLAS",
        "something else",
    )
    assert gpu_checks.not_deterministic(told) == {"kthvalue CUDA", "Flash Attention", "CuBLAS"}
