"""The tissue table: complete, plausible, and clear about faults."""

import pytest

from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.tissues import label_tissues, load_tissues, parse_tissues

TABLE = load_tissues()


def value(name, field):
    return float(getattr(TABLE, field)[TABLE.index(name)])


def test_every_structure_has_a_tissue():
    assert len(label_tissues().hu) == len(STRUCTURES)
    assert {s.tissue for s in STRUCTURES} <= set(TABLE.names)


def test_hounsfield_units_are_in_the_order_of_density():
    order = [
        "air",
        "lung",
        "fat",
        "csf",
        "brain_white",
        "brain_grey",
        "muscle",
        "trabecular_bone",
        "cortical_bone",
    ]
    hu = [value(name, "hu") for name in order]
    assert hu == sorted(hu)
    assert value("air", "hu") == -1000


def test_contrast_agent_brightens_what_blood_reaches():
    for name in ("blood", "liver", "spleen", "kidney_cortex"):
        assert value(name, "hu_contrast") > value(name, "hu") + 30
    assert value("cortical_bone", "hu_contrast") == value("cortical_bone", "hu")


def test_relaxation_times_are_physical():
    assert (TABLE.t2 <= TABLE.t1_low).all()  # T2 never exceeds T1
    assert (TABLE.t1_low <= TABLE.t1_high).all()  # T1 grows with the field
    assert ((TABLE.pd >= 0) & (TABLE.pd <= 1)).all()
    assert TABLE.adc.max() == pytest.approx(3.0)  # free water at body temperature


def test_faults_are_named():
    with pytest.raises(ValueError, match=r"no tissue 'bone'.*cortical_bone"):
        TABLE.index("bone")
    with pytest.raises(ValueError, match=r"tissue 'x' lacks t1, pd"):
        parse_tissues({"x": {"hu": [0, 0, 0, 0], "t2": 1, "adc": 1}})
