"""Protocols: the box lies where the protocol says, and planes keep the display convention."""

import numpy as np
import pytest

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.sources.phantom.body import make_body
from anatomy_clip.sources.phantom.planes import make_plane, rotation
from anatomy_clip.sources.phantom.protocols import (
    load_protocols,
    parse_protocols,
    plan_series,
    scout,
    sequence,
)
from anatomy_clip.sources.phantom.structures import STRUCTURES

PROTOCOLS = load_protocols()
ROW = {"modality": "CT", "weight": 1, "planes": {"axial": 1}, "x": [100, 100], "y": [100, 100], "z": [80, 80],
       "centre": ["liver"], "thickness": [2, 2]}  # fmt: skip


@pytest.fixture(scope="module")
def body():
    return make_body(np.random.default_rng(11), arms="down")


def names(labels):
    return {STRUCTURES[n].name for n in np.unique(labels)}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_every_protocol_plans_a_slice_that_shows_body(protocol, body):
    for seed in range(2):
        series = plan_series(body, [protocol], np.random.default_rng(seed))
        plane = series.plane(0.5, 48)
        assert max(plane.shape) == 48
        assert (plane.cut(body) > 0).mean() > 0.02
        low, high = protocol.thickness
        assert low <= plane.thickness_mm <= high
        if protocol.modality is Modality.CT:
            assert series.weighting is Protocol.NONE
        else:
            assert sequence(series.weighting)["tr"]


@pytest.mark.parametrize("orientation", Orientation)
def test_the_field_of_view_is_what_was_asked_for(orientation):
    plane = make_plane((5, 6, 7), rotation((10, 20, 30)), orientation, (300, 150), 100, 2.0)
    assert plane.shape == (100, 50)
    assert plane.spacing_mm == pytest.approx((3, 3))
    middle = plane.origin + plane.row_axis * 49.5 + plane.col_axis * 24.5
    assert middle == pytest.approx((5, 6, 7))
    assert plane.row_axis @ plane.col_axis == pytest.approx(0, abs=1e-9)


def test_a_finer_plane_has_the_same_corners():
    plane = make_plane((0, 0, 0), np.eye(3), Orientation.CORONAL, (200, 100), 64, 2.0)
    fine = plane.finer(1.5)
    assert fine.shape == (96, 48)

    def corner(p, sign):
        half = (np.array(p.shape) - 1) / 2 + sign * np.array(p.shape) / 2
        return p.origin + half[0] * p.row_axis + half[1] * p.col_axis

    for sign in (-1, 1):
        assert corner(plane, sign) == pytest.approx(corner(fine, sign))


def test_display_convention(body):
    liver, heart = body.landmarks["liver"], body.landmarks["heart"]
    axial = make_plane((0, 0, liver[2]), np.eye(3), Orientation.AXIAL, (400, 500), 100, 3.0)
    shown = axial.cut(body)
    is_liver = np.isin(shown, [n for n, s in enumerate(STRUCTURES) if s.name == "liver"])
    spine = np.isin(shown, [n for n, s in enumerate(STRUCTURES) if s.name.startswith("vertebrae")])
    assert np.nonzero(is_liver)[1].mean() < 50  # the patient's right is on the image's left
    assert np.nonzero(spine)[0].mean() > np.nonzero(is_liver)[0].mean()  # anterior is up
    coronal = make_plane((0, heart[1], heart[2]), np.eye(3), Orientation.CORONAL, (600, 400), 100, 3.0)
    assert coronal.coordinate(2)[0, 0] > coronal.coordinate(2)[-1, 0]  # the head is up
    sagittal = make_plane((0, 0, heart[2]), np.eye(3), Orientation.SAGITTAL, (400, 400), 100, 3.0)
    assert sagittal.coordinate(1)[0, 0] > sagittal.coordinate(1)[0, -1]  # anterior is on the left


def test_a_knee_protocol_shows_a_knee_and_not_a_body(body):
    knee = [p for p in PROTOCOLS if p.name == "mr_knee"]
    series = plan_series(body, knee, np.random.default_rng(0))
    seen = names(series.plane(0.5, 64).cut(body))
    assert any(n.startswith("femur") or n.startswith("tibia") for n in seen)
    assert not {"liver", "hip_left", "hip_right", "brain"} & seen


def test_scout_finds_the_width_of_the_body(body):
    left, right, back, front = scout(body, body.landmarks["liver"])
    assert 250 < right - left < 620
    assert 150 < front - back < 450


def test_faults_are_named(body):
    with pytest.raises(ValueError, match=r"knee has the unknown field.*fov"):
        parse_protocols({"knee": ROW | {"fov": 3}})
    with pytest.raises(ValueError, match="knee gives no height"):
        parse_protocols({"knee": {k: v for k, v in ROW.items() if k != "z"}})
    with pytest.raises(ValueError, match="knee: 'oblique' is not a valid"):
        parse_protocols({"knee": ROW | {"planes": {"oblique": 1}}})
    (bad,) = parse_protocols({"tail": ROW | {"centre": ["tail"]}})
    with pytest.raises(ValueError, match="tail uses the landmark 'tail'"):
        plan_series(body, [bad], np.random.default_rng(0))
