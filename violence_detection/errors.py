"""Everything that this package raises on purpose.

ViolenceDetectionError            exit status 1
├── ConfigError                   exit status 2: wrong usage, says what must hold and what came
├── DatasetError                  a folder of videos that cannot be used
├── VideoError                    one video that cannot be read; stage one lists it and goes on
├── CacheError                    cached features that are missing, damaged or of another space
├── EvidenceError                 a number that the videos at hand are too few to support
├── WeightsError                  weights that cannot be had or belong to another architecture
├── RunError                      a run folder that cannot be used
├── TrainingError                 training that cannot go on
└── ExportError                   a format that cannot say what the model says
"""


class ViolenceDetectionError(Exception):
    """Base of the tree; `exit_status` is what the command line leaves with."""

    exit_status = 1


class ConfigError(ViolenceDetectionError):
    exit_status = 2


class DatasetError(ViolenceDetectionError):
    pass


class VideoError(ViolenceDetectionError):
    pass


class CacheError(ViolenceDetectionError):
    pass


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
