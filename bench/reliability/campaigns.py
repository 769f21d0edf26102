"""Every campaign by its name, in the order of the table."""

from collections.abc import Mapping

from .campaign import Campaign
from .writing import writing

CAMPAIGNS: Mapping[str, Campaign] = {"writing": writing}
