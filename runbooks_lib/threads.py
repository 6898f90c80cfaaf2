"""Several threads at one thing: many questions at once, and attributes that are worked out once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


def at_once(ask: Callable[..., T], *many: Iterable[Any]) -> list[T]:
    """What a function says to each of many, eight at a time; in their order, and the first error is raised."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, *many))


class once(Generic[T]):  # noqa: N801 - used as `functools.cached_property` is, which has no lock since Python 3.12
    """An attribute that its first reader works out while the others wait; an error is worked out again."""

    def __init__(self, ask: Callable[[Any], T]) -> None:
        self._ask = ask
        self.__doc__ = ask.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, subject: None, owner: type) -> once[T]: ...
    @overload
    def __get__(self, subject: object, owner: type) -> T: ...
    def __get__(self, subject: object | None, owner: type) -> once[T] | T:
        if subject is None:
            return self
        # Two readers may make a lock each; only one of them is kept.
        with subject.__dict__.setdefault(f"lock of {self._name}", Lock()):
            if self._name not in subject.__dict__:
                subject.__dict__[self._name] = self._ask(subject)
        found: T = subject.__dict__[self._name]
        return found
