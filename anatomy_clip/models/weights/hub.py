"""Weights from the Hugging Face hub, pinned to one commit and kept in its cache."""

from __future__ import annotations

import re
from pathlib import Path

PREFIX = "hf:"
_FORM = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})(?::(?P<file>[\w./-]+))?")


def fetch(reference: str, side_files: tuple[str, ...], weight_files: tuple[str, ...]) -> Path:
    """Get a repository's weights and what stands beside them, from the cache where it has them.

    Args:
        reference: `hf:<owner>/<name>@<commit>`, or `hf:<owner>/<name>@<commit>:<file>`.
        side_files: names that a repository may have, all fetched; not asked for where a file is named.
        weight_files: names that the weights may have; the first that is there is fetched.

    Returns:
        The named file, or the folder of the snapshot.

    Raises:
        ValueError: the reference has another form or no whole commit hash, the repository or its files can't be had,
            or they are neither in the cache nor may be downloaded.
    """
    match = _FORM.fullmatch(reference)
    if match is None:
        raise ValueError(
            f"{reference}: write hf:<owner>/<name>@<commit> or hf:<owner>/<name>@<commit>:<file>, with the full hash "
            "of a commit (40 digits), because the weights of a branch can change"
        )
    repo, revision, file = match["repo"], match["revision"], match["file"]
    if file:
        return _first(repo, revision, (file,))
    folder = _first(repo, revision, weight_files).parent
    for name in side_files:
        _download(repo, revision, name)
    return folder


def _first(repo: str, revision: str, names: tuple[str, ...]) -> Path:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    for name in names:
        if path := _download(repo, revision, name):
            return path
    where = f"{repo}@{revision}"
    if HF_HUB_OFFLINE:
        raise ValueError(
            f"{where}: not in the Hugging Face cache, and HF_HUB_OFFLINE forbids downloads; set HF_HUB_OFFLINE=0 for "
            f"one run, or copy the repository to a folder and give that folder as the weights ({', '.join(names)})"
        )
    raise ValueError(f"{where}: found neither in the Hugging Face cache nor on the hub: {', '.join(names)}")


def _download(repo: str, revision: str, name: str) -> Path | None:
    """One file's path in the cache, or None where the repository or the cache doesn't have it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    try:
        return Path(hf_hub_download(repo, name, revision=revision))
    except EntryNotFoundError:  # its offline form, LocalEntryNotFoundError, too
        return None
    except HfHubHTTPError as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"{repo}@{revision}: the hub refuses {name} ({first})") from error
