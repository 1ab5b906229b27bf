import numpy as np
import pytest

from anatomy_clip.core.terms import Orientation
from anatomy_clip.imaging.orientation import nearest_plane, tilt_degrees


@pytest.mark.parametrize(
    ("row", "column", "plane"),
    [
        ((1, 0, 0), (0, 1, 0), Orientation.AXIAL),
        ((-1, 0, 0), (0, -2, 0), Orientation.AXIAL),
        ((1, 0, 0), (0, 0, -1), Orientation.CORONAL),
        ((0, 1, 0), (0, 0, -1), Orientation.SAGITTAL),
    ],
)
def test_exact_planes(row, column, plane):
    assert nearest_plane(row, column) == (plane, pytest.approx(0.0, abs=1e-6))


@pytest.mark.parametrize("angle", [5.0, 20.0, 44.0])
def test_a_tilt_is_measured(angle):
    a = np.deg2rad(angle)
    plane, off = nearest_plane((1, 0, 0), (0, np.cos(a), np.sin(a)))
    assert plane is Orientation.AXIAL
    assert off == pytest.approx(angle)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) * [0.7, 0.7, 3]
    assert tilt_degrees(affine) == pytest.approx(angle)


def test_the_worst_tilt_is_the_diagonal():
    row, column = np.array([1, -1, 0]), np.array([1, 1, -2])
    assert nearest_plane(row, column)[1] == pytest.approx(np.rad2deg(np.arccos(1 / np.sqrt(3))))


@pytest.mark.parametrize("column", [(2, 0, 0), (0, 0, 0), (np.nan, 1, 0)])
def test_no_plane_is_an_error(column):
    with pytest.raises(ValueError, match="do not span a plane"):
        nearest_plane((1, 0, 0), column)
