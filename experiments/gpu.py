"""Check and measure the training on a GPU, part by part, and write what was found as JSON.

Each part runs in a process of its own: one that fails, or takes too long, is written down as failed, and the others go
on. Slices, captions and weights are made here, at random (simulated); nothing is downloaded.

python experiments/gpu.py [device=cuda] [size=paper] [out=outputs/gpu.json] [parts=clipping,restart]

device=cpu size=tiny takes every part's way with tiny models, which says nothing about a GPU. The exit status is 1 where
a check failed, 0 otherwise, and 0 where there is no GPU.
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the checkout, also where another one is installed
os.environ |= {"NO_ALBUMENTATIONS_UPDATE": "1", "HF_HUB_OFFLINE": "1"}
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # an import that asks for a GPU mustn't keep the parts from using it
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first product; Lightning sets it too

TOTAL_S, PART_S = 460, 150  # limits of all parts together and of one on a GPU, seconds
ON_A_CPU = 10  # times as long there: it may be busy with other things, and nothing is measured
OPTIONS = {"device": "cuda", "size": "paper", "out": "outputs/gpu.json", "parts": ""}
_FORK = multiprocessing.get_context("fork")


def main(arguments: Sequence[str]) -> int:
    """Run the parts; returns the exit status."""
    options = dict(OPTIONS)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in options or not value:
            raise SystemExit(f"{argument}: options are {', '.join(f'{k}=' for k in options)}")
        options[key] = value
    found = _in_process(_device, options["device"])
    if "error" in found:
        print(found["error"])
        return 0 if options["device"] == "cuda" else 2
    from experiments.gpu_setup import SIZES, Bench, make_store

    known = all_parts()
    chosen = [name for name in options["parts"].split(",") if name] or list(known)
    wrong = [name for name in chosen if name not in known]
    if wrong or options["size"] not in SIZES:
        raise SystemExit(f"parts are {', '.join(known)}; sizes are {', '.join(SIZES)}")
    out = Path(options["out"])
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {"device": found, "size": options["size"], "versions": _versions(), "parts": {}}
    slack = ON_A_CPU if options["device"] == "cpu" else 1
    end = time.monotonic() + slack * TOTAL_S
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as folder:
        bench = Bench(SIZES[options["size"]], options["device"], Path(folder))
        report["data"] = {"simulated": True, **_in_process(make_store, bench)}
        for name in chosen:
            seconds = min(slack * PART_S, end - time.monotonic())
            report["parts"][name] = part = run_part(known[name], bench, seconds)
            print(_line(name, part), flush=True)
            out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    failed = [name for name, part in report["parts"].items() if part["status"] != "ok"]
    print(f"{out}: {len(chosen) - len(failed)} of {len(chosen)} parts succeeded, on {found['name']}")
    return int(any(report["parts"][name]["status"] == "wrong" or name in CHECKS for name in failed))


CHECKS = ("clipping", "loss_in_bf16", "restart", "compiled")


def all_parts() -> dict[str, Callable[[Any], dict[str, Any]]]:
    """The parts by name, what matters most first."""
    from experiments import gpu_checks, gpu_speeds

    for module in ("albumentations", "open_clip_train.train"):  # imported here, the parts' processes share them
        with contextlib.suppress(ImportError):  # the part that needs it tells
            import_module(module)
    return {
        "clipping": gpu_checks.clipping,
        "loss_in_bf16": gpu_checks.loss_in_bf16,
        "pairs_a_second": gpu_speeds.pairs_a_second,
        "restart": gpu_checks.restart,
        "transfer": gpu_speeds.transfer,
        "loader": gpu_speeds.loader,
        "memory": gpu_speeds.memory,
        "compiled": gpu_checks.compiled,
    }


def run_part(part: Callable[[Any], dict[str, Any]], bench: Any, seconds: float) -> dict[str, Any]:
    """Run a part in a process of its own.

    Returns:
        What it found, with `status`: ok, wrong (a check doesn't hold) or failed (see `error`), and `seconds`.
    """
    began = time.monotonic()
    if seconds < 1:
        return {"status": "failed", "error": "no time was left", "seconds": 0.0}
    found = _in_process(part, bench, seconds=seconds, folder=bench.folder)
    if "error" in found:
        status = "failed"
    else:
        status = "ok" if all(found.get("checks", {}).values()) else "wrong"
    return {"status": status, "seconds": round(time.monotonic() - began, 1), **found}


def _in_process(
    call: Callable[[Any], dict[str, Any]], argument: Any, *, seconds: float = 300, folder: Path | None = None
) -> dict[str, Any]:
    """What a call returns, or its `error`; it may break its process, hang, or leave processes behind."""
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as temporary:
        answer, log = Path(temporary, "answer.json"), Path(temporary, "log")
        process = _FORK.Process(target=_answer, args=(call, argument, answer, log))
        process.start()
        process.join(seconds)
        late = process.is_alive()
        process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        if late:
            return {"error": f"stopped after {seconds:.0f} s", "log": _tail(log, folder)}
        if not answer.exists():
            return {"error": f"its process ended with status {process.exitcode}", "log": _tail(log, folder)}
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


def _answer(call: Callable[[Any], dict[str, Any]], argument: Any, answer: Path, log: Path) -> None:
    os.setpgid(0, 0)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
    try:
        _quiet(argument)
        found = call(argument)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        text = _without_paths(f"{type(error).__name__}: {error}", getattr(argument, "folder", None))
        found = {"error": text[:2000], "where": where[-8:]}
    partial = answer.with_suffix(".partial")
    partial.write_text(json.dumps(found))
    partial.rename(answer)


def _quiet(argument: Any) -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if getattr(argument, "device", "") == "cpu":
        import torch

        torch.set_num_threads(1)


def _device(name: str) -> dict[str, Any]:
    """What the device is; where there is none, a sentence as `error`."""
    if name == "cpu":
        return {"name": "cpu"}
    import torch

    if name != "cuda" or not torch.cuda.is_available():
        return {
            "error": "no GPU was found, so nothing was measured; run this on a machine with a GPU "
            "(device=cpu size=tiny runs every part on a CPU)"
        }
    known = torch.cuda.get_device_properties(0)
    return {
        "name": known.name,
        "memory_gib": round(known.total_memory / 2**30, 1),
        "capability": f"{known.major}.{known.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("torch", "lightning", "open_clip_torch", "albumentations"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _line(name: str, part: dict[str, Any]) -> str:
    wrong = [sentence for sentence, holds in part.get("checks", {}).items() if not holds]
    why = part.get("error", "").splitlines()[:1] or [f"this does not hold: {sentence}" for sentence in wrong]
    return f"{part['status']:7s} {name:15s} {part['seconds']:6.1f} s  {'; '.join(why)}".rstrip()


def _tail(log: Path, folder: Path | None) -> list[str]:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [_without_paths(line, folder)[:300] for line in lines[-5:]]


def _without_paths(text: str, folder: Path | None) -> str:
    """Name no place of this machine."""
    for path, name in ((folder, "<folder>"), (ROOT, "."), (Path(sys.prefix), "<python>"), (Path.home(), "~")):
        text = text if path is None else text.replace(str(path), name)
    return text


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
