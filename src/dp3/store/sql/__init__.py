"""The adapters of the state that all SQL engines share: they run named statements in sessions."""
