"""The log: its port, the form of its entries, group commit, and the engine on SQLite."""
