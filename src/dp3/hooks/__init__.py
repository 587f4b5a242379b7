"""Plug-ins of applications: registrations of hooks, their order, guarded calls, the modules themselves."""
