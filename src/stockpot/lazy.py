"""Names of a package that are imported when they are first asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package that hands on names of its modules.

    Args:
        package: its `__name__`.
        modules: for each module, relative to the package, the names that it has, between spaces.

    Example:
        >>> of_package, listed = lazy_names("stockpot.values", {"bounds": "bounded", "fields": ""})
        >>> listed()
        ['bounded']
    """
    where = {name: module for module, names in modules.items() for name in names.split()}

    def ask(name: str) -> object:
        if name not in where:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(f".{where[name]}", package), name)

    return ask, lambda: sorted(where)
