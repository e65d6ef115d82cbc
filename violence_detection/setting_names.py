"""Former names of settings: errors that name the new one, and keys of older records."""

from collections.abc import Collection, Mapping
from typing import Any

# New names by former name. A config that has none of them, or the former name for something else,
# is not concerned: `frames` is the number of frames of a clip where `show_frames` is unknown.
FORMER = {
    "by": ("reviewer",),
    "clip_norm": ("global_clipnorm",),
    "clips": ("videos_to_check",),
    "frames": ("show_frames",),
    "name": ("run", "site_name"),
    "names": ("site_names",),
    "pictures": ("read_videos", "show_frames"),
    "prune": ("prune_trials",),
    "seeds": ("members",),
    "timeout": ("timeout_s",),
    "video_dir": ("dataset_path",),
    "video_timeout": ("video_timeout_s",),
    "videos": ("dataset_path",),
}


def new_name(former: str, names: Collection[str]) -> str:
    """The one of `names` that was called `former`; empty if there is none, or `former` is one."""
    if former in names:
        return ""
    return next((name for name in FORMER.get(former, ()) if name in names), "")


def with_new_names(recorded: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The settings of a record of this or an earlier version, by the names of today.

    Args:
        recorded: Value by name.
        names: The names that the config of the record has today.
    """
    return {new_name(name, names) or name: value for name, value in recorded.items()}
