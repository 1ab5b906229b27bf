"""The one LightningModule, of every training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import lightning
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from anatomy_clip.core.types import Batch, Losses
from anatomy_clip.models.adapt.freeze import freeze_statistics
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective
from anatomy_clip.training.watchers import Watcher


class TrainModule(lightning.LightningModule):
    """Trains a model by an objective, and watches zero-shot accuracy on validation sets as it goes.

    Args:
        model: towers and shared space.
        objective: see `objectives.base.Objective`; built with the model.
        optimizer: makes the optimiser from [model, objective].
        scheduler: makes the learning rate schedule from (optimizer, total_steps=...), stepped once a batch.
        watchers: what is measured on the validation sets as it goes.
        validation_sets: names of the validation loaders, in their order.
        recipe: plain values that let the checkpoint be read without its config.
        prepare: freezes layers of the model and chooses how its towers run, see `freeze.prepare_towers`.
        log_every: steps over which the logged loss terms are averaged.
    """

    def __init__(
        self,
        model: ImageTextModel,
        objective: Objective,
        optimizer: Callable[[Iterable[nn.Module]], Optimizer],
        scheduler: Callable[..., LRScheduler],
        *,
        watchers: Sequence[Watcher] = (),
        validation_sets: Sequence[str],
        recipe: Mapping[str, Any],
        prepare: Callable[[ImageTextModel], None] | None = None,
        log_every: int = 50,
    ) -> None:
        super().__init__()
        if prepare is not None:
            prepare(model)
        objective.setup(model)
        self.model = model
        self.objective = objective
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.validation_sets = tuple(validation_sets)
        self.recipe = dict(recipe)
        self.log_every = log_every
        self.terms: list[dict[str, Tensor]] = []
        self.watchers: Iterable[Watcher] = nn.ModuleList(watchers)  # type: ignore[assignment]
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation mode; frozen layers stay in evaluation mode."""
        super().train(mode)
        freeze_statistics(self.model)
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of one batch; its terms are kept and logged every `log_every` steps."""
        losses: Losses = self.objective(self.model, batch)
        self.terms.append({"loss": losses.loss.detach(), **losses.terms})
        if len(self.terms) >= self.log_every:
            self._flush()
        return losses.loss

    def _flush(self) -> None:
        # Each `self.log` costs over a millisecond, a good part of a small step: so means over many steps, and
        # straight to the loggers, since `self.log` drops what falls between the trainer's own logging steps.
        means = {
            f"train/{k}": torch.stack([t[k].to(self.device) for t in self.terms]).mean().item() for k in self.terms[0]
        }
        means["train/lr"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        for logger in self.loggers:
            logger.log_metrics(means, step=self.global_step)
        self.log("loss", means["train/loss"], prog_bar=True, logger=False)
        self.terms = []

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, and let the objective do what follows a step; only then is it whole."""
        super().optimizer_step(*args, **kwargs)
        self.objective.after_optimizer_step(self.model)

    def on_validation_epoch_start(self) -> None:
        """Let the watchers prepare for a pass over the validation sets."""
        with torch.no_grad():
            for watcher in self.watchers:
                watcher.start(self.model, self.objective)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Show the watchers a batch."""
        features = self.model.encode_image(batch.images)
        for watcher in self.watchers:
            watcher.step(self.validation_sets[dataloader_idx], batch, features)

    def on_validation_epoch_end(self) -> None:
        """Log what the watchers saw."""
        for watcher in self.watchers:
            for name, value in watcher.end().items():
                self.log(f"validation/{name}", value, prog_bar=name.count("/") == 1, sync_dist=False)

    def configure_optimizers(self) -> Any:
        """Make the optimiser and its schedule, stepped once a batch."""
        optimizer = self.make_optimizer([self.model, self.objective])
        scheduler = self.make_scheduler(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients under bf16 too, where Lightning refuses to with a fused optimiser.

        It takes bf16 for fp16, whose gradients are scaled until a fused step takes the scale off; bf16 needs no scale.

        Raises:
            ValueError: 16-mixed with a fused optimiser.
        """
        precision = self.trainer.precision_plugin
        if not isinstance(precision, MixedPrecision) or not gradient_clip_val:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif precision.scaler is None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or GradClipAlgorithmType.NORM)
            Precision.clip_gradients(precision, optimizer, gradient_clip_val, algorithm)
        else:
            raise ValueError(
                f"trainer.precision={precision.precision} can't clip the gradients of a fused optimiser; "
                "use trainer.precision=bf16-mixed, or trainer.gradient_clip_val=null"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the recipe into the checkpoint, and the loss terms that aren't logged yet."""
        checkpoint |= {"recipe": self.recipe, "terms": self.terms}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the loss terms."""
        self.terms = checkpoint["terms"]
