import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.metrics.power_law import PowerLaw

SIZES = np.array([9, 18, 27, 36])


@given(a=st.floats(0, 0.3), b=st.floats(0, 1), c=st.sampled_from([0.3, 0.5, 1.0, 1.5]))
def test_a_power_law_is_found_again(a, b, c):
    errors = a + b * SIZES**-c
    fitted = PowerLaw.fit(SIZES, errors[None])
    assert fitted.at(72)[0] == pytest.approx(a + b * 72.0**-c, abs=1e-4)


def test_errors_that_do_not_fall_stay_where_they_are():
    fitted = PowerLaw.fit(SIZES, np.array([[0.1, 0.2, 0.2, 0.3], [0.2, 0.2, 0.2, 0.2]]))
    np.testing.assert_allclose(fitted.at(72), [0.2, 0.2])
    np.testing.assert_array_equal(fitted.b[0], 0)


def test_a_fall_to_nothing_does_not_go_below_zero():
    fitted = PowerLaw.fit(SIZES, np.array([[0.3, 0.1, 0.0, 0.0]]))
    assert fitted.a[0] >= 0 and 0 <= fitted.at(1000)[0] < 0.01


def test_a_series_with_a_gap_is_not_fitted_and_the_others_are():
    fitted = PowerLaw.fit(SIZES, np.array([[0.3, np.nan, 0.2, 0.1], [0.4, 0.3, 0.25, 0.22]]))
    assert np.isnan(fitted.at(72)[0]) and 0 < fitted.at(72)[1] < 0.22
