"""Calls in this process that the package makes in one of its own."""

from collections.abc import Callable, Mapping
from typing import Any, Self


class InThisProcess:
    """In place of `DedicatedProcess`, which takes seconds to start: it imports TensorFlow."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._object: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._object = None

    def construct(self, factory: Callable, *arguments: Any) -> None:
        self._object = factory(*arguments)

    def call_method(self, method: Callable, *arguments: Any) -> Any:
        return method(self._object, *arguments)
