"""Every campaign by its name, in the order of the table."""

from collections.abc import Mapping

from . import mutations, pickles
from .campaign import Campaign

CAMPAIGNS: Mapping[str, Campaign] = {
    "mutations": mutations.campaign,
    "pickles": pickles.campaign,
}
