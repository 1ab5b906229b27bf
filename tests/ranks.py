"""Two processes that talk through gloo, for tests of what ranks do together."""

import torch
import torch.multiprocessing as mp

from anatomy_clip.core.types import Batch, Texts


def on_two_ranks(work, folder):
    """What `work(rank)` returns on each of two ranks."""
    mp.start_processes(_rank, args=(work, str(folder)), nprocs=2, start_method="fork")
    return [torch.load(f"{folder}/rank_{rank}.pt", weights_only=False) for rank in range(2)]


def share(batch, rank):
    """The half of a batch that a rank gets."""
    half = len(batch) // 2
    rows = slice(half * rank, half * (rank + 1))

    def of_each(tensor):
        return torch.cat([part[rows] for part in tensor.split(len(batch))])

    texts = {kind: _trimmed(one.each(of_each), half) for kind, one in batch.texts.items()}
    labels = {space: values[rows] for space, values in batch.labels.items()}
    return Batch(of_each(batch.images), texts, labels, batch.rows[rows])


def _trimmed(texts, samples):
    """As many columns as the longest of these texts needs, as collate makes them."""
    columns = int(texts.mask.sum(dim=1).max())
    sample = torch.arange(samples).repeat(len(texts.ids) // samples)
    word = None if texts.word is None else texts.word[:, :columns]
    return Texts(texts.ids[:, :columns], sample, texts.mask[:, :columns], word)


def _rank(rank, work, folder):
    torch.set_num_threads(1)  # a forked process has lost the threads that its parent's pool counts on
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(work(rank), f"{folder}/rank_{rank}.pt")
    torch.distributed.destroy_process_group()
