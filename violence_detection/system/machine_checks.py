"""Checks of this machine: devices, precision, XLA, memory, disk, folders and libraries."""

import os
import shutil
import tempfile
from pathlib import Path

from violence_detection.errors import ViolenceDetectionError
from violence_detection.system import devices, files, locks, provenance, requirements
from violence_detection.system.check_list import Outcome
from violence_detection.units import counted, format_bytes

# Processes of a training and of an extraction need about so much.
MEMORY_BYTES = 2 * 2**30
DISK_BYTES = 2**30
_NVIDIA = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"))


def check_libraries() -> Outcome:
    """The versions of the libraries that every installation needs."""
    installed = requirements.by_extra().get("")
    if installed is None:
        return Outcome.skipped("the package is not installed: its requirements are not known")
    if not installed.fits:
        return Outcome.failed(installed.problem, requirements.install_command(""))
    return Outcome.ok(", ".join(f"{name} {text}" for name, text in provenance.versions().items()))


def check_extra(name: str) -> Outcome:
    """The libraries of an extra; one that is not installed is no failure."""
    installed = requirements.by_extra()[name]
    command = requirements.install_command(name)
    if installed.unfit:
        return Outcome.failed(", ".join(installed.unfit), command)
    if installed.missing:
        return Outcome.skipped(f"{', '.join(installed.missing)} not installed; {command}")
    return Outcome.ok(", ".join(f"{key} {text}" for key, text in installed.versions.items()))


def check_devices() -> Outcome:
    """The GPUs that TensorFlow sees, or the CPU; a GPU that it does not see is a failure."""
    devices.import_tensorflow()
    machine = provenance.describe_machine()
    if machine.gpus:
        return Outcome.ok(f"{counted(len(machine.gpus), 'GPU')}: {', '.join(machine.gpus)}")
    processor = f"{machine.cpu}, {counted(len(os.sched_getaffinity(0)), 'core')}"
    if any(path.exists() for path in _NVIDIA) and os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        return Outcome.failed(
            f"there is an NVIDIA driver, and TensorFlow sees no GPU; {processor}",
            f"{requirements.install_command('gpu')}, which brings the CUDA libraries",
        )
    return Outcome.ok(f"no GPU; {processor}")


def check_precision() -> Outcome:
    """A product in the precision that --mixed-precision takes here."""
    devices.import_tensorflow()
    import tensorflow as tf

    gpus = devices.gpu_count()
    if not gpus and not devices.cpu_has_bfloat16():
        return Outcome.ok("float32; no GPU, and this CPU has no bfloat16 for --mixed-precision")
    policy = devices.precision(True)
    dtype = policy.removeprefix("mixed_")
    product = tf.matmul(tf.ones((64, 64), dtype), tf.ones((64, 64), dtype))
    if float(tf.reduce_max(tf.abs(tf.cast(product, tf.float32) - 64))) > 0.5:
        return Outcome.failed(
            f"a product in {dtype} is wrong", "train without --mixed-precision; update the driver"
        )
    return Outcome.ok(f"float32, and {dtype} with --mixed-precision")


def check_xla() -> Outcome:
    """A trial of XLA's compiler."""
    devices.import_tensorflow()
    reason = devices.xla_failure()
    if not reason:
        return Outcome.ok("it compiles")
    if devices.gpu_count():
        return Outcome.failed(
            reason, f"{requirements.install_command('gpu')}; or train without --xla"
        )
    return Outcome.failed(reason, "train without --xla")


def check_cudnn() -> Outcome:
    """A recurrence by cuDNN against the same in plain operations."""
    devices.import_tensorflow()
    if not devices.gpu_count():
        return Outcome.skipped("no GPU")
    import keras
    import numpy as np

    clips = np.random.default_rng(0).normal(size=(4, 10, 16)).astype(np.float32)
    fused = keras.layers.LSTM(8, use_cudnn=True)
    plain = keras.layers.LSTM(8, use_cudnn=False)
    answers = np.asarray(fused(clips))
    plain.build(clips.shape)
    plain.set_weights(fused.get_weights())
    difference = float(np.abs(answers - np.asarray(plain(clips))).max())
    if difference > 1e-2:  # TF32 has 10 bits of mantissa
        return Outcome.failed(
            f"its LSTM differs by {difference:.1e} from plain operations",
            f"{requirements.install_command('gpu')}, and no other cuDNN in LD_LIBRARY_PATH",
        )
    return Outcome.ok(f"its LSTM differs by {difference:.0e} at most from plain operations")


def check_memory(needed_bytes: int = MEMORY_BYTES) -> Outcome:
    """Memory that is free or can be freed, against an estimate."""
    available = available_memory()
    text = f"{format_bytes(available)} are free; about {format_bytes(needed_bytes)} are needed"
    if available < needed_bytes:
        return Outcome.failed(text, "end other programs, or use fewer --workers and --jobs")
    return Outcome.ok(text)


def available_memory() -> int:
    """Memory that is free or can be freed, in bytes."""
    with open("/proc/meminfo") as file:
        rows = dict(line.split(":") for line in file)
    return int(rows["MemAvailable"].split()[0]) * 1024


def check_folder(folder: Path, needed_bytes: int, option: str) -> Outcome:
    """Writes, renames and locks a file where a folder is or will be, and compares the free space
    with an estimate; nothing is left.

    Args:
        folder: The folder; it need not exist.
        needed_bytes: What will be written into it.
        option: The option that names it, for the remedy.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    remedy = f"{option} names another folder"
    if not place.is_dir():
        return Outcome.failed(f"{place} is a file", remedy)
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=files.TEMPORARY_MARK) as trial:
            path = Path(trial) / "trial.json"
            files.write_json(path, {"written": True})
            with locks.locked(Path(trial) / ".lock", "the lock is in use"):
                if files.read_json(path) != {"written": True}:
                    return Outcome.failed(f"{place} gives back other content", remedy)
    except (OSError, ViolenceDetectionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Outcome.failed(f"{place} cannot be written to: {reason}", remedy)
    free = shutil.disk_usage(place).free
    text = f"{place}: {format_bytes(free)} are free; about {format_bytes(needed_bytes)} are needed"
    if free < needed_bytes:
        return Outcome.failed(text, f"free space, or {remedy}")
    return Outcome.ok(text)
