"""Damaged and hostile files, by the way that real ones take: each ends as slices or with a reason and a remedy.

Sources may raise ValueError only. A file that is over 5 s or 1 GiB, or takes its worker with it, is a refused one
too, but few may be: 1 in 10,000 keeps CharLS busy for 10 s with 4 KB of JPEG-LS, 1 in 20,000 makes GDCM abort.
"""

import pytest
from fuzz.harness import SEEDS, count, drive
from fuzz.seeds import USELESS

from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.imaging.dicom import pixels, series  # here, so that workers are born with all imported
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.sources.scans.folder import Folder

assert pixels and series


def read(path, seed):
    """What `prepare` does with a file: (slices, reasons), by a source and up to grey squares."""
    slices, reasons, display = 0, [], Display()
    source = Folder(path.parent, modality="CT")
    try:
        for volume in source.volumes("all"):
            for item in source.slices("all", volume):
                if isinstance(item, Refusal):
                    reasons.append((item.reason, item.remedy))
                elif not isinstance(item, Doubt):
                    assert display.square(item[0], 64).shape == (64, 64)
                    assert item[1].patient and item[1].spacing_mm[0] > 0
                    slices += 1
    except ValueError as error:  # the contract of a source; whatever else is raised is a fault
        reasons.append((str(error), "in the message"))
    return slices, reasons


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_what_fuzzing_starts_from_is_whole(tmp_path, seed):
    path = tmp_path / f"file{seed.suffix}"
    path.write_bytes(seed.data)
    slices, reasons = read(path, seed)
    assert (slices == 0) == (seed.name in USELESS), reasons
    assert bool(reasons) == (seed.name in USELESS)
    if seed.plain:
        path.write_bytes(seed.pack(seed.plain))
        assert read(path, seed) == (slices, reasons)


def test_there_are_seeds_of_every_kind():
    assert len(SEEDS) >= 12
    names = " ".join(seed.name for seed in SEEDS)
    assert all(
        kind in names for kind in ("rle", "deflated", "jpeg 2000", "jpeg-ls", "enhanced ct", "enhanced mr", "nifti")
    )


def test_every_file_ends_as_slices_or_with_a_reason(tmp_path):
    drive(read, SEEDS, tmp_path, count(2000))
