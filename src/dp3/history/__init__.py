"""Pure algebra of what was observed when: no database, no clock, no floats before the last step.

Times are integer microseconds, confidences integer multiples of 10⁻⁹, values opaque tokens (compared, never
looked into). Everything follows from the *set* of data-points, never from the order or the batches in which
they came:

    rows ──segments_of──► segments ──winner_at, winners_at───────► the current value, or values
     (segments.py)             ──winner_until, winners_until──► and when to look again    (winner.py)
                               ──confidence_at, confidence────► how sure that is          (confidence.py)
                               ──Judgement────────────────────► what of it is kept        (retention.py)
    chunks ──points_between──► points of a timeseries                                     (timeseries.py)

United segments of one value are stored packed, as one row of numbers (segments.py).
"""

from dp3.history.confidence import confidence_at, mean_confidence
from dp3.history.segments import Params, Segment, history_params, overlapping, segments_of, unite
from dp3.history.timeseries import Chunk, Point, points_between
from dp3.history.winner import winner_at, winner_until, winners_at, winners_until

__all__ = [
    "Chunk",
    "Params",
    "Point",
    "Segment",
    "confidence_at",
    "history_params",
    "mean_confidence",
    "overlapping",
    "points_between",
    "segments_of",
    "unite",
    "winner_at",
    "winner_until",
    "winners_at",
    "winners_until",
]
