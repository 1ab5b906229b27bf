import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from anatomy_clip.training import threads
from anatomy_clip.training.threads import ComputeThreads


class Line(lightning.LightningModule):
    """A training that notes its number of threads."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(1, 1), []

    def training_step(self, batch, index):
        self.seen.append(torch.get_num_threads())
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(autouse=True)
def three_are_free(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "free_processors", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield
    torch.set_num_threads(before)


def train(folder, epochs, checkpoint=None):
    line = Line()
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, callbacks=[ComputeThreads()], logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(line, DataLoader(torch.ones(2, 1)), ckpt_path=checkpoint, weights_only=True)
    trainer.save_checkpoint(folder / "last.ckpt")
    return line.seen


def test_a_training_takes_what_is_free_and_a_resumed_one_keeps_its_number(tmp_path, monkeypatch):
    assert train(tmp_path, 1) == [3, 3]
    monkeypatch.setattr(threads, "free_processors", lambda: 2)
    torch.set_num_threads(1)
    assert train(tmp_path, 2, tmp_path / "last.ckpt") == [3, 3]


def test_the_environment_overrules_it(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    assert train(tmp_path, 1) == [1, 1]
