"""The files below a folder: which of them are videos, and which are passed over, by their names."""

import logging
import os
import re
import shlex
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from violence_detection import units
from violence_detection.system import files
from violence_detection.units import counted

log = logging.getLogger(__name__)

# What FFmpeg reads in the formats that `video.decoder` allows.
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

_FEWEST_FRAMES = 5  # pictures of a folder that are taken for the frames of a video
_NUMBERED = re.compile(r"(.*?)(\d+)$", re.DOTALL)


@dataclass(frozen=True)
class UnreadFile:
    """Something in a class folder that may be a video, and is not read.

    Attributes:
        path: Relative to the dataset's folder; of a folder of frames that folder.
        label: The class folder.
        reason: Why it is not read.
        kind: Its ending, such as `.xyz`; `no ending`; or `frames`.
    """

    path: str
    label: str
    reason: str
    kind: str


@dataclass(frozen=True)
class FoundFiles:
    """The files below a folder.

    Attributes:
        root: The folder.
        videos: Paths of the videos, relative to the folder, with `/`.
        others: Paths of the files that are not videos.
        system_folders: Paths of folders of the system, such as `@eaDir`, which are not entered.
        hidden_folders, hidden_files: Their numbers.
        not_utf8: Number of videos whose path cannot be written.
        unlisted: Folders that cannot be listed.
    """

    root: Path
    videos: tuple[str, ...]
    others: tuple[str, ...] = ()
    system_folders: tuple[str, ...] = ()
    hidden_folders: int = 0
    hidden_files: int = 0
    not_utf8: int = 0
    unlisted: tuple[str, ...] = ()

    def notes(self, used: Collection[str] = ()) -> list[str]:
        """A line for each kind of files that are passed over.

        Args:
            used: Files that are not videos by their names, but are used: the table of the
                dataset, and what it names.
        """
        others = [path for path in self.others if path not in used]
        names = Counter(PurePosixPath(path).name for path in self.system_folders)
        lines = []
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


def find_files(root: Path) -> FoundFiles:
    """All files below a folder; hidden ones and those in folders of the system are counted only.

    Warns of folders that cannot be listed.
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
    return FoundFiles(
        root,
        tuple(videos),
        tuple(others),
        tuple(sorted(system_folders)),
        counts["hidden folders"],
        counts["hidden files"],
        counts["not UTF-8"],
        tuple(unlisted),
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


def unread_files(found: FoundFiles, label_of: Mapping[str, str]) -> list[UnreadFile]:
    """The files in class folders that may be videos, and are not read.

    That is a file whose ending is neither that of a video nor that of another known kind (text,
    table, picture, sound, subtitles, …), unless a video beside it has its name; a file without an
    ending that is not text; and a folder of numbered pictures, which are the frames of a video.

    Args:
        found: The files.
        label_of: The class of each file that lies in a class folder, by path.
    """
    stems = {_without_ending(path) for path in found.videos}
    unread = []
    for path in found.others:
        label = label_of.get(path)
        if label is None or _is_of_another_kind(found.root, path) or _is_side_file(path, stems):
            continue
        ending = PurePosixPath(path).suffix.lower()
        reason = f"{ending} is not an ending of videos" if ending else "its name has no ending"
        unread.append(UnreadFile(path, label, reason, ending or "no ending"))
    for folder, names in frame_folders(found).items():
        label = label_of.get(f"{folder}/{names[0]}")
        if label is not None:
            reason = f"these are {len(names)} frames; {frames_command(found.root / folder, names)}"
            unread.append(UnreadFile(folder, label, reason, "frames"))
    return unread


def frame_folders(found: FoundFiles) -> dict[str, list[str]]:
    """The folders that hold the frames of a video as numbered pictures, with the sorted names of
    the pictures."""
    video_names = {_without_ending(PurePosixPath(path).name) for path in found.videos}
    names_of: dict[str, list[str]] = defaultdict(list)
    for path in found.others:
        pure = PurePosixPath(path)
        if pure.suffix.lower() in _PICTURES and len(pure.parts) > 1:
            names_of[pure.parent.as_posix()].append(pure.name)
    frames = {}
    for folder, names in sorted(names_of.items()):
        stems = [PurePosixPath(name).stem for name in names]
        numbered = [_NUMBERED.fullmatch(stem) for stem in stems]
        prefixes = {match[1] for match in numbered if match}
        is_series = len(names) >= _FEWEST_FRAMES and all(numbered) and len(prefixes) == 1
        # Pictures with the names of videos are their thumbnails.
        if is_series and not video_names & set(stems):
            frames[folder] = sorted(names, key=lambda name: (len(name), name))
    return frames


def frames_command(folder: Path, names: list[str]) -> str:
    """The command that makes a video of the pictures of a folder, in words."""
    stem, ending = os.path.splitext(names[0])
    prefix, digits = _NUMBERED.fullmatch(stem).groups()
    padded = len({len(name) for name in names}) == 1 and len(digits) > 1
    number = f"%0{len(digits)}d" if padded else "%d"
    # FFmpeg looks for a first number of 0 to 4 only.
    start = f"-start_number {int(digits)} " if int(digits) > 4 else ""
    before = f"{folder}/{prefix}".replace("%", "%%")
    pattern = shlex.quote(f"{before}{number}{ending}")
    return (
        f"`ffmpeg -framerate 10 {start}-i {pattern} {shlex.quote(f'{folder}.mp4')}` makes a video "
        "of them (at the rate that they were taken with)"
    )


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
