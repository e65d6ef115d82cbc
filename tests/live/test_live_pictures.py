"""Pictures for those who look, and privacy masks in all that leaves a capture."""

import base64
import contextlib
import time

import cv2
import numpy as np
import pytest
from support.capture_worker import SIZE, RunningCapture
from support.encoding import encode
from support.rtsp_server import RtspServer, TestCamera

from violence_detection.live.capturing.event_pictures import EventPictures
from violence_detection.live.capturing.picture_maker import PictureMaker
from violence_detection.live.processes.capture_messages import CameraPicture
from violence_detection.live.processes.clip_messages import EventPictureOrder
from violence_detection.live.processes.process_messages import PictureOrder
from violence_detection.live.recording.privacy_masks import MaskedFrame, PrivacyMasks
from violence_detection.live.watching.camera_pictures import CameraPictures

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


class GreyFrame:
    time_s, arrived_s = 1.0, 7.0

    def __init__(self, width=640, height=360) -> None:
        self.image = np.full((height, width, 3), 200, np.uint8)

    def retrieve(self) -> np.ndarray:
        return self.image


def pixels_of(message: CameraPicture) -> np.ndarray:
    content = np.frombuffer(base64.b64decode(message.jpeg), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR)


def jpeg_text(size: int = 16) -> str:
    return base64.b64encode(cv2.imencode(".jpg", np.zeros((size, size, 3), np.uint8))[1]).decode()


def test_pictures_are_made_only_while_an_order_holds_four_a_second():
    times, sent = [0.0], []
    maker = PictureMaker(sent.append, now_s=lambda: times[0])
    frame = MaskedFrame(GreyFrame(), PrivacyMasks(()))
    maker.offer(frame)
    assert not sent
    maker.order(5.0)
    for tick in range(1000):
        times[0] = tick / 100
        maker.offer(frame)
    assert len(sent) == 20, "5 s at 4 a second"
    assert pixels_of(sent[0]).shape == (180, 320, 3) and sent[0].taken_s == 7.0


@pytest.mark.parametrize("size", [(640, 360), (8, 4000), (3, 1)])
def test_a_mask_is_black_in_a_picture_of_any_shape(size):
    sent = []
    maker = PictureMaker(sent.append, now_s=lambda: 10.0)
    maker.order(5.0)
    maker.offer(MaskedFrame(GreyFrame(*size), PrivacyMasks([LEFT_HALF])))
    (message,) = sent
    picture = pixels_of(message)
    assert picture[:, : int(picture.shape[1] * 0.45)].max() < 12
    if size == (640, 360):
        assert picture[:, 168:].min() > 190


class Orders:
    """The supervisor's pictures, with what they order and a clock that a test sets."""

    def __init__(self) -> None:
        self.now_s, self.ordered = 100.0, []
        self.pictures = CameraPictures(self.ordered.append, first_s=0.0, now_s=lambda: self.now_s)

    def newest(self) -> bytes:
        return self.pictures.newest("door", may_wait=True)


def test_who_asks_orders_pictures_once_a_second_and_gets_none_that_is_old():
    orders = Orders()
    assert orders.newest() == b"" and orders.newest() == b""
    assert orders.ordered == ["door"]
    orders.pictures.add("door", CameraPicture(99.5, jpeg_text()))
    assert orders.newest().startswith(b"\xff\xd8")
    orders.now_s = 109.0
    assert orders.newest() and orders.ordered == ["door", "door"]
    orders.now_s = 109.6
    assert orders.newest() == b"", "it is more than 10 s old"
    assert orders.pictures.newest("yard", may_wait=False) == b""


@pytest.mark.parametrize(
    "text",
    ["", "&&&", "=", base64.b64encode(b"<svg onload=alert(1)>").decode(), "A" * (2**18 + 4)],
)
def test_what_is_no_picture_is_not_shown(text):
    orders = Orders()
    orders.pictures.add("door", CameraPicture(100.0, text))
    assert orders.newest() == b""


def test_a_picture_from_the_future_gets_old_all_the_same():
    orders = Orders()
    orders.pictures.add("door", CameraPicture(1e9, jpeg_text()))
    orders.now_s = 111.0
    assert orders.newest() == b""


@pytest.mark.slow  # a process takes a second to start
def test_a_capture_shows_and_judges_no_pixel_under_a_mask(tmp_path):
    clip = encode(tmp_path / "a.mp4", frames=100, size=(160, 120), g=25, bf=0)
    with (
        RtspServer({"door": TestCamera([clip])}) as server,
        RunningCapture(server.url("door"), tmp_path, privacy_masks=(LEFT_HALF,)) as capture,
    ):
        pictures = lambda: [m for m in list(capture.messages) if isinstance(m, CameraPicture)]
        capture.wait_for(lambda: capture.judge.windows)
        assert not pictures(), "nobody has asked"
        capture.process.send(PictureOrder(1.0))
        capture.wait_for(lambda: len(pictures()) >= 3)
        time.sleep(1.2)
        count = len(pictures())
        time.sleep(0.5)
        assert len(pictures()) == count <= 6, "the order is over"
        picture = pixels_of(pictures()[0])
        chunks = list(capture.judge.chunks)
    assert picture.shape == (240, 320, 3)
    assert picture[:, :150].max() < 12 < picture[:, 170:].mean()
    images = np.concatenate(
        [np.frombuffer(bytes(c.images), np.uint8).reshape(-1, SIZE, SIZE, 3) for c in chunks]
    )
    assert len(images) and images[:, :, : SIZE // 2 - 1].max() == 0
    assert images[:, :, SIZE // 2 + 2 :].mean() > 50


def test_pictures_of_an_event_are_those_that_are_ordered(tmp_path):
    """The original is there at once; the blurred one needs frames that show what moves."""
    times = [0.0]
    pictures = EventPictures(tmp_path, now_s=lambda: times[0])
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (64, 64, 3), np.uint8)

    def see(count: int) -> None:
        for _ in range(count):
            times[0] += 0.1
            frame = GreyFrame(960, 540)
            left = round(1000 * times[0]) % 700
            frame.image[200:264, left : left + 64] = texture
            pictures.offer(MaskedFrame(frame, PrivacyMasks([LEFT_HALF])))

    see(3)
    assert list(tmp_path.iterdir()) == []
    pictures.order(EventPictureOrder("clips/door/e.start.jpg", "clips/door/e.start.blurred.jpg"))
    see(1)
    original = cv2.imread(str(tmp_path / "clips/door/e.start.jpg"))
    assert original.shape == (360, 640, 3) and original[:, :318].max() < 30
    see(10)
    blurred = tmp_path / "clips/door/e.start.blurred.jpg"
    end_s = time.monotonic() + 20
    while not blurred.exists() and time.monotonic() < end_s:
        time.sleep(0.01)
    image = cv2.imread(str(blurred))
    assert image.shape == original.shape and image[:, :318].max() < 40
    assert sorted(path.name for path in (tmp_path / "clips/door").iterdir()) == [
        "e.start.blurred.jpg",
        "e.start.jpg",
    ]


def test_a_picture_on_a_full_disk_is_left_out(small_disk, caplog):
    with open(small_disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    pictures = EventPictures(small_disk)
    pictures.order(EventPictureOrder("clips/door/e.start.jpg"))
    pictures.offer(MaskedFrame(GreyFrame(), PrivacyMasks(())))
    assert "picture of an event was not written" in caplog.text
