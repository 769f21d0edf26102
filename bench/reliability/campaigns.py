"""Every campaign by its name, in the order of the table."""

from collections.abc import Mapping

from . import mutations, pickles
from .campaign import Campaign
from .disks import disks
from .verifying import verifying
from .writing import writing

CAMPAIGNS: Mapping[str, Campaign] = {
    "writing": writing,
    "disks": disks,
    "verifying": verifying,
    "mutations": mutations.campaign,
    "pickles": pickles.campaign,
}
