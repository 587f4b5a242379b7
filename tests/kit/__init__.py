"""The test kit: everything that several tests set an application up with.

`specs` and `points` build models and data, `place` is a log and a state, `worker` is the one assembly of a
worker, `engine` is an application whose workers a test steps, `node` puts the HTTP application on top of it,
`program` runs the real program. `limits` and `faults` change what the program would do by itself.
"""
