"""What torch's reader of pickles (weights_only=True) may be asked to do, and with what.

Torch's own list admits names that take any memory (`bytearray(n)`, `torch.Tensor(n)`), any time
(codecs) or that read memory nobody wrote; a call is admitted here as torch.save writes it.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch

from .budget import Budget, PickleError
from .dialect import Dialect, Rule
from .rules import (
    complex_number,
    counter,
    distinct,
    encode,
    mutable_bytes,
    no_function,
    numbers,
    ordered,
    record,
    small,
)
from .shapes import Shape, numbers_of

OPERATIONS = frozenset(b"aeK\x4aMGhjqrXUQb}]\x8f)(c\x8a\x89\x81\x88N\x80Rsu.t\x85\x86\x87")
"""Opcodes that torch knows."""

ITEMSIZES: Mapping[str, int] = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1,
    "Byte": 1, "Bool": 1, "ComplexDouble": 16, "ComplexFloat": 8, "QInt8": 1, "QUInt8": 1,
    "QInt32": 4, "QUInt4x2": 1, "QUInt2x4": 1, "Untyped": 1,
}  # fmt: skip
"""Bytes of one element of a storage, by the first part of its class's name."""

LENGTH = 8
"""Bytes before each storage of a legacy file, which say how long it is."""

TENSOR = 800
"""Bytes that a tensor takes before its elements, about."""

CLASSES = ("torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse")
"""Where the old classes of tensors and storages are."""


class TorchNames:
    """The rules for one file.

    Args:
        in_memory: whether its storages are held in memory, as those of a legacy file are; then a
            tensor must lie within its storage, which torch would grow to fit it.
    """

    def __init__(self, *, in_memory: bool) -> None:
        self.in_memory = in_memory
        self._sizes: dict[object, int] = {}
        allowed = cast(list[Any], cast(Any, torch.serialization).get_safe_globals())
        self._trusted = {_full_name(one) for one in allowed}
        self._rules: dict[str, Rule] = {
            "collections.OrderedDict": ordered,
            "collections.Counter": counter,
            "builtins.set": distinct,
            "builtins.bytearray": mutable_bytes,
            "_codecs.encode": encode,
            "builtins.complex": complex_number,
            "torch.Size": numbers,
            "torch.device": small,
            "torch.serialization._get_layout": small,
            "torch.nn.parameter.Parameter": _parameter,
            "torch._utils._rebuild_parameter": _parameter,
            "torch._utils._rebuild_parameter_with_state": _parameter,
            "torch._utils._rebuild_tensor": self._view,
            "torch._utils._rebuild_tensor_v2": self._view,
            "torch._utils._rebuild_tensor_v3": self._view,
            "torch._utils._rebuild_qtensor": self._quantised,
            "torch._utils._rebuild_sparse_tensor": _sparse,
            "torch._utils._rebuild_meta_tensor_no_storage": _meta,
            "torch._utils._rebuild_device_tensor_from_cpu_tensor": self._moved,
            "torch._tensor._rebuild_from_type_v2": self._typed,
        }

    @property
    def claimed(self) -> int:
        """Bytes that a legacy file needs for the storages that were referred to."""
        return sum(LENGTH + size for size in self._sizes.values())

    def dialect(self) -> Dialect:
        """What a scan asks."""
        return Dialect(self.rule, OPERATIONS, self._storage, self._built)

    def rule(self, name: str) -> Rule | None:
        """What a call of a name gives; None where it is not admitted."""
        if name in self._rules:
            return self._rules[name]
        if name in self._trusted:
            return record
        module, _, last = name.rpartition(".")
        if module in CLASSES:
            if last.endswith("Tensor"):
                return _no_elements
            if last.removesuffix("Storage") in ITEMSIZES:
                return no_function
        if module == "torch" and isinstance(vars(torch).get(last), torch.dtype | torch.qscheme):
            return no_function
        return no_function if name == "torch.storage.UntypedStorage" else None

    @property
    def keys(self) -> frozenset[object]:
        """By what its storages are referred to."""
        return frozenset(self._sizes)

    def _storage(self, key: object, budget: Budget) -> Shape:
        """("storage", its class, its key, its device, elements[, a view of it])."""
        match key:
            case Shape(kind="unknown"):
                return key
            case Shape(
                kind="tuple",
                inside=[
                    "storage",
                    Shape(kind="name", name=kind),
                    str() | int() as root,
                    str(),
                    int(count),
                    *view,
                ],
            ):
                pass
            case _:
                raise PickleError("refers to something that is no storage")
        itemsize = _itemsize(kind)
        if itemsize is None or count < 0:
            raise PickleError(f"has a storage of {count:,} elements of {kind[:80]}")
        nbytes = self._sizes.setdefault(root, count * itemsize)
        match view:
            case [] | [None]:
                pass
            case [Shape(kind="tuple", inside=[str() | int(), int(begin), int(size)])]:
                if not 0 <= begin <= begin + size <= nbytes // itemsize:
                    raise PickleError("has a view beyond its storage")
                nbytes = size * itemsize
            case _:
                raise PickleError("refers to something that is no storage")
        return Shape("storage", kind, nbytes=nbytes)

    def _view(self, arguments: list[object], budget: Budget) -> Shape:
        """A tensor: storage, offset, sizes, strides, and what does not matter here."""
        budget.hold(TENSOR)
        match arguments:
            case [Shape(kind="storage") as storage, int(offset), size, stride, *_]:
                sizes = numbers_of(size, "the shape of a tensor", budget)
                strides = numbers_of(stride, "the strides of a tensor", budget)
            case _:
                raise PickleError("has a tensor of no storage")
        if self.in_memory:
            self._check_within(storage, offset, sizes, strides, arguments[6:7])
        return Shape("tensor")

    def _check_within(
        self,
        storage: Shape,
        offset: int,
        sizes: list[int],
        strides: list[int],
        dtype: list[object],
    ) -> None:
        itemsize = _itemsize(storage.name) or 1
        match dtype:
            case [Shape(kind="name", name=name)]:
                found = vars(torch).get(name.removeprefix("torch."))
                itemsize = found.itemsize if isinstance(found, torch.dtype) else itemsize
            case _:
                pass
        if len(sizes) != len(strides) or min([offset, *sizes, *strides]) < 0:
            raise PickleError("has a tensor of an impossible shape")
        end = offset + 1 + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
        if all(sizes) and end * itemsize > storage.nbytes:
            raise PickleError(
                f"has a tensor that ends at byte {end * itemsize:,} of a storage of "
                f"{storage.nbytes:,}"
            )

    def _quantised(self, arguments: list[object], budget: Budget) -> Shape:
        if len(arguments) > 4 and isinstance(arguments[4], Shape):
            for value in arguments[4].inside:
                if isinstance(value, Shape) and value.kind == "list":
                    budget.step(len(value.inside))
                    if any(isinstance(number, Shape) for number in value.inside):
                        raise PickleError("has scales that are no numbers")
        return self._view(arguments, budget)

    def _typed(self, arguments: list[object], budget: Budget) -> object:
        """(function, type, its arguments, state): a tensor with attributes."""
        match arguments:
            case [
                Shape(kind="name", name=name),
                Shape(kind="name"),
                Shape(kind="tuple", inside=inner),
                _,
            ]:
                budget.step(len(inner))
                rule = self.rule(name)
                made = None if rule is None else rule(inner, budget)
            case _:
                made = None
        if not isinstance(made, Shape) or made.kind not in ("tensor", "object"):
            raise PickleError("has a tensor that is made of none")
        return made

    def _moved(self, arguments: list[object], budget: Budget) -> object:
        if self.in_memory:
            raise PickleError("has a tensor of another device")
        return _parameter(arguments, budget)

    def _built(self, target: Shape, state: object, budget: Budget) -> None:
        """The state of a tensor is where it lies; that of a dict, its attributes."""
        if not isinstance(state, Shape):
            raise PickleError("sets a state that is none")
        if target.kind == "tensor" and state.kind == "tuple":
            if len(state.inside) == 4:
                self._view(state.inside, budget)
        elif target.kind == "dict" and state.kind == "dict":
            names = [one for one in state.inside if isinstance(one, str)]
            if len(names) < len(state.inside) or any(hasattr(dict, one) for one in names):
                raise PickleError("sets the methods of a dict")
        elif target.kind != "object":
            raise PickleError("sets the state of what has none")


def _full_name(allowed: Any) -> str:
    """As torch names what a user has allowed: an object, or a pair with its name."""
    if isinstance(allowed, tuple):
        return str(cast(tuple[object, object], allowed)[1])
    return f"{allowed.__module__}.{allowed.__qualname__}"


def _itemsize(storage_class: str) -> int | None:
    return ITEMSIZES.get(storage_class.rpartition(".")[2].removesuffix("Storage"))


def _parameter(arguments: list[object], budget: Budget) -> object:
    budget.hold(TENSOR)
    match arguments:
        case [Shape(kind="tensor" | "object"), *_]:
            return Shape("tensor")
        case _:
            raise PickleError("makes a parameter of no tensor")


def _no_elements(arguments: list[object], budget: Budget) -> object:
    if arguments:
        raise PickleError("makes a tensor of no storage")
    budget.hold(TENSOR)
    return Shape("tensor")


def _sparse(arguments: list[object], budget: Budget) -> object:
    match arguments:
        case [_, Shape(kind="tuple", inside=parts)] if len(parts) <= 4:
            for part in parts:
                if isinstance(part, Shape) and part.kind != "tensor":
                    numbers_of(part, "the shape of a sparse tensor", budget)
        case _:
            raise PickleError("makes a sparse tensor of no tensors")
    budget.hold(TENSOR)
    return Shape("tensor")


def _meta(arguments: list[object], budget: Budget) -> object:
    match arguments:
        case [_, size, stride, *_]:
            for part in (size, stride):
                numbers_of(part, "the shape of a tensor", budget)
        case _:
            raise PickleError("has a tensor of no shape")
    budget.hold(TENSOR)
    return Shape("tensor")
