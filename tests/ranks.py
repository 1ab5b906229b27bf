"""Two processes that talk through gloo, for tests of what ranks do together."""

from dataclasses import fields, replace

import torch
import torch.multiprocessing as mp


def on_two_ranks(work, folder):
    """What `work(rank)` returns on each of two ranks."""
    mp.start_processes(_rank, args=(work, str(folder)), nprocs=2, start_method="fork")
    return [torch.load(f"{folder}/rank_{rank}.pt", weights_only=False) for rank in range(2)]


def share(batch, rank):
    """The half of a batch that a rank gets."""
    half = len(batch) // 2
    rows = slice(half * rank, half * (rank + 1))
    shared = {f.name: getattr(batch, f.name)[rows] for f in fields(batch) if f.name != "tokens"}
    return replace(batch, **shared, tokens=torch.cat([part[rows] for part in batch.tokens.split(len(batch))]))


def _rank(rank, work, folder):
    torch.set_num_threads(1)  # a forked process has lost the threads that its parent's pool counts on
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(work(rank), f"{folder}/rank_{rank}.pt")
    torch.distributed.destroy_process_group()
