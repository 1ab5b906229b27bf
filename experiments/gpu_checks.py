"""Parts of the GPU check that can be right or wrong: loss in bf16, clipping, compiled towers, restart.

Each part takes a `Bench` and returns plain values; `checks` among them says of each sentence whether it holds.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import re
import shutil
import signal
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision
from omegaconf import DictConfig
from torch import Tensor

from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.training.module import TrainModule
from experiments.gpu_setup import VIT, Bench, make_batches, ready
from experiments.training_loops import in_memory, train_ours
from experiments.watch import Watch

LOSS_LIMIT = 0.02  # relative; bf16 has 8 bits, 0.4 % a rounding
CLIP_LIMIT = 1e-4  # relative; clipping divides by the norm + 1e-6
RESTART_LIMIT = 0.05  # share of the training's whole change of the weights, where kernels don't repeat themselves
_FORK = multiprocessing.get_context("fork")
# as torch words it: of an operation, of attention, and of products without CUBLAS_WORKSPACE_CONFIG
_NOT_DETERMINISTIC = re.compile(
    r"^(.+?) (?:does not have a deterministic implementation|defaults to a non-deterministic algorithm)"
    r"|not deterministic because it uses (CuBLAS)"
)


def loss_in_bf16(bench: Bench) -> dict[str, Any]:
    """Losses of the same steps in bf16-mixed and in float32 (without TF32), from the same weights."""
    torch.backends.cudnn.allow_tf32 = False  # on by default for convolutions
    found: dict[str, Any] = {"checks": {}, "limit": LOSS_LIMIT}
    for name in bench.size.models:
        cfg = bench.config(name)
        batches, losses = ready(bench, make_batches(cfg, bench.size.steps)), []
        for precision in ("32-true", "bf16-mixed"):
            cfg.trainer.precision = precision
            watch = train_ours(cfg.model, in_memory(batches), len(batches), bench.runs("loss"), where=bench.where(cfg))
            losses.append(watch.losses)
        found[name] = difference(*losses)
        sentence = f"{name}: losses of {len(batches)} steps in bf16-mixed are float32's within {LOSS_LIMIT:.0%}"
        found["checks"][sentence] = found[name]["greatest"] <= LOSS_LIMIT
    return found


def difference(expected: list[Tensor], losses: list[Tensor]) -> dict[str, float]:
    """Relative differences of losses; NaN stays NaN and fails every comparison."""
    wanted, got = (torch.stack(each).double().cpu() for each in (expected, losses))
    differences = ((got - wanted) / wanted).abs()
    return {
        "greatest": differences.max().item(),
        "mean": differences.mean().item(),
        "first_loss": wanted[0].item(),
        "last_loss": wanted[-1].item(),
    }


class _Norms(Callback):
    """The norm of all gradients before and after clipping, a pair a step."""

    def __init__(self) -> None:
        self.pairs: list[tuple[float, float]] = []
        self.fused: bool | None = None
        self._before = 0.0

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Lightning clips after this."""
        self._before = _norm(pl_module)
        self.fused = bool(optimizer.param_groups[0]["fused"])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """The gradients are still those that the optimiser saw."""
        self.pairs.append((self._before, _norm(pl_module)))


def _norm(module: torch.nn.Module) -> float:
    squares = [p.grad.double().square().sum() for p in module.parameters() if p.grad is not None]
    return float(torch.stack(squares).sum().sqrt())


def clipping(bench: Bench) -> dict[str, Any]:
    """Gradient norms before and after clipping with the fused optimiser in bf16; 16-mixed is refused."""
    cfg = bench.config(VIT)
    steps = min(bench.size.steps, 5)
    batches = ready(bench, make_batches(cfg, steps))
    found: dict[str, Any] = {"checks": {}}
    limit = float(cfg.trainer.gradient_clip_val)
    for _ in range(2):
        norms = _Norms()
        where = replace(bench.where(cfg), callbacks=[norms])
        where = replace(where, trainer={**where.trainer, "gradient_clip_val": limit})
        train_ours(cfg.model, in_memory(batches), steps, bench.runs("clipping"), where=where)
        found[f"limit {limit:.3g}"] = {"fused": norms.fused, "before_and_after": norms.pairs}
        wanted = [(after, min(before, limit)) for before, after in norms.pairs]
        exact = all(abs(after - norm) <= CLIP_LIMIT * norm for after, norm in wanted)
        found["checks"][f"fused AdamW, bf16-mixed: norms after clipping to {limit:.3g} are exact"] = bool(
            exact and norms.fused and len(wanted) == steps
        )
        limit = min(before for before, _ in norms.pairs) / 10  # small enough that every step is clipped
    found["refusal of 16-mixed"] = refusal = _refusal(bench, cfg, batches)
    found["checks"]["16-mixed with the fused optimiser is refused with what to do"] = (
        "use trainer.precision=bf16-mixed, or trainer.gradient_clip_val=null" in refusal
    )
    return found


def _refusal(bench: Bench, cfg: DictConfig, batches: list[Any]) -> str:
    # the plugin that trainer.precision=16-mixed makes on a GPU; on a CPU Lightning would take bf16 in its place
    plugin = MixedPrecision("16-mixed", bench.device, torch.amp.GradScaler(bench.device))
    where = bench.where(cfg)
    where = replace(where, plugins=[*where.plugins, plugin], trainer={**where.trainer, "precision": None})
    try:
        train_ours(cfg.model, in_memory(batches), len(batches), bench.runs("refused"), where=where)
    except ValueError as error:
        return str(error)
    return "not refused"


def compiled(bench: Bench) -> dict[str, Any]:
    """Towers compiled and as they are: time of a step, losses, and what compiling takes."""
    cfg, size = bench.config(VIT), bench.size
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(bench.folder / "inductor")  # an empty one: compiling is timed
    once = ready(bench, make_batches(cfg, size.steps))
    batches = [*once, *once]  # the second time, every shape has been met

    def train(backend: str | None) -> tuple[Watch, float]:
        began = time.perf_counter()
        where = bench.where(cfg, compile_backend=backend)
        watch = train_ours(cfg.model, in_memory(batches), len(batches), bench.runs("compiled"), where=where)
        watch.seconds()  # waits for the device
        gc.collect()
        return watch, time.perf_counter() - began

    train(None)  # what every first training in a process takes
    (plain, plain_s), (quick, quick_s) = train(None), train(size.compile_backend)
    step, quick_step = (watch.seconds(warm=size.steps) for watch in (plain, quick))
    apart = difference(plain.losses, quick.losses)
    sentence = f"{VIT}: losses of {len(batches)} steps with compiled towers are the plain ones' within {LOSS_LIMIT:.0%}"
    return {
        "backend": size.compile_backend,
        "step_time_ratio": quick_step / step,
        "compile_s": quick_s - plain_s - len(batches) * (quick_step - step),
        "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"],
        "losses": apart,
        "checks": {sentence: apart["greatest"] <= LOSS_LIMIT},
    }


def restart(bench: Bench) -> dict[str, Any]:
    """A run that is killed between two checkpoints and goes on in another process, beside one that ran through."""
    found: dict[str, Any] = {"checks": {}, "limit_where_kernels_vary": RESTART_LIMIT}
    for name in bench.size.models:
        found[name] = one = _restart(bench, name)
        shutil.rmtree(bench.folder / "outputs")  # some GB
        found["checks"][f"{name}: killed after step {one['killed_after_step']}, as planned"] = one.pop("killed")
        told = "bitwise" if not one["not_deterministic"] else f"within {RESTART_LIMIT:.0%} of the training's change"
        same = one["bitwise_equal"] or (one["not_deterministic"] and one["difference"] <= RESTART_LIMIT)
        found["checks"][f"{name}: a killed run ends at the weights of one that ran through, {told}"] = bool(same)
    return found


def _restart(bench: Bench, model: str) -> dict[str, Any]:
    every, steps, kill = 3, 8, 5

    def config(name: str, every: int) -> DictConfig:
        more = [f"name={name}", f"checkpoint_every={every}", f"+trainer.limit_train_batches={steps}",
                f"data.workers={bench.size.workers}", "+trainer.enable_progress_bar=false"]  # fmt: skip
        return bench.config(model, *more)

    # In processes of their own, before this one touches the GPU: then they may be forked.
    killed = _FORK.Process(target=_run_and_die, args=(config("killed", every), kill))
    killed.start()
    killed.join()
    _end_group(killed.pid)  # its loader's workers
    kept = _read(config("killed", every))["global_step"]
    resumed = _FORK.Process(target=run, args=(config("killed", 0),))
    resumed.start()
    resumed.join()
    names = _run_watched(config("through", 0))
    through, went_on = (_read(config(name, 0))["state_dict"] for name in ("through", "killed"))
    equal = all(torch.equal(through[key], went_on[key]) for key in through)
    return {
        "killed": killed.exitcode == -signal.SIGKILL and kept == every and resumed.exitcode == 0,
        "killed_after_step": kill,
        "went_on_after_step": kept,
        "steps": steps,
        "bitwise_equal": equal and through.keys() == went_on.keys(),
        "difference": 0.0 if equal else share_of_change(through, went_on, _first_weights(bench, model)),
        "not_deterministic": sorted(names),
    }


def _run_and_die(cfg: DictConfig, step: int) -> None:
    """Train until a step is done and another begins, then go as a machine does."""
    os.setpgid(0, 0)
    as_it_is = TrainModule.training_step

    def training_step(self: TrainModule, batch: Any, batch_idx: int) -> Tensor:
        if batch_idx == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return as_it_is(self, batch, batch_idx)

    TrainModule.training_step = training_step  # type: ignore[method-assign]
    run(cfg)


def _end_group(leader: int | None) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader or 0, signal.SIGKILL)


def _run_watched(cfg: DictConfig) -> set[str]:
    """Run, and name the operations that torch says have no deterministic way."""
    torch.set_warn_always(True)  # of attention it would tell once a process
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(cfg)
    return not_deterministic(str(warning.message) for warning in caught)


def not_deterministic(messages: Iterable[str]) -> set[str]:
    """Names of what torch's warnings say isn't deterministic."""
    found = (_NOT_DETERMINISTIC.search(message) for message in messages)
    return {match[1] or match[2] for match in found if match}


def _read(cfg: DictConfig) -> dict[str, Any]:
    path: Path = run_folder(cfg) / "last.ckpt"
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    return checkpoint


def _first_weights(bench: Bench, model: str) -> dict[str, Tensor]:
    """What the runs started from: random weights of the run's seed."""
    from lightning import seed_everything

    from anatomy_clip.runs.wiring import build_model

    cfg = bench.config(model)
    seed_everything(cfg.seed, verbose=False)
    return {f"model.{name}": weight for name, weight in build_model(cfg).state_dict().items()}


def share_of_change(through: dict[str, Tensor], other: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """Norm of the difference of two trainings' weights as a share of what the training changed."""
    apart = sum(float((through[key] - other[key]).double().square().sum()) for key in start)
    change = sum(float((through[key] - start[key]).double().square().sum()) for key in start)
    return float((apart / change) ** 0.5)
