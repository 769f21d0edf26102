"""Data sets, their three-way splits, and the transforms that derive specialised tasks from them."""

from .bundled import digits as digits
from .dataset import Dataset as Dataset
from .split import Splits as Splits
from .split import three_way as three_way
from .transforms import Invert as Invert
from .transforms import Rotate as Rotate
from .transforms import Shift as Shift
from .transforms import Skew as Skew
from .transforms import Transform as Transform
from .views import Mixture as Mixture
from .views import mixture as mixture
