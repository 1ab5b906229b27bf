"""MR: signal equations by hand, contrasts that radiographers know, Rician noise."""

import numpy as np
import pytest
from scipy import stats

from anatomy_clip.core.terms import Orientation, Protocol
from anatomy_clip.sources.phantom.mr import (
    MrScanner,
    MrSeries,
    acquire_mr,
    coil_field,
    diffusion,
    draw_mr,
    draw_properties,
    inversion_recovery,
    null_time,
    rician,
    spin_echo,
    weighted_signal,
)
from anatomy_clip.sources.phantom.planes import make_plane
from anatomy_clip.sources.phantom.protocols import sequence
from anatomy_clip.sources.phantom.structures import STRUCTURES, label_id
from anatomy_clip.sources.phantom.tissues import label_tissues

FAT, MUSCLE = label_id("subcutaneous_fat"), label_id("skeletal_muscle")
CSF, WHITE, GREY = (label_id("brain", t) for t in ("csf", "brain_white", "brain_grey"))
BONE = label_id("sternum", "cortical_bone")
TIMING = {
    Protocol.T1: {"tr": 550, "te": 12},
    Protocol.T2: {"tr": 4500, "te": 95},
    Protocol.FLAIR: {"tr": 9000, "te": 110, "ti_factor": 1.0},
    Protocol.STIR: {"tr": 4500, "te": 40, "ti_factor": 1.0},
    Protocol.DWI: {"tr": 6000, "te": 75, "b": 1000},
    Protocol.ADC: {"tr": 6000, "te": 75},
}


def signal(protocol, suppress=False):
    table = label_tissues()
    return weighted_signal(protocol, table, table.t1_low.astype(float), TIMING[protocol], suppress)


def test_signal_equations_by_hand():
    # exp(-0.5) = 0.60653, exp(-0.1) = 0.90484
    assert spin_echo(0.8, 1000, 100, tr=500, te=10) == pytest.approx(0.8 * 0.39347 * 0.90484, rel=1e-4)
    # 1 - 2 exp(-0.2) + exp(-4) = -0.61914
    assert inversion_recovery(1, 1000, 100, tr=4000, te=10, ti=200) == pytest.approx(0.61915 * 0.90484, rel=1e-3)
    assert diffusion(2.0, b=1000, adc=1.0) == pytest.approx(2 * 0.36788, rel=1e-4)
    assert inversion_recovery(1, 300, 80, tr=4000, te=30, ti=null_time(300, 4000)) == pytest.approx(0, abs=1e-9)


def test_t1_fat_is_brighter_than_muscle_and_white_than_grey_than_csf():
    s = signal(Protocol.T1)
    assert s[FAT] > 1.5 * s[MUSCLE]
    assert s[WHITE] > s[GREY] > s[CSF]


def test_t2_csf_is_brightest_and_muscle_dark():
    s = signal(Protocol.T2)
    assert s[CSF] > s[GREY] > s[WHITE] > s[MUSCLE]


def test_flair_nulls_csf_and_stir_nulls_fat():
    flair, stir = signal(Protocol.FLAIR), signal(Protocol.STIR)
    assert flair[CSF] < 0.01 < flair[GREY]
    assert stir[FAT] < 0.01 < stir[MUSCLE]
    assert stir[CSF] > stir[MUSCLE]


def test_diffusion_darkens_water_and_the_map_is_the_coefficient():
    assert signal(Protocol.DWI)[CSF] < 0.3 * signal(Protocol.DWI)[GREY]
    adc = signal(Protocol.ADC)
    assert adc[CSF] == pytest.approx(3.0)
    assert adc[BONE] == 0


@pytest.mark.parametrize("protocol", [Protocol.T1, Protocol.T2, Protocol.STIR])
def test_air_and_cortical_bone_are_dark(protocol):
    s = signal(protocol)
    assert s[0] == 0
    assert s[BONE] < 0.1 * s.max()


def test_fat_suppression_takes_fat_away():
    assert signal(Protocol.T2, suppress=True)[FAT] < 0.2 * signal(Protocol.T2)[FAT]
    assert signal(Protocol.T2, suppress=True)[MUSCLE] == signal(Protocol.T2)[MUSCLE]


def test_a_contrast_agent_shortens_t1_where_blood_goes():
    (_, plain), (_, given) = (draw_properties(np.random.default_rng(0), False, agent) for agent in (False, True))
    kidney = label_id("kidney_left", "kidney_cortex")
    assert given[kidney] < 0.5 * plain[kidney]
    assert given[FAT] == pytest.approx(plain[FAT], rel=0.05)


@pytest.mark.parametrize("level", [0.0, 1.0, 4.0])
def test_noise_is_rician(level):
    sample = rician(np.full((150, 150), level, np.float32), 0.5, np.random.default_rng(2)).ravel()
    assert stats.kstest(sample, stats.rice(level / 0.5, scale=0.5).cdf).pvalue > 1e-3


def test_the_coil_field_is_smooth_and_positive_and_the_spine_coil_is_stronger_at_the_back():
    field = coil_field((64, 64), 0.5, "spine", np.random.default_rng(0))
    assert (field > 0).all()
    assert np.abs(np.diff(field, axis=0)).max() < 0.1
    mean = np.mean([coil_field((64, 64), 0.5, "spine", np.random.default_rng(k)) for k in range(20)], axis=0)
    assert mean[:, -8:].mean() > 1.5 * mean[:, :8].mean()
    assert (coil_field((8, 8), 0.0, "body", np.random.default_rng(0)) == 1).all()


@pytest.mark.parametrize("protocol", list(TIMING))
def test_a_series_of_every_protocol_gives_a_picture(protocol):
    rng = np.random.default_rng(4)
    series = draw_mr(rng, MrScanner(), protocol, sequence(protocol), "volume")
    plane = make_plane(np.zeros(3), np.eye(3), Orientation.AXIAL, (200, 160), 64, 4.0)
    labels = np.full((96, 76), label_id("liver"), np.uint8)
    image = acquire_mr(labels, plane, series, rng)
    assert image.shape == plane.shape == (64, 51)
    assert image.dtype == np.float32
    assert np.isfinite(image).all() and (image >= 0).all()


def test_signal_in_the_picture_is_the_drawn_one():
    values = np.zeros(len(STRUCTURES), np.float32)
    values[FAT] = 1
    plane = make_plane(np.zeros(3), np.eye(3), Orientation.AXIAL, (200, 200), 32, 4.0)
    series = MrSeries(values, noise=0.0, bias=0.0, coil="body", blur_px=0.0, gain=100.0, texture=0.0)
    image = acquire_mr(np.full((32, 32), FAT, np.uint8), plane, series, np.random.default_rng(0))
    assert image == pytest.approx(100.0)
