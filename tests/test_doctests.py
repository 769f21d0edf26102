"""Every example in a public docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

import stockpot

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(stockpot.__path__, "stockpot.")
    # Flower's apps and strategies are made when they are imported, in its own environment
    if not module.name.endswith(("__main__", "federated.flower.apps", "federated.flower.strategy"))
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_methods_have_examples() -> None:
    finder = doctest.DocTestFinder()
    for cls in stockpot.methods.METHODS:
        assert any(test.examples for test in finder.find(cls, cls.__name__)), cls.__name__
