"""Snapshot runs: from time to time the current values of all entities are stored, and correlation hooks run.

In the order in which a run comes through:

- `job.py`: a moment of the schedule opens a run; phase by phase each worker does its part of it;
- `plans.py`: what runs need to know of the model, the hooks and the settings, looked up at start-up;
- `work.py`: the second phase: which entities are looked at, page by page, in three stages: without hooks,
  with hooks, linked;
- `dirty.py`: which entities without hooks have changed; `components.py`: which entities are linked;
- `loading.py`: reads their profiles, and has `values.py` compute the current values;
- `correlate.py`: runs the hooks over entities that are alone or linked. `records.py` is what hooks see and
  what is kept of it, `masters.py` what some see besides, `refresh.py` lets hooks of the ingestion take part;
- `writing.py`: writes what has changed, with tasks of hooks and a checkpoint, in the background. `doc.py` is
  the stored form of a snapshot, `keys.py` its keys in the index of current values.

`cleaning.py` removes old snapshots.
"""
