"""The training clips of a run that are nearest to a clip."""
