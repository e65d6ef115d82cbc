"""Every exception that this package raises on purpose.

ViolenceDetectionError            exit status 1
├── ConfigError                   exit status 2: wrong usage; says what must hold and what came
│   └── FileKeyError              a key of a file that the user wrote; says it as it stands there
├── DatasetError                  a folder of videos that cannot be used
├── VideoError                    a video that cannot be read; stage one lists it and continues
├── CacheError                    cached features that are missing, damaged or of another space
├── EvidenceError                 a number that needs more videos than there are
├── WeightsError                  weights that are missing or belong to another architecture
├── RunError                      a run folder that cannot be used
├── TrainingError                 a training that cannot continue
└── ExportError                   a format that cannot represent the model
"""

from collections.abc import Sequence


class ViolenceDetectionError(Exception):
    """Base class of all; `exit_status` is the exit status of the command line."""

    exit_status = 1


class ConfigError(ViolenceDetectionError):
    exit_status = 2


class FileKeyError(ConfigError):
    pass


class DatasetError(ViolenceDetectionError):
    pass


class VideoError(ViolenceDetectionError):
    pass


class CacheError(ViolenceDetectionError):
    """`choices` are paths of which the user must give one; a command lists them, one a line."""

    def __init__(self, message: str, choices: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.choices = message, tuple(choices)

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.message, ", ".join(self.choices))))


class EvidenceError(ViolenceDetectionError):
    pass


class WeightsError(ViolenceDetectionError):
    pass


class RunError(ViolenceDetectionError):
    pass


class TrainingError(ViolenceDetectionError):
    pass


class ExportError(ViolenceDetectionError):
    pass
