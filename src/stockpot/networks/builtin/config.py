"""What a built-in network is made to: its sizes, and what a user chooses of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ...values.bounds import Size
from ...values.section import Section
from ..network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig(Section, ABC):
    """A built-in network as a value; subclasses are frozen dataclasses with fields of their own.

    Attributes:
        num_classes: outputs of the head.
        in_channels: channels of an image.
        image_size: pixels along a side.
    """

    num_classes: Size
    in_channels: Size
    image_size: Size

    @abstractmethod
    def build(self) -> Network:
        """The network, with weights that are drawn now."""
