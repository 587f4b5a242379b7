"""The text of a data type (`array<int>`, `link<device, int; mirror=users>`) and its parsed form."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dp3.model.errors import did_you_mean, shown
from dp3.model.primitives import PRIMITIVE_TYPES

ID_REGEX = r"^[a-zA-Z_][a-zA-Z0-9_-]*$"
PRIMITIVES = tuple(PRIMITIVE_TYPES)
COMPOSITES = ("array", "set", "dict", "category", "link")

_token = re.compile(r"\s*([\w-]+|[<>,;:=?])\s*").match
_id = re.compile(ID_REGEX).fullmatch
_word = re.compile(r"\w+").fullmatch


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parts."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class LinkTo:
    """A link to an entity, with data or not; `mirror` names the attribute made on the target."""

    etype: str
    data: "TypeExpr | None" = None
    mirror: str | None = None

    def __str__(self) -> str:
        data = f",{self.data}" if self.data else ""
        mirror = f";mirror={self.mirror}" if self.mirror else ""
        return f"link<{self.etype}{data}{mirror}>"


@dataclass(frozen=True, slots=True)
class ListOf:
    """`kind` is `array` or `set`."""

    kind: str
    elem: "Primitive | LinkTo"

    def __str__(self) -> str:
        return f"{self.kind}<{self.elem}>"


@dataclass(frozen=True, slots=True)
class DictKey:
    """One key of a dict type."""

    name: str
    type: Primitive
    optional: bool

    def __str__(self) -> str:
        return f"{self.name}{'?' if self.optional else ''}:{self.type}"


@dataclass(frozen=True, slots=True)
class DictOf:
    """An object with fixed keys."""

    keys: tuple[DictKey, ...]

    def __str__(self) -> str:
        return f"dict<{','.join(map(str, self.keys))}>"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of the configured words, read as `type`."""

    type: Primitive
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"category<{self.type};{','.join(self.words)}>"


TypeExpr: TypeAlias = Primitive | LinkTo | ListOf | DictOf | OneOf


def parse_type(text: str) -> TypeExpr:
    """Parse the text of a data type; blanks are allowed between all parts.

    Raises `ValueError` (`Data type '…' is not supported` and the reason).
    """
    try:
        parser = _Parser(_tokens(text))
        expr = parser.type()
        parser.end()
    except _SyntaxError as error:
        raise ValueError(f"Data type '{text}' is not supported: {error}") from None
    return expr


class _SyntaxError(Exception):
    pass


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        match = _token(text, at)
        if match is None:
            raise _SyntaxError(f"unexpected {text[at:].strip()[:1]!r}")
        tokens.append(match[1])
        at = match.end()
    return tokens


class _Parser:
    """Recursive descent; every method consumes the tokens of the construct it is named after."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def type(self) -> TypeExpr:
        name = self._next("a data type")
        if name in PRIMITIVES:
            return Primitive(name)
        if name not in COMPOSITES:
            known = (*PRIMITIVES, *COMPOSITES)
            raise _SyntaxError(f"unknown type {name!r}{did_you_mean(name, known) or _one_of(known)}")
        self._expect("<")
        expr: TypeExpr
        if name == "link":
            expr = self._link()
        elif name == "dict":
            expr = self._dict()
        elif name == "category":
            expr = self._category()
        else:
            expr = ListOf(name, self._element(name))
        self._expect(">")
        return expr

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise _SyntaxError(f"unexpected {self._tokens[self._at]!r} after the type")

    def _link(self) -> LinkTo:
        target = self._matching(_id, "an entity type")
        data = self.type() if self._take(",") else None
        if isinstance(data, LinkTo) and data.mirror:
            raise _SyntaxError("link data cannot be mirrored")
        mirror = None
        if self._take(";"):
            self._expect("mirror")
            self._expect("=")
            mirror = self._matching(_id, "an attribute id")
        return LinkTo(target, data, mirror)

    def _element(self, kind: str) -> Primitive | LinkTo:
        expr = self.type()
        if isinstance(expr, Primitive | LinkTo):
            return expr
        raise _SyntaxError(f"elements of {kind} must be a primitive type or a link, got {expr}")

    def _dict(self) -> DictOf:
        keys = [self._dict_key()]
        while self._take(","):
            keys.append(self._dict_key())
        names = [key.name for key in keys]
        if len(set(names)) < len(names):
            raise _SyntaxError("a key is given twice")
        return DictOf(tuple(keys))

    def _dict_key(self) -> DictKey:
        name = self._matching(_word, "a key of word characters")
        if name.startswith("_"):
            raise _SyntaxError(f"key {name!r} must not start with an underscore")
        optional = self._take("?")
        self._expect(":")
        return DictKey(name, self._primitive(), optional)

    def _category(self) -> OneOf:
        kind = self._primitive()
        self._expect(";")
        words = [self._matching(_word, "a value of word characters")]
        while self._take(","):
            words.append(self._matching(_word, "a value of word characters"))
        return OneOf(kind, tuple(words))

    def _primitive(self) -> Primitive:
        expr = self.type()
        if isinstance(expr, Primitive):
            return expr
        raise _SyntaxError(f"expected a primitive type, got {expr}")

    def _next(self, expected: str) -> str:
        if self._at == len(self._tokens):
            raise _SyntaxError(f"expected {expected}, got the end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _matching(self, pattern: "Callable[[str], object]", expected: str) -> str:
        token = self._next(expected)
        if pattern(token):
            return token
        raise _SyntaxError(f"expected {expected}, got {shown(token)}")

    def _expect(self, token: str) -> None:
        got = self._next(repr(token))
        if got != token:
            raise _SyntaxError(f"expected {token!r}, got {got!r}")

    def _take(self, token: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at] == token
        self._at += found
        return found


def _one_of(names: Sequence[str]) -> str:
    return f"; known are {', '.join(names)}"


class TypeText:
    """A data type that is configured as text: a pydantic field."""

    root: str

    def __init__(self, root: str) -> None:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.root

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def _validate(cls, value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(value)
        raise ValueError(f"Input should be the text of a data type, got {shown(value)}")
