"""Name and folder of a dataset, as features and runs record them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class DatasetOrigin:
    """The dataset that features were extracted from, or that a run was trained on.

    Attributes:
        name: The folder's name and digits of its path, or the name that was asked for.
        dir: Absolute path of the videos at extraction.
    """

    name: str
    dir: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The entry `dataset` of extraction.json or training_config.json.

        Raises:
            KeyError, TypeError: If it is not such an entry.
        """
        return cls(values["name"], values["dir"])
