"""Attributes that are computed when they are first asked for, without a lock."""

from __future__ import annotations

import functools
from typing import Any, Self, TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class cached_property(functools.cached_property[T_co]):  # noqa: N801, TID251
    """`functools.cached_property` as it is from Python 3.12 on: two threads may compute the same value at once.

    Before, one lock for all instances was held meanwhile: a child that was forked while another thread computed one
    waited for it for ever.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T_co: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | T_co:
        if instance is None:
            return self
        values, name = instance.__dict__, self.attrname
        if name is None:
            raise TypeError("a cached_property needs a name: __set_name__ was not called")
        if name not in values:
            values[name] = self.func(instance)
        return values[name]
