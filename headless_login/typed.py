"""Named tuples and protocols as type checkers know them, made without the module `typing`.

To import that takes as long as to start the interpreter, and each of its named tuples takes three
times as long as one of `collections`. So `typing` itself is imported for type checkers alone.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name, and take it to be true

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
else:
    from collections import namedtuple

    Protocol = object

    class _FromAnnotations(type):
        """Makes a `namedtuple` of a class with annotated fields, and gives it what that has."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.get("__annotations__", {})
            values = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=values)
            for attribute in body:
                setattr(made, attribute, body[attribute])
            return made

    class NamedTuple(metaclass=_FromAnnotations):
        """The base of a value: its fields are the annotations of its class, with defaults."""
