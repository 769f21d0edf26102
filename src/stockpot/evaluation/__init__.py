"""What networks get right: predictions, ensembles, intervals, and tables that can be believed."""

from .comparison import Comparison as Comparison
from .comparison import Row as Row
from .comparison import tabulate as tabulate
from .contenders import Contender as Contender
from .contenders import contender as contender
from .contenders import mean_contender as mean_contender
from .contenders import pool as pool
from .ensembles import logits_ensemble as logits_ensemble
from .intervals import Difference as Difference
from .intervals import Interval as Interval
from .intervals import accuracy_interval as accuracy_interval
from .intervals import paired_difference as paired_difference
from .metrics import accuracy as accuracy
from .predictions import Predictions as Predictions
from .predictions import predict as predict
from .search import Choice as Choice
from .search import choose as choose
