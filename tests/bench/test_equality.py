import numpy as np
from bench.equality import excuses, kth_largest


def test_kth_largest_counts_as_mergekit_does():
    values_N = np.array([5, -4, 3, 2, 1, 0], dtype=np.float32)
    assert kth_largest(values_N, 0.5) == 3
    assert kth_largest(values_N, 0.49) == 4
    assert kth_largest(values_N, 0.01) == 5


def test_only_the_threshold_and_cancelled_votes_are_excused():
    base_N = np.zeros(6, dtype=np.float32)
    a_N = np.array([4, 2, 2, 9, 0, 0], dtype=np.float32)
    b_N = np.array([-4, 0, 0, 7, 3, 0], dtype=np.float32)
    on_threshold_N, sign_tie_N = excuses(base_N, [a_N, b_N], density=0.5)
    assert on_threshold_N.tolist() == [False, True, True, False, True, False]
    assert sign_tie_N.tolist() == [True, False, False, False, False, False]
