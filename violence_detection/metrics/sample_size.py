"""Numbers of videos and recordings from which on a rate says something; standard library only."""

from collections.abc import Sequence

# Fewer recordings: an interval over them is itself a rough guess.
FEW_RECORDINGS = 10
# Fewer videos: a rate is written as a count, "5 of 6", because a percentage looks more exact than
# it is.
FEW_VIDEOS = 10
# Fewer videos of a class: even if all are right, Wilson's 95% interval of the rate,
# n / (n + 1.96^2) to 1, holds one half, so a coin could have done it.
MIN_VIDEOS_OF_CLASS = 4


def widest_interval(*intervals: Sequence[float] | None) -> list[float] | None:
    """The lowest low and the highest high of some intervals; None without any.

    A bootstrap over recordings has no width where there is no mistake, and Wilson's interval is
    too narrow where several videos come from a recording: together they do not promise too much.
    """
    defined = [interval for interval in intervals if interval is not None]
    if not defined:
        return None
    return [min(low for low, _ in defined), max(high for _, high in defined)]
