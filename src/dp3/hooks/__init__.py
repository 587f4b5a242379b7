"""What application modules plug in: registrations, their order, guarded calls, the modules themselves."""
