"""Networks from any source, split into features and a head; their weights, statistics and cost."""

from .builtin.config import NetworkConfig as NetworkConfig
from .builtin.family import FAMILY as FAMILY
from .builtin.family import NETWORKS as NETWORKS
from .builtin.family import build as build
from .cost import NetworkCost as NetworkCost
from .cost import cost_of as cost_of
from .multitask import MultiTask as MultiTask
from .multitask import load_others as load_others
from .multitask import load_shared as load_shared
from .multitask import load_task as load_task
from .multitask import private_names as private_names
from .network import Network as Network
from .sources.opening import NetworkSpec as NetworkSpec
from .sources.opening import open_network as open_network
from .split import Headed as Headed
from .split import headed as headed
from .statistics import has_batch_norm as has_batch_norm
from .statistics import reestimate_batch_norm as reestimate_batch_norm
from .statistics import statistics_layers as statistics_layers
from .weights import file_prefix as file_prefix
from .weights import load_body as load_body
from .weights import load_over as load_over
from .weights import load_weights as load_weights
from .weights import put_weights as put_weights
from .weights import save_state as save_state
from .weights import save_weights as save_weights
