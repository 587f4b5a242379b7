"""The configuration folder: YAML → validated settings, with file and line in every message."""
