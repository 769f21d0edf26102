"""Bounded numbers and texts that values of a file share; a field's annotation."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, MinLen

Text = Annotated[str, MinLen(1)]
"""A text that is not empty."""
Count = Annotated[int, Ge(1), Le(100_000)]
Size = Annotated[int, Ge(1)]
"""Of a network: channels, widths, layers."""
Index = Annotated[int, Ge(0), Le(2**31)]
Seed = Annotated[int, Ge(0), Lt(2**63)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Part = Annotated[float, Gt(0), Lt(1)]
"""A fraction that is neither nothing nor all."""
Share = Annotated[float, Ge(0), Le(1)]
"""A fraction that may be nothing or all."""
Below1 = Annotated[float, Ge(0), Lt(1)]
"""A fraction that may be nothing and is not all."""
Degrees = Annotated[float, Ge(0), Le(180)]
