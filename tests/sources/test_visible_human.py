"""Slices written in the true on-disk format: Genesis header, big-endian pixels, packed as Unix compress packs."""

import struct

import numpy as np
import pytest

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.sources.scans import genesis
from anatomy_clip.sources.scans.genesis import LENGTH, read_slice
from anatomy_clip.sources.scans.visible_human import VisibleHuman, donors

MALE = "Male-Images/radiological/normalCT"
MAX_BITS = 16


def packed(data):
    """Pack bytes as `compress` does: LZW, 9 to 16 bits, codes in groups of eight."""
    out, group = bytearray(b"\x1f\x9d" + bytes([0x80 | MAX_BITS])), []
    table, bits, free = {bytes([n]): n for n in range(256)}, 9, 257

    def flush(last=False):
        stream = sum(code << (bits * n) for n, code in enumerate(group))
        out.extend(stream.to_bytes(-(-bits * len(group) // 8) if last else bits, "little"))
        group.clear()

    word = b""
    for value in data:
        longer = word + bytes([value])
        if longer in table:
            word = longer
            continue
        group.append(table[word])
        if len(group) == 8:
            flush()
        if free > (1 << bits) - 1 and bits < MAX_BITS:
            if group:
                flush()
            bits += 1
        if free < 1 << MAX_BITS:
            table[longer], free = free, free + 1
        word = bytes([value])
    group.append(table[word])
    flush(last=True)
    return bytes(out)


def genesis_file(hu=None, *, magic=b"IMGF", pixel=(0.9375, 0.9375), thickness=1.0, corners=None):
    """One unpacked file; corners: top left, top right, bottom right as (R, A, S), mm."""
    if hu is None:
        hu = np.full((512, 512), -1000)
        hu[100:400, 60:450] = 40
        hu[:8, :8] = 1000  # marks the first row and column
    header = bytearray(genesis.HEADER)
    header[:4] = magic
    struct.pack_into(">f", header, 2420, thickness)
    struct.pack_into(">2f", header, 2444, *pixel)
    corners = corners or [(240, 240, 0), (-240, 240, 0), (-240, -240, 0)]
    for offset, corner in zip((2548, 2560, 2572), corners, strict=True):
        struct.pack_into(">3f", header, offset, *corner)
    return bytes(header) + (np.asarray(hu) + 1024).astype(">i2").tobytes()


@pytest.fixture(scope="module")
def good():
    return packed(genesis_file())


def write(root, level, data, folder=MALE, prefix="c_vm"):
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / f"{prefix}{level}.fre.Z").write_bytes(data)


def test_noise_survives_all_code_widths(tmp_path):
    hu = np.random.default_rng(0).integers(-1024, 1500, (512, 512))
    write(tmp_path, 1100, packed(genesis_file(hu)))
    image = read_slice(tmp_path / MALE / "c_vm1100.fre.Z")
    np.testing.assert_array_equal(image.pixels, hu)


def test_pixels_are_hu_and_the_header_gives_the_size(tmp_path):
    write(tmp_path, 1100, packed(genesis_file(pixel=(0.5, 0.625), thickness=3.0)))
    image = read_slice(tmp_path / MALE / "c_vm1100.fre.Z")
    assert image.pixels.shape == (512, 512)
    assert image.pixels.dtype == np.float32
    assert (image.pixels[200, 200], image.pixels[500, 500], image.pixels[0, 0]) == (40, -1000, 1000)
    assert image.spacing_mm == (0.625, 0.5)  # rows, columns
    assert image.thickness_mm == 3
    assert (image.modality, image.protocol, image.orientation) == (Modality.CT, Protocol.NONE, Orientation.AXIAL)


@pytest.mark.parametrize(
    ("corners", "marked"),
    [
        ([(240, 240, 0), (-240, 240, 0), (-240, -240, 0)], (0, 0)),  # as it is shown
        ([(-240, 240, 0), (240, 240, 0), (240, -240, 0)], (0, -1)),  # seen from the head
        ([(240, -240, 0), (-240, -240, 0), (-240, 240, 0)], (-1, 0)),  # prone
        ([(0, 0, 0)] * 3, (0, 0)),  # corners weren't recorded
    ],
)
def test_the_patients_right_is_on_the_images_left(tmp_path, corners, marked):
    write(tmp_path, 1100, packed(genesis_file(corners=corners)))
    assert read_slice(tmp_path / MALE / "c_vm1100.fre.Z").pixels[marked] == 1000


def test_records_state_what_the_level_shows(tmp_path, good):
    for level in (1020, 1040, 1041, 1060, 2263, 2300, 2687, 2688, 2800):
        write(tmp_path, level, good)
    source = VisibleHuman(tmp_path, step_mm=4, subjects=["male"])
    assert source.splits() == ["all"]
    # 1020 and the gap have no label, 1041 is too near.
    keys = [f"male/{level}" for level in (1040, 1060, 2263, 2688, 2800)]
    assert source.volumes("all") == keys
    records = [record for key in keys for _, record in source.slices("all", key)]
    assert [r.index for r in records] == [1040, 1060, 2263, 2688, 2800]
    assert [r.organs for r in records] == [("brain",), ("brain",), (), (), ("foot",)]
    assert [r.stations for r in records] == [("head",)] * 2 + [("lower body",)] * 3
    assert {r.patient for r in records} == {"VHP-M"}
    assert records[0].spacing_mm == (0.9375, 0.9375)


def test_nothing_is_stated_over_the_gap_whatever_the_table_says():
    male = donors()["male"]
    assert all(male.at(level) is None for level in range(2264, 2688))
    assert not [r for r in male.ranges if any(r.first <= b and a <= r.last for a, b in male.gaps)]


def test_the_table_is_in_order_and_speaks_the_taxonomys_words():
    taxonomy = Taxonomy.load("whole_body")
    for donor in donors().values():
        levels = [level for r in donor.ranges for level in (r.first, r.last)]
        assert levels == sorted(levels)
        assert levels[0] >= 1001
        for r in donor.ranges:
            taxonomy.organ_vector(r.organs)
            assert taxonomy.station_vector(r.stations).sum() == 1
            # Arms and hands lie where the patient puts them; the others belong where they are stated.
            assert all({*r.stations} & {*taxonomy.organ_stations[organ]} for organ in r.organs)


def test_a_missing_donor_is_told(tmp_path, good):
    write(tmp_path, 1040, good)
    with pytest.raises(ValueError, match=r"Female-Images.*contains no c_vf####\.fre\.Z; download"):
        VisibleHuman(tmp_path, 4).volumes("all")
    with pytest.raises(ValueError, match="give some of male, female"):
        VisibleHuman(tmp_path, 4, ["child"])
    with pytest.raises(ValueError, match="step_mm"):
        VisibleHuman(tmp_path, 0)
    with pytest.raises(ValueError, match=r"c_vm1044\.fre\.Z: the file is missing"):
        next(VisibleHuman(tmp_path, 4, ["male"]).slices("all", "male/1044"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "unpacks to only .* damaged"),
        (lambda data: data[:2], "unpacks to only 0 bytes"),
        (lambda data: b"", "not packed by Unix compress"),
        (lambda data: b"\x1f\x8b" + data[2:], "not packed by Unix compress"),
        (lambda data: packed(b"\0" * 1_500_000), f"unpacks to more than {LENGTH} bytes"),
        (lambda data: packed(b"\0" * LENGTH), "not IMGF"),
        (lambda data: packed(genesis_file(magic=b"DICM")), "not IMGF"),
        (lambda data: packed(genesis_file()[:-2]), f"unpacks to only {LENGTH - 2} bytes"),
        (lambda data: packed(genesis_file(pixel=(0.9, float("nan")))), "pixel size at byte 2444"),
        (lambda data: packed(genesis_file(thickness=0)), "slice thickness at byte 2420"),
    ],
    ids="half magic empty gzip bomb zeros dicom short nan thickness".split(),
)
def test_a_damaged_file_is_one_clear_message(tmp_path, good, damage, message, monkeypatch):
    write(tmp_path, 1100, damage(good))
    with pytest.raises(ValueError, match=message) as caught:
        read_slice(tmp_path / MALE / "c_vm1100.fre.Z")
    assert "c_vm1100.fre.Z" in str(caught.value)
    assert "download it again" in str(caught.value)


def test_without_gzip_the_message_names_it(tmp_path, good, monkeypatch):
    write(tmp_path, 1100, good)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="gzip is not installed"):
        read_slice(tmp_path / MALE / "c_vm1100.fre.Z")
