"""The public door for application modules: the names here are fixed by the module API.

Importing anything below loads neither a database driver nor a web framework.
"""
