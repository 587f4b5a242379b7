"""The state: its ports, their engine on SQLite, and what all engines share."""
