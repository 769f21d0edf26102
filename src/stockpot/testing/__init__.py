"""The laws of merge methods, for tests of your own: `check_method(Mine())` in any test.

    from stockpot.testing import check_method

    def test_mine():
        check_method(Mine())

Stockpot's own methods are tried under the same laws, on many more cases.
"""

from .check import LAWS as LAWS
from .check import LawsBroken as LawsBroken
from .check import broken_laws as broken_laws
from .check import check_method as check_method
