"""Whatever happens while a checkpoint is written, `last.ckpt` is a whole one."""

import errno
import multiprocessing
import os
import random
import re
import resource
import signal
import time
from pathlib import Path

import pytest
import torch

from anatomy_clip.core import files
from anatomy_clip.training.checkpoints import AtomicCheckpointIO, DiskFull, tensor_bytes

KILLS = int(os.environ.get("SOAK_WRITES", "8"))  # `make soak` takes 100
ELSEWHERE = Path("/dev/shm")  # a file system in memory, not the one of the tests' folders


def write_for_ever(path):
    """Checkpoints of 8 MB, one after the other; each holds its number in every element."""
    torch.set_num_threads(1)
    for n in range(1 << 20):
        AtomicCheckpointIO().save_checkpoint({"step": n, "weights": torch.full((2_000_000,), float(n))}, path)


@pytest.mark.skipif(not ELSEWHERE.is_dir(), reason="no second file system here")
def test_a_kill_while_writing_never_leaves_half_a_checkpoint(tmp_path, monkeypatch):
    assert ELSEWHERE.stat().st_dev != tmp_path.stat().st_dev
    monkeypatch.setenv("TMPDIR", str(ELSEWHERE))
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 0, "weights": torch.zeros(2_000_000)}, path)
    halves = 0
    for kill in range(KILLS):
        child = multiprocessing.get_context("fork").Process(target=write_for_ever, args=(path,))
        child.start()
        time.sleep(random.Random(kill).uniform(0.02, 0.2))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        halves += (tmp_path / ".last.ckpt.partial").exists()
        found = AtomicCheckpointIO().load_checkpoint(path)
        assert (found["weights"] == found["step"]).all()
        assert len(list(tmp_path.iterdir())) <= 2
    print(f"{halves} of {KILLS} kills came while a file was half written")
    assert halves  # else nothing was tried


@pytest.fixture
def small_files():
    """No file may grow beyond 1 MB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_old_checkpoint_and_says_what_is_needed(tmp_path, small_files):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(100)}, path)
    message = (
        rf"{re.escape(str(tmp_path))}: there is no space for last.ckpt: it needs 8\.0 MB and .* is complete; free disk"
    )
    with pytest.raises(DiskFull, match=message):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(2_000_000)}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    assert AtomicCheckpointIO().load_checkpoint(path)["weights"].shape == (100,)


def test_a_disk_that_is_full_only_at_the_flush_is_no_different(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DiskFull, match="there is no checkpoint yet"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(10)}, tmp_path / "new" / "last.ckpt")
    assert not list((tmp_path / "new").iterdir())


def test_other_errors_of_the_disk_are_told_as_they_are(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


def test_file_and_folder_are_flushed_before_and_after_the_rename(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor):
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def watched_replace(self, target):
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(files.os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    AtomicCheckpointIO().save_checkpoint({"step": 1}, tmp_path / "last.ckpt")
    assert order == [".last.ckpt.partial", "rename", tmp_path.name]


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"last.ckpt: can't be read as a checkpoint .*; delete it to train from"):
        AtomicCheckpointIO().load_checkpoint(path)


def test_bytes_of_nested_tensors():
    assert tensor_bytes({"a": [torch.zeros(3), {"b": torch.zeros(2, dtype=torch.uint8)}], "c": 1}) == 14
