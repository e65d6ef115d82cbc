"""Every file is read or refused, whatever its bytes are, and no file affects another video."""

import re
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from support import mutants
from support.encoding import encode
from support.extraction import SMALL, build_once, contents
from support.mutants import FRAMES, KINDS, Mutant

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import VideoError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction.extract import extract_features
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system import processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video.clip_reader import Clip, ClipReader

pytestmark = pytest.mark.slow  # its fixtures train or extract

SEED, FEW, ALL = 1, 50, 500
LONGEST_S = {FEW: 60, ALL: 300}

# What a reason may be: no crash, no timeout, no memory that ran out.
REASON = re.compile(
    r"not a video that can be opened|no frame of it can be decoded|"
    r"\d+ of \d+ declared frames can be decoded; \d are needed|"
    r"its frames are declared as \d+x\d+, over the limit|"
    r"\d+ of \d+ frames are corrupt, more than half|it has one frame, and motion needs two|"
    r"a frame of it can be read but not decoded|the decoder failed: .*|"
    r"some frames could be decoded at the first reading but not at the second"
)
# MPEG-TS and MPEG-PS declare no length: FFmpeg takes it from what is there.
DECLARES_NO_LENGTH = {"h264.ts", "mpeg2.ts", "mpeg2.mpg"}
LOSES_NOTHING = {"spliced", "piece doubled"}  # on the whole


class Extracted(NamedTuple):
    """The extraction of mutants and sound clips in one folder; keys are those of the manifest."""

    root: Path
    mutants: dict[str, Mutant]
    entries: dict[str, ManifestEntry]
    features: Path
    took_s: float

    def of_mutants(self) -> list[tuple[Mutant, ManifestEntry]]:
        return [(mutant, self.entries[key]) for key, mutant in self.mutants.items()]


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> dict[str, bytes]:
    return mutants.draw_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(
    scope="module",
    params=[FEW, pytest.param(ALL, marks=pytest.mark.thorough)],
    ids=["few", "all"],
)
def extracted(request, sources, tmp_path_factory) -> Extracted:
    root = tmp_path_factory.mktemp("mutants")
    found = {}
    for number, mutant in enumerate(mutants.mutants(sources, seed=SEED, count=request.param)):
        found[f"{('fight', 'noFight')[number % 2]}/{mutant.name}"] = mutant
    sound = {f"noFight/sound_{name}": content for name, content in sources.items()}
    for key, content in sound.items() | {k: m.content for k, m in found.items()}.items():
        (root / key).parent.mkdir(exist_ok=True)
        (root / key).write_bytes(content)
    start_s = time.monotonic()
    cache_dir = extract(root, tmp_path_factory.mktemp("cache"))
    took_s = time.monotonic() - start_s
    entries = {entry.path: entry for entry in FeatureCache.open(cache_dir).entries()}
    return Extracted(root, found, entries, cache_dir, took_s)


def extract(root: Path, cache_dir: Path) -> Path:
    settings = {"cache_dir": str(cache_dir), "max_failures": 1.0, **SMALL}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractor, "build", build_once)
        return extract_features(root, ExtractConfig.from_flags(settings)).features


# -- mutants


def test_every_source_and_every_kind_is_among_them(extracted, sources):
    kinds = Counter(mutant.kind for mutant in extracted.mutants.values())
    origins = Counter(mutant.source for mutant in extracted.mutants.values())
    assert kinds.keys() == KINDS.keys()
    assert origins.keys() == sources.keys()
    assert max(kinds.values()) - min(kinds.values()) <= 1
    if len(extracted.mutants) == ALL:
        pairs = {(mutant.source, mutant.kind) for mutant in extracted.mutants.values()}
        assert len(pairs) == len(kinds) * len(origins)


def test_they_are_done_in_time(extracted):
    assert extracted.took_s < LONGEST_S[len(extracted.mutants)]


def test_each_has_an_array_or_a_reason(extracted):
    for mutant, entry in extracted.of_mutants():
        array = extracted.features / f"{entry.path}.npy"
        if entry.status == "failed":
            assert REASON.fullmatch(entry.error), (mutant[:3], entry.error)
            assert not array.exists()
            continue
        assert entry.status == ("damaged" if entry.error else "ok")
        assert array.is_file()
        assert entry.frames >= 1
        assert 0 <= entry.fps <= 1000
        assert 0 < entry.duration_s < np.inf


def test_the_arrays_are_those_of_the_manifest_and_hold_features(extracted):
    arrays = {
        path.relative_to(extracted.features).as_posix(): np.load(path)
        for path in extracted.features.rglob("*.npy")
    }
    usable = {entry.path for entry in extracted.entries.values() if entry.usable}
    assert arrays.keys() == {f"{path}.npy" for path in usable}
    for path, array in arrays.items():
        assert (array.dtype, array.shape) == (np.float16, (4, 1280)), path
        assert np.isfinite(array).all(), path
        assert array.any(), path


def test_no_status_is_rare(extracted):
    """Otherwise the mutants would be damaged too little, or too much, to show anything."""
    statuses = Counter(entry.status for _, entry in extracted.of_mutants())
    assert min(statuses[name] for name in ("ok", "damaged", "failed")) >= 5
    assert statuses.total() == len(extracted.mutants)


def test_the_sound_clips_beside_them_are_read_whole(extracted, sources):
    for source in sources:
        entry = extracted.entries[f"noFight/sound_{source}"]
        if source == "av1.mp4" and entry.status == "failed":
            continue  # OpenCV has no decoder of AV1 up to 4.13
        assert (entry.status, entry.frames) == ("ok", FRAMES), source


def test_another_extension_changes_nothing(extracted):
    for mutant, entry in extracted.of_mutants():
        if mutant.kind == "wrong extension":
            sound = extracted.entries[f"noFight/sound_{mutant.source}"]
            assert entry.array_digest == sound.array_digest, mutant[:3]
            assert (entry.status, entry.frames) == (sound.status, sound.frames)


def test_noise_is_refused(extracted):
    reasons = {e.error for m, e in extracted.of_mutants() if m.kind == "noise"}
    assert reasons == {"not a video that can be opened"}


def test_frames_that_are_gone_are_noticed(extracted):
    """Not all: where the times reach the declared end, the rate may have been uneven."""
    statuses = Counter(
        entry.status
        for mutant, entry in extracted.of_mutants()
        if mutant.source not in DECLARES_NO_LENGTH
        and mutant.kind not in LOSES_NOTHING
        and entry.usable
        and entry.frames < 0.7 * FRAMES
    )
    assert statuses.total() >= 3
    assert statuses["damaged"] >= 0.7 * statuses.total()


def test_extracting_again_gives_the_same_to_the_bit(extracted, tmp_path):
    again = extract(extracted.root, tmp_path)
    assert contents(again) == contents(extracted.features)


def test_a_seed_always_draws_the_same(sources):
    first, second = (list(mutants.mutants(sources, seed=5, count=30)) for _ in "12")
    assert first == second
    assert mutants.mutant(sources, seed=5, number=29) == first[29]
    assert first != list(mutants.mutants(sources, seed=6, count=30))


# -- what is no video, though FFmpeg reads it

PLAYLISTS = {
    "of files": "ffconcat version 1.0\nfile h264.ts\nfile h264.ts\n",
    "of itself": "ffconcat version 1.0\nfile list.mp4\n",
    "that has an end": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nh264.ts\n#EXT-X-ENDLIST\n",
    "that goes on": "#EXTM3U\n#EXT-X-TARGETDURATION:99\n#EXTINF:1,\nh264.ts\n",
}


@pytest.mark.parametrize("playlist", PLAYLISTS.values(), ids=PLAYLISTS)
def test_a_playlist_is_no_video(playlist, sources, tmp_path):
    (tmp_path / "h264.ts").write_bytes(sources["h264.ts"])
    (tmp_path / "list.mp4").write_text(playlist)
    assert came_of(tmp_path / "list.mp4") == "not a video that can be opened"


def test_a_stream_without_a_signature_is_no_video(tmp_path):
    """A few of some thousands of noise files are recognised as H.263."""
    path = encode(tmp_path / "a.h263", codec="h263", size=(128, 96))
    path = path.rename(tmp_path / "a.mp4")
    assert came_of(path) == "not a video that can be opened"


def came_of(path: Path) -> str | Clip:
    """The clip that is read in a child process, or the error."""
    reader = ClipReader(stream="rgb", frames=4, frame_size=32)
    with ProcessPool() as call:
        try:
            return call(reader.read, path, timeout_s=60)
        except VideoError as error:
            return str(error)


# -- more than is there


@pytest.fixture
def read_measured(sources, tmp_path):
    """Reads a file in a new child process; returns the result and the peak memory in MiB."""
    while processes._idle:  # what a child has taken before, it does not take again
        processes._idle.pop().kill()
    sound = tmp_path / "sound.mp4"
    sound.write_bytes(sources["mpeg4.mp4"])

    def read(path: Path) -> tuple[str | Clip, float]:
        reader = ClipReader(stream="rgb", frames=4, frame_size=32)
        with ProcessPool() as call:
            call(reader.read, sound)
            before = _peak_mib(call)
            try:
                came = call(reader.read, path, timeout_s=60)
            except VideoError as error:
                came = str(error)
            return came, _peak_mib(call) - before

    return read


def _peak_mib(call: ProcessPool) -> float:
    """Peak memory of the child; `ru_maxrss` would begin with that of its parent."""
    status = call(Path.read_text, Path("/proc/self/status"))
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


ENORMOUS = {
    "a.mp4": ("mpeg4.mp4", mutants.with_size_in_boxes, 65535),
    "a.avi": ("xvid.avi", mutants.with_size_in_headers, 2**31 - 1),
}


@pytest.mark.parametrize("name", ENORMOUS)
def test_a_size_that_the_container_declares_costs_nothing(name, sources, tmp_path, read_measured):
    """The size in the codec's stream counts."""
    source, craft, side = ENORMOUS[name]
    (tmp_path / name).write_bytes(craft(sources[source], side, side))
    clip, peak = read_measured(tmp_path / name)
    assert (clip.frames, clip.damage) == (FRAMES, "")
    assert peak < 64


def test_a_size_over_the_limit_is_refused_before_frames_are_made(sources, tmp_path, read_measured):
    content = mutants.with_size_in_asf(sources["wmv.asf"], 16384, 8192)
    (tmp_path / "a.asf").write_bytes(content)
    reason, peak = read_measured(tmp_path / "a.asf")
    assert reason == "its frames are declared as 16384x8192, over the limit"
    assert peak < 400


def _key_frame(sources, path: Path) -> None:
    """A frame over the limit, of which the container says nothing."""
    content = mutants.with_size_in_key_frame(sources["vp8.webm"], 16383, 14000)
    path.write_bytes(content)


def _samples(sources, path: Path) -> None:
    path.write_bytes(mutants.with_samples(sources["mpeg4.mp4"], 75_000_000))


def _unfolding(sources, path: Path) -> None:
    mutants.draw_unfolding(path, (8192, 4320))


@pytest.mark.parametrize("craft", [_key_frame, _samples, _unfolding])
def test_kilobytes_never_take_gigabytes(craft, sources, tmp_path, read_measured):
    path = tmp_path / "a.mp4"
    craft(sources, path)
    assert path.stat().st_size < 256 * 1024
    came, peak = read_measured(path)
    assert isinstance(came, Clip) or "2 GB of memory" in came or REASON.fullmatch(came)
    assert peak < 2048
