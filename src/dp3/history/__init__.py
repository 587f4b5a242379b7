"""Pure algebra of what was observed when: no database, no clock, no floats before the last step.

Times are integer microseconds, confidences integer multiples of 10⁻⁹, values the bytes of
`encode_value` (compared, never looked into). Everything follows from the *set* of data-points, never
from the order or the batches in which they came:

    observations ──canonical──► segments ──value_at / values_at──► current value and confidence
                                         ──next_change───────────► when to look again
                                         ──overlapping───────────► history of a stretch of time
    chunks ──points_between──► points of a timeseries
"""

from dp3.history.change import next_change
from dp3.history.confidence import confidence_at, mean_confidence, validity
from dp3.history.segments import Observation, Params, Segment, bridge, canonical, overlapping, unite
from dp3.history.timeseries import Chunk, Point, points_between
from dp3.history.values import Current, value_at, values_at, winner_at

__all__ = [
    "Chunk",
    "Current",
    "Observation",
    "Params",
    "Point",
    "Segment",
    "bridge",
    "canonical",
    "confidence_at",
    "mean_confidence",
    "next_change",
    "overlapping",
    "points_between",
    "unite",
    "validity",
    "value_at",
    "values_at",
    "winner_at",
]
