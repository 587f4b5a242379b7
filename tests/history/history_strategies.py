"""Small histories in which everything that matters happens often: contact, gaps, ties, crossings."""

from hypothesis import settings
from hypothesis import strategies as st

from dp3.history import Params
from dp3.model.wire import CONFIDENCE_UNIT
from kit.history import Observation

thorough = settings(max_examples=300, deadline=None)

confidences = st.sampled_from([0, 1, CONFIDENCE_UNIT // 3, CONFIDENCE_UNIT // 2, CONFIDENCE_UNIT])
either = st.booleans()
values = st.sampled_from([b"A", b"B", b"C"])


@st.composite
def _observation(draw: st.DrawFn, ticks: int, longest: int) -> Observation:
    t1 = draw(st.integers(0, ticks))
    return Observation(t1, t1 + draw(st.integers(0, longest)), draw(confidences), draw(values))


def histories(ticks: int = 30, longest: int = 8) -> st.SearchStrategy[list[Observation]]:
    return st.lists(_observation(ticks, longest), max_size=9)


def any_params(longest: int = 7, *, aggregate: st.SearchStrategy[bool] = either) -> st.SearchStrategy[Params]:
    validity = st.integers(0, longest)
    return st.builds(Params, validity, validity, either, aggregate)
