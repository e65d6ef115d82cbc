"""The files below a folder: which of them are videos, and which are passed over, by their names."""

import dataclasses
import logging
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from violence_detection import units
from violence_detection.system import files
from violence_detection.units import counted
from violence_detection.video import frame_series

log = logging.getLogger(__name__)

# What FFmpeg reads in the formats that `video.decoding.decoder` allows.
EXTENSIONS = frozenset(
    ".264 .265 .3g2 .3gp .3gpp .asf .avc .avi .dav .divx .dv .dvr-ms .evo .f4v .flv .gxf .h264 "
    ".h265 .hevc .insv .ivf .m1v .m2p .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mk3d .mkv .mod .mov .mp4 "
    ".mpe .mpeg .mpegts .mpg .mpv .mts .mxf .nut .ogm .ogv .qt .rm .rmvb .tod .tp .trp .ts .vc1 "
    ".vob .webm .wmv .wtv .xvid".split()
)

# Kinds of files that lie beside videos and are none. Archives are not among them: they hold videos.
_PICTURES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .tif .tiff .webp .heic .heif .avif .ico .svg .psd .pgm "
    ".ppm .pnm".split()
)
_OTHER_KINDS = _PICTURES.union(
    # texts, tables and programs
    ".txt .md .rst .rtf .pdf .doc .docx .odt .csv .tsv .xls .xlsx .ods .numbers .json .jsonl .xml "
    ".yaml .yml .toml .ini .cfg .conf .log .htm .html .url .webloc .lnk .nfo .py .ipynb .sh .bat "
    ".ps1 .m".split(),
    # sound and subtitles
    ".wav .mp3 .m4a .aac .flac .ogg .oga .opus .wma .ac3 .amr .mka .srt .vtt .ass .ssa .sub .idx "
    ".sbv .smi .ttml".split(),
    # arrays, annotations and models
    ".npy .npz .h5 .hdf5 .mat .pkl .pickle .pt .pth .parquet .feather .tfrecord .eaf .db .sqlite "
    ".md5 .sha1 .sha256 .sha512 .sfv .torrent".split(),
    # what cameras and editors keep for a video: thumbnails, small copies, indexes
    ".thm .lrv .aae .xmp .ifo .bup .moff .modd .pgi .cpi .bdm .mpl .prproj .drp .mlt .kdenlive "
    ".ds_store".split(),
)

# Folders that network storage, desktops and archives make; names in lower case.
_SYSTEM_FOLDERS = frozenset(
    "@eadir @tmp @recycle @recently-snapshot @sharebin @sharesnap #recycle #snapshot ~snapshot "
    "lost+found $recycle.bin recycler recycled __macosx found.000".split()
) | {"system volume information", "network trash folder", "temporary items"}

# Files that this program leaves in a folder of videos.
LABEL_LOCK, LABEL_HISTORY = ".labels.lock", "labels_history.csv"


@dataclass(frozen=True)
class UnreadFile:
    """Something in a class folder that may be a video, and is not read.

    Attributes:
        path: Relative to the dataset's folder; of numbered frames without their numbers.
        label: The class folder.
        reason: Why it is not read.
        kind: Its ending, such as `.xyz`; `no ending`; or `frames`.
    """

    path: str
    label: str
    reason: str
    kind: str


@dataclass(frozen=True)
class FolderFiles:
    """The files below a folder.

    Attributes:
        root: The folder.
        videos: Paths of the videos, relative to the folder, with `/`; those that are kept as
            numbered pictures end with a rate, as in `v1@25fps`.
        others: Paths of the files that are not videos.
        system_folders: Paths of folders of the system, such as `@eaDir`, which are not entered.
        hidden_folders, hidden_files: Their numbers.
        not_utf8: Number of videos whose path cannot be written.
        unlisted: Folders that cannot be listed.
        frames: Number of pictures that are frames of these videos.
    """

    root: Path
    videos: tuple[str, ...]
    others: tuple[str, ...] = ()
    system_folders: tuple[str, ...] = ()
    hidden_folders: int = 0
    hidden_files: int = 0
    not_utf8: int = 0
    unlisted: tuple[str, ...] = ()
    frames: int = 0

    def notes(self, used: Collection[str] = ()) -> list[str]:
        """A line for each kind of files that are passed over.

        Args:
            used: Files that are not videos by their names, but are used: the table of the
                dataset, and what it names.
        """
        others = [path for path in self.others if path not in used]
        names = Counter(PurePosixPath(path).name for path in self.system_folders)
        lines = []
        if self.frames:
            series = [path for path in self.videos if frame_series.rate_in([path])]
            lines.append(
                f"Read at {frame_series.rate_in(series):g} frames per second: "
                f"{counted(len(series), 'video')} of {self.frames} numbered pictures."
            )
        if others:
            are = "file that is not a video" if len(others) == 1 else "files that are not videos"
            lines.append(f"Ignored: {len(others)} {are} ({listed_endings(others)}).")
        if names:
            listed = ", ".join(sorted(names)[:5])
            lines.append(
                f"Ignored: {counted(len(self.system_folders), 'system folder')} ({listed})."
            )
        if self.hidden_folders:
            lines.append(f"Ignored: {counted(self.hidden_folders, 'hidden folder')}.")
        if self.hidden_files:
            lines.append(f"Ignored: {counted(self.hidden_files, 'hidden file')}.")
        if self.not_utf8:
            lines.append(f"Ignored: {counted(self.not_utf8, 'video')} whose path is not UTF-8.")
        return lines


def find_files(root: Path, frames_fps: float | None = None) -> FolderFiles:
    """All files below a folder; hidden ones and those in folders of the system are counted only.

    Warns of folders that cannot be listed.

    Args:
        root: The folder.
        frames_fps: The rate at which numbered pictures are read as videos; None does not.
    """
    videos: list[str] = []
    others: list[str] = []
    system_folders: list[str] = []
    unlisted: list[str] = []
    visited: set[str] = set()
    counts: Counter[str] = Counter()
    walked = os.walk(root, followlinks=True, onerror=lambda error: unlisted.append(error.filename))
    for folder, subfolders, names in walked:
        real = os.path.realpath(folder)
        if real in visited:  # a link to a folder above
            subfolders.clear()
            continue
        visited.add(real)

        prefix = Path(folder).relative_to(root).as_posix() + "/"
        prefix = prefix.removeprefix("./")
        system_folders += [prefix + name for name in subfolders if is_system_folder(name)]
        entered = [name for name in subfolders if not is_system_folder(name)]
        counts["hidden folders"] += sum(name.startswith(".") for name in entered)
        subfolders[:] = sorted(name for name in entered if not name.startswith("."))
        for name in sorted(names):
            if name in (LABEL_LOCK, LABEL_HISTORY) or files.TEMPORARY_MARK in name:
                continue
            if name.startswith("."):
                counts["hidden files"] += 1
            elif not has_video_ending(name):
                others.append(prefix + name)
            elif not units.is_utf8(os.path.join(folder, name)):
                counts["not UTF-8"] += 1
            else:
                videos.append(prefix + name)
    if unlisted:
        log.warning(
            f"Ignored, because they cannot be listed: {counted(len(unlisted), 'folder')}, "
            f"e.g. {unlisted[0]}"
        )
    folder_files = FolderFiles(
        root,
        tuple(videos),
        tuple(others),
        tuple(sorted(system_folders)),
        counts["hidden folders"],
        counts["hidden files"],
        counts["not UTF-8"],
        tuple(unlisted),
    )
    return folder_files if frames_fps is None else _with_series(folder_files, frames_fps)


def _with_series(folder_files: FolderFiles, fps: float) -> FolderFiles:
    """The files, with numbered pictures as videos of a rate."""
    series = {
        frame_series.with_rate(path, fps): pictures
        for path, pictures in frame_videos(folder_files).items()
        if units.is_utf8(path)
    }
    frames = {picture for pictures in series.values() for picture in pictures}
    return dataclasses.replace(
        folder_files,
        videos=(*folder_files.videos, *series),
        others=tuple(path for path in folder_files.others if path not in frames),
        frames=len(frames),
    )


def has_video_ending(name: str | Path) -> bool:
    """True if a file is a video by its ending, in any case."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def is_system_folder(name: str) -> bool:
    """True for a folder that a system made and that holds no videos of the user: `@eaDir`, …"""
    return name.lower() in _SYSTEM_FOLDERS or name.startswith(".@")


def listed_endings(paths: Iterable[str], most: int = 8) -> str:
    """`6 .xyz, 2 .txt, 1 without an ending`, the commonest first."""
    counts = Counter(PurePosixPath(path).suffix.lower() for path in paths)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], not item[0], item[0]))
    texts = [f"{count} {ending or 'without an ending'}" for ending, count in ranked[:most]]
    rest = sum(count for _, count in ranked[most:])
    return ", ".join([*texts, *([f"{rest} others"] if rest else [])])


# -- files that may be videos


def unread_files(folder_files: FolderFiles, label_of: Mapping[str, str]) -> list[UnreadFile]:
    """The files in class folders that may be videos, and are not read.

    That is a file whose ending is neither that of a video nor that of another known kind (text,
    table, picture, sound, subtitles, …), unless a video beside it has its name; a file without an
    ending that is not text; and numbered pictures, which are the frames of a video.

    Args:
        folder_files: The files.
        label_of: The class of each file that lies in a class folder, by path.
    """
    stems = {_without_ending(path) for path in folder_files.videos}
    unread = []
    for path in folder_files.others:
        label = label_of.get(path)
        if (
            label is None
            or _is_of_another_kind(folder_files.root, path)
            or _is_side_file(path, stems)
        ):
            continue
        ending = PurePosixPath(path).suffix.lower()
        reason = f"{ending} is not an ending of videos" if ending else "its name has no ending"
        unread.append(UnreadFile(path, label, reason, ending or "no ending"))
    for path, pictures in frame_videos(folder_files).items():
        label = label_of.get(pictures[0])
        if label is not None:
            reason = f"these are {len(pictures)} frames, which --frames-fps RATE reads as a video"
            unread.append(UnreadFile(path, label, reason, "frames"))
    return unread


def frame_videos(folder_files: FolderFiles) -> dict[str, list[str]]:
    """The videos that are kept as numbered pictures, and are not read as videos: the paths of the
    pictures, by the path of the video without a rate."""
    video_names = {_without_ending(PurePosixPath(path).name) for path in folder_files.videos}
    names_in: dict[str, list[str]] = defaultdict(list)
    for path in folder_files.others:
        folder, _, name = path.rpartition("/")
        # Pictures with the names of videos are their thumbnails.
        if _without_ending(name) not in video_names:
            names_in[folder].append(name)
    videos = {}
    for folder, names in sorted(names_in.items()):
        for video, pictures in frame_series.names_by_video(names).items():
            path = "/".join(filter(None, (folder, video)))
            if path and (not video or not (folder_files.root / path).is_dir()):
                videos[path] = [f"{folder}/{name}".removeprefix("/") for name in pictures]
    return videos


def _without_ending(path: str) -> str:
    return unicodedata.normalize("NFC", path.removesuffix(PurePosixPath(path).suffix)).casefold()


def _is_side_file(path: str, stems: Collection[str]) -> bool:
    """True for `a.xyz` or `a.mp4.xyz` beside `a.mp4`."""
    stem = _without_ending(path)
    return stem in stems or (has_video_ending(stem) and _without_ending(stem) in stems)


def _is_of_another_kind(root: Path, path: str) -> bool:
    ending = PurePosixPath(path).suffix.lower()
    if ending:
        return ending in _OTHER_KINDS
    try:
        with open(root / path, "rb") as file:
            start = file.read(1024)
    except OSError:
        return False
    return b"\0" not in start  # a text
