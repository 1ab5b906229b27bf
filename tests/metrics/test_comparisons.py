"""Holm's correction against R's p.adjust and against its own definition."""

import numpy as np
import pytest

from anatomy_clip.metrics.comparisons import holm


def test_values_of_r():
    # R 4: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, 0.01, 0.9]) == pytest.approx([0.08, 0.03, 0.9])


def test_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.beta(0.4, 3, size=8)
        rejected = set()
        for k, n in enumerate(np.argsort(p)):
            if p[n] > 0.05 / (len(p) - k):
                break
            rejected.add(int(n))
        assert set(np.flatnonzero(holm(p) <= 0.05)) == rejected


def test_what_could_not_be_compared_does_not_count():
    np.testing.assert_allclose(holm([0.02, np.nan, 0.01]), [0.02, np.nan, 0.02])
    assert holm([]).shape == (0,) and np.isnan(holm([np.nan])).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.5])
