"""Ports of the state: one small protocol for each noun, and what its methods take and give."""
