"""Pictures of a finished clip: a contact sheet, and a preview that every browser plays.

Reading a clip is decoding what a camera sent: call `make_pictures` in a child process.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from violence_detection.errors import VideoError
from violence_detection.live.recording.clips import sync_folder
from violence_detection.system import files
from violence_detection.video.writing.video_writer import choose_codec

COLUMNS, ROWS = 4, 2
TILE_PX = (320, 240)  # the width and height that a frame must fit into
PREVIEW_PX = 640  # the largest width of a preview
_JPEG_QUALITY = 80
_QUALITY = {
    "libx264": {"crf": "28", "preset": "veryfast"},
    "libvpx-vp9": {"crf": "36", "b": "0", "deadline": "realtime", "cpu-used": "8"},
}
_PLAYABLE = ("yuv420p", "yuvj420p")  # pixel formats of H.264 that every browser plays


@dataclass(frozen=True)
class ClipPictures:
    """Files of pictures beside a clip.

    Attributes:
        poster: The contact sheet, JPEG.
        preview: A video that any browser plays, or None if the clip is one.
        bytes: Size of them all.
    """

    poster: Path
    preview: Path | None
    bytes: int


def make_pictures(clip: Path) -> ClipPictures:
    """Makes the pictures of a clip.

    Args:
        clip: A finished clip; the pictures get its name with other endings.

    Raises:
        VideoError: If no frame of the clip can be decoded.
        ViolenceDetectionError: If they cannot be written.
    """
    poster = clip.with_suffix(".jpg")
    frames, is_playable = _spread_frames(clip)
    _write_jpeg(poster, contact_sheet(frames))
    preview = None if is_playable else clip.with_suffix(".preview.mp4")
    if preview:
        write_preview(clip, preview)
    size = sum(path.stat().st_size for path in (poster, preview) if path)
    return ClipPictures(poster, preview, size)


def contact_sheet(frames: list[np.ndarray]) -> np.ndarray:
    """Frames in rows from left to right, uint8 (H, W, 3) BGR; places without a frame are black."""
    tiles = [_fitted(frame) for frame in frames[: COLUMNS * ROWS]]
    height, width = tiles[0].shape[:2]
    sheet = np.zeros((ROWS * height, COLUMNS * width, 3), np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        high, wide = min(height, tile.shape[0]), min(width, tile.shape[1])
        top, left = row * height, column * width
        sheet[top : top + high, left : left + wide] = tile[:high, :wide]
    return sheet


def write_preview(clip: Path, preview: Path) -> None:
    """Writes a clip again as H.264 (VP9 where PyAV has no x264), at most 640 pixels wide.

    Raises:
        VideoError: If no frame of the clip can be decoded.
        ViolenceDetectionError: If it cannot be written.
    """
    codec = choose_codec()
    temporary = preview.with_name(f"{preview.name[:20]}{files.temporary_mark()}")
    encoder, last_pts = None, -1
    try:
        with (
            contextlib.closing(_opened(clip)) as source,
            av.open(
                f"file:{temporary.absolute()}",
                "w",
                format="mp4",
                options={"movflags": "faststart"},
            ) as output,
        ):
            for frame in _decoded(source):
                if encoder is None:
                    encoder = _preview_encoder(output, codec, source.streams.video[0], frame)
                if frame.pts is None or frame.pts <= last_pts:
                    continue
                small = frame.reformat(encoder.width, encoder.height, "yuv420p")
                small.pts, small.time_base, last_pts = frame.pts, frame.time_base, frame.pts
                output.mux(encoder.encode(small))
            if encoder is None:
                raise _no_frame(clip)
            output.mux(encoder.encode())
        files.replace(temporary, preview)
        sync_folder(preview.parent)
    except OSError as error:
        raise files.write_error(preview, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _preview_encoder(
    output: "av.container.OutputContainer",
    codec: str,
    stream: "av.VideoStream",
    frame: av.VideoFrame,
) -> "av.VideoStream":
    share = min(1.0, PREVIEW_PX / frame.width)
    encoder = output.add_stream(codec, rate=25)
    encoder.width = max(2, round(frame.width * share) & ~1)
    encoder.height = max(2, round(frame.height * share) & ~1)
    encoder.pix_fmt, encoder.options = "yuv420p", _QUALITY[codec]
    if frame.rotation:
        encoder.set_display_rotation(frame.rotation)
    encoder.codec_context.time_base = encoder.time_base = stream.time_base
    encoder.codec_context.thread_count = 1
    return encoder


def _spread_frames(clip: Path) -> tuple[list[np.ndarray], bool]:
    """Frames at equal distances over a clip, uint8 (H, W, 3) BGR; True if browsers play it."""
    count, frames = COLUMNS * ROWS, []
    with contextlib.closing(_opened(clip)) as source:
        stream = source.streams.video[0]
        total = max(1, stream.frames)
        wanted = {(2 * place + 1) * total // (2 * count) for place in range(count)}
        context = stream.codec_context
        for number, frame in enumerate(_decoded(source)):
            if number in wanted or not frames:
                width, height = _fitting(frame.width, frame.height, TILE_PX[0] * 2)
                image = frame.reformat(width, height, "bgr24").to_ndarray()
                frames.append(np.rot90(image, frame.rotation // 90 % 4))
        is_playable = context.name == "h264" and context.pix_fmt in _PLAYABLE
    if not frames:
        raise _no_frame(clip)
    # The first frame is a stand-in for clips of which no other can be decoded.
    return frames[1:] if len(frames) > count else frames, is_playable


def _opened(clip: Path) -> "av.container.InputContainer":
    try:
        source = av.open(f"file:{clip.absolute()}", format="mov")
    except av.FFmpegError as error:
        raise VideoError(f"A clip must be a readable MP4 file. Received: {clip.name}") from error
    if not source.streams.video:
        source.close()
        raise _no_frame(clip)
    source.streams.video[0].thread_count = 1
    return source


def _decoded(source: "av.container.InputContainer") -> Iterator[av.VideoFrame]:
    """Frames; damaged packets are passed over."""
    stream = source.streams.video[0]
    with contextlib.suppress(av.FFmpegError):
        for packet in source.demux(stream):
            with contextlib.suppress(av.FFmpegError):
                yield from packet.decode()


def _no_frame(clip: Path) -> VideoError:
    return VideoError(f"A clip must have a frame that can be decoded. Received: {clip.name}")


def _fitted(frame: np.ndarray) -> np.ndarray:
    share = min(TILE_PX[0] / frame.shape[1], TILE_PX[1] / frame.shape[0])
    size = (max(1, round(frame.shape[1] * share)), max(1, round(frame.shape[0] * share)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _fitting(width: int, height: int, largest: int) -> tuple[int, int]:
    share = min(1.0, largest / max(width, height))
    return max(1, round(width * share)), max(1, round(height * share))


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    done, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise VideoError(f"A contact sheet must be written as JPEG. Received: {path.name}")
    with files.writing(path) as file:
        file.write(content.tobytes())
