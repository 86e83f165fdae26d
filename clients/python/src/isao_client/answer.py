"""Telling answers from errors."""

from typing import TypeVar

from .rest.models.code import Code
from .rest.models.error import Error

T = TypeVar("T")


class ApiError(Exception):
    """The server answered with an error."""

    error: Error
    """The whole error."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.error}: {error.message}")
        self.error = error

    @property
    def code(self) -> Code:
        """The kind of error; one of a closed list."""
        return self.error.code


def unwrap(answer: T | Error | None) -> T:
    """Returns the body of a successful answer; raises `ApiError` for an error.

    Raises `ValueError` for an answer without a body, such as 304.
    """
    if isinstance(answer, Error):
        raise ApiError(answer)
    if answer is None:
        raise ValueError("The answer has no body")
    return answer
