"""Ingestion: the way of a data-point from the log into the state, in the order of these files.

```
  log ─▶ reader         the next entries; of these the tasks that are own, new and current
          │  attempts   has this batch ended the process before? then task by task
          ▼
         entities       keys of the entities that exist, one query for those not remembered
          ▼
         micro_batches  spreads the tasks that hooks want to see over threads, by entity
          │   hooks     calls the hooks of one task: derived tasks, dead letters, counters
          ▼
         batch          rows of one transaction; system_tasks: ends of lifetimes, of links
          ▼
         step           commits, and says how far the log has been applied
          ▼
  state ─▶ outbox       a thread brings derived tasks to the derived lane of the log
```

`step.Ingest` is what the worker knows of it.
"""
