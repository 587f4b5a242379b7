"""How callables are named in messages, counters and dead letters."""

from collections.abc import Callable
from functools import partial
from typing import Any

_STABLE = (str, bytes, int, float, bool, type(None))


def get_func_name(func: Callable[..., Any]) -> str:
    """`module.qualname` of a function, method or callable object; partials show their arguments.

    >>> import json
    >>> get_func_name(partial(json.dumps, indent=2))
    'partial(json.dumps, indent=2)'
    """
    return _name(func, repr)


def get_stable_func_name(func: Callable[..., Any]) -> str:
    """Like `get_func_name`, the same in every process: arguments of a partial whose `repr` may contain an
    address are replaced by their type.

    >>> import json
    >>> get_stable_func_name(partial(json.dumps, object(), indent=2))
    'partial(json.dumps, object, indent=2)'
    """
    return _name(func, _stable_repr)


def _name(func: Callable[..., Any], show: Callable[[Any], str]) -> str:
    if isinstance(func, partial):
        positional = [show(arg) for arg in func.args]
        keywords = [f"{key}={show(value)}" for key, value in func.keywords.items()]
        return f"partial({', '.join([_name(func.func, show), *positional, *keywords])})"
    named = func if hasattr(func, "__qualname__") else type(func)
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else named.__qualname__


def _stable_repr(value: Any) -> str:
    if isinstance(value, _STABLE):
        return repr(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return get_stable_func_name(value)
    return type(value).__qualname__
