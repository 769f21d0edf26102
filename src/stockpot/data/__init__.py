"""Data sets, their three-way splits, and the views that derive other tasks from them."""

from .bundled import digits as digits
from .collection import Collection as Collection
from .corruptions import CORRUPTIONS as CORRUPTIONS
from .corruptions import Blur as Blur
from .corruptions import Contrast as Contrast
from .corruptions import Corruption as Corruption
from .corruptions import Noise as Noise
from .corruptions import Translate as Translate
from .corruptions import corruption as corruption
from .dataset import Dataset as Dataset
from .load import READERS as READERS
from .load import Spec as Spec
from .load import load as load
from .split import Splits as Splits
from .split import split as split
from .split import three_way as three_way
from .subsets import OnlyClasses as OnlyClasses
from .subsets import OnlyDomain as OnlyDomain
from .subsets import Skew as Skew
from .transforms import Invert as Invert
from .transforms import Rotate as Rotate
from .transforms import Shift as Shift
from .transforms import Transform as Transform
from .views import Mixture as Mixture
from .views import mixture as mixture
