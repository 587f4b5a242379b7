"""MAC addresses as values and entity ids."""

from dp3.model.mac import MACAddress

__all__ = ["MACAddress"]
