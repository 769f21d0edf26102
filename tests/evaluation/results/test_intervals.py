import math

import pytest

from stockpot.evaluation import Difference, Interval


@pytest.mark.parametrize(
    ("interval", "phrase"),
    [
        (Interval(0.05, 0.03, 0.07), "5.0 points [3.0, 7.0] above b"),
        (Interval(-0.05, -0.07, -0.03), "5.0 points [3.0, 7.0] below b"),
        (Interval(0.01, -0.01, 0.03), "not to be told from b (+1.0 points [-1.0, 3.0])"),
        (Interval(0.01, 0.0, 0.03), "not to be told from b (+1.0 points [0.0, 3.0])"),
        (Interval(0.01, math.nan, math.nan), "not to be told from b (+1.0 points [no interval])"),
    ],
)
def test_a_difference_says_only_what_its_interval_carries(interval, phrase):
    assert Difference("a", "b", interval).phrase() == phrase


def test_a_corrected_p_has_the_last_word():
    wide = Difference("a", "b", Interval(0.05, 0.01, 0.09), p=0.2)
    assert not wide.decided()
    assert wide.phrase().startswith("not to be told from b")
    assert Difference("a", "b", Interval(0.05, 0.01, 0.09), p=0.04).decided()
