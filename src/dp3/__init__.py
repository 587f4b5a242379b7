"""DP³ — Dynamic Profile Processing Platform."""

__version__ = "0.1.0"
