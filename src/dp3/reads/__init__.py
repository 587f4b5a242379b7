"""Answers to all questions about the platform, without HTTP: routes, the command line and tests stand on
them. Begin with `reads.Reads`, which has all of it:

| | answers |
|---|---|
| `profiles` | one entity: master record, attribute with history, now or as of a moment |
| `snapshots` | one entity: its snapshots of all runs |
| `entity()` | both together |
| `listings` | many entities: by filter, sorted, in pages, now or as of a moment; how many; by id |
| `distinct` | how often each value of an attribute occurs |
| `raw` | data-points as they were accepted |
| `entity_types` | the model, and how many entities there are |
| `runs`, `jobs`, `telemetry` | what the platform did and measured |
| `backlog`, `workers` | how far the workers are, and whether they work |
| `dead_letters` | what failed |

Answers are plain Python values: dictionaries and lists of wire values and aware UTC date-times. Errors that
the asker can do something about are in `errors`; `QueryTooSlow` comes from the store. All of it is blocking
and may be used from any thread.
"""
