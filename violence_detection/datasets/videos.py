"""A video of a dataset: a file, or a part of a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Video:
    """A video of a dataset: a file, or a part of a file.

    Attributes:
        path: Relative to the dataset's folder, with `/`.
        group: The recording.
        split: Empty if the dataset gives none.
        start_s, end_s: Of a part, in seconds; None for a whole file.
    """

    path: str
    label: str
    group: str
    split: str = ""
    start_s: float | None = None
    end_s: float | None = None

    @property
    def key(self) -> str:
        """The name in the cache: the path, and `@start-end` for a part of a file."""
        if self.start_s is None:
            return self.path
        return f"{self.path}@{self.start_s:.10g}-{self.end_s:.10g}"
