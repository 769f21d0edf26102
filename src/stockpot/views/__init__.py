"""A checkpoint made of others: computed when it is read, never written.

from stockpot.views import Cast, Renamed, Viewed
merge_to("out/", ["a/", Viewed("b/", (Renamed({"net.*": "*"}),))], Average())
"""

from ..values.family import Family
from .kinds.adapted import Adapted as Adapted
from .kinds.cast import Cast as Cast
from .kinds.gathered import Gathered as Gathered
from .kinds.permuted import Permuted as Permuted
from .kinds.renamed import Renamed as Renamed
from .kinds.resized import Cropped as Cropped
from .kinds.resized import Padded as Padded
from .kinds.sliced import Sliced as Sliced
from .models import Viewed as Viewed
from .models import open_model as open_model
from .view import View as View

VIEWS: tuple[type[View], ...] = (
    Adapted,
    Cast,
    Cropped,
    Gathered,
    Padded,
    Permuted,
    Renamed,
    Sliced,
)

FAMILY = Family("view", VIEWS, of=View)
"""Views by name, as recipes write them."""
