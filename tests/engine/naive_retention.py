"""What is kept of a history, told by data-points (or segments that are stored as one) only and without any
thought of how long that takes."""

from collections import Counter

from kit.history import Segment, canonical, unite


def in_order(s):
    return s.t1, s.t2, s.v, s.c_sum, s.n


def as_segment(point):
    return point if isinstance(point, Segment) else Segment(point.t1, point.t2, point.c, 1, point.v)


def points_in(points, segments, params):
    """The data-points that make up some of the segments."""
    if not params.aggregate:
        left = Counter(segments)
        return [p for p in points if left[as_segment(p)] > 0 and not left.subtract([as_segment(p)])]
    return [p for p in points if any(s.v == p.v and s.t1 <= p.t1 and p.t2 <= s.t2 for s in segments)]


def look_the_same(points, segments, params):
    """Whether those segments would be seen as they are if there was nothing else."""
    return canonical(points_in(points, segments, params), params) == sorted(segments, key=in_order)


def young(points, params, limit):
    """What did not end before the limit, and what keeps such apart."""
    shown = canonical(points, params)
    kept = [s for s in shown if s.t2 >= limit]
    while not look_the_same(points, kept, params):
        for earlier in kept:
            later = next((s for s in kept if s.v == earlier.v and s.t1 > earlier.t2), None)
            pair = points_in(points, [earlier, later], params) if later else []
            if later and len(canonical(pair, params)) == 1:
                begin = unite(points_in(points, [earlier], params))[-1].t1
                between = {s for s in unite(points) if begin < s.t1 < later.t1}
                kept = [s for s in shown if s in kept or between & set(points_in(between, [s], params))]
    return kept


def newest(points, params, kept, most):
    """So many of those kept as ended last, fewer if others would be seen as one."""
    found = sorted(kept, key=lambda s: (s.t2, s.t1, s.v, s.c_sum, s.n))[-most:]
    while not look_the_same(points, found, params):
        found = found[1:]
    return found


def naive_kept(points, rule, limit):
    """What readers should see after cleaning, in their order."""
    params = rule.params
    kept = canonical(points, params) if rule.max_age is None else young(points, params, limit)
    return sorted(
        kept if rule.max_items is None else newest(points, params, kept, rule.max_items), key=in_order
    )
