"""The machine: devices, precision, XLA and seeds, and what was got of what was asked for."""

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from violence_detection.errors import ConfigError, TrainingError
from violence_detection.system.cluster_spec import ClusterSpec

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger(__name__)

_JOIN_S = 60
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class DeviceSetup:
    """What training runs on.

    Attributes:
        strategy: MirroredStrategy for several devices, the default strategy for one.
        dtype_policy: Keras' name of the precision.
        xla: Whether forward and backward are compiled.
        gpus: Number of GPUs in use, on this machine.
        hosts: All machines that train together; None for this one alone.
    """

    strategy: "tf.distribute.Strategy"
    dtype_policy: str
    xla: bool
    gpus: int
    hosts: ClusterSpec | None = None

    @property
    def replicas(self) -> int:
        """Devices, of all machines."""
        return self.strategy.num_replicas_in_sync

    @property
    def share(self) -> tuple[int, int]:
        """Which share of each batch is this machine's: its number, of how many."""
        return (self.hosts.rank, len(self.hosts)) if self.hosts else (0, 1)

    @property
    def first_replica(self) -> int:
        """The number, over all machines, of this one's first replica."""
        number, machines = self.share
        return number * self.replicas // machines

    def distributed(self, batches: "tf.data.Dataset") -> Iterable:
        """Endless batches over the replicas: one machine's whole ones, or its share of each.

        With a last one, TensorFlow would ask all machines before each whether there is one.
        """
        if self.hosts is None:
            return self.strategy.experimental_distribute_dataset(batches)
        rows = batches.element_spec[0].shape[0] * len(self.hosts) // self.replicas
        return self.strategy.distribute_datasets_from_function(lambda _: batches.rebatch(rows))


def import_tensorflow() -> None:
    """Import TensorFlow and find the devices, keeping what it prints off the terminal.

    It writes to file descriptor 2 from C++ whatever TF_CPP_MIN_LOG_LEVEL says, so the
    descriptor itself is turned aside; the text comes back if the import fails.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _stderr_aside(), _hidden("sklearn", "matplotlib"):
        import keras  # noqa: F401  (it reads KERAS_BACKEND now)
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel(logging.ERROR)


@contextlib.contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Modules cannot be imported meanwhile.

    Keras takes scikit-learn and Matplotlib where they are installed, for what is not used here;
    that is nearly half of the time that it takes to start.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _stderr_aside() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def start(
    *,
    seed: int,
    mixed_precision: bool,
    xla: bool,
    virtual_devices: int | None,
    deterministic: bool,
    hosts: ClusterSpec | None = None,
) -> DeviceSetup:
    """Seed everything, set the precision, and find the devices.

    What cannot be had is said in the log, and is not in the machine that comes back.

    Raises:
        ConfigError: If virtual devices are asked for and TensorFlow has already started
            with another number of them, or several machines after it has started.
        TrainingError: If TensorFlow cannot start to listen to the other machines.
    """
    import_tensorflow()
    import keras
    import tensorflow as tf

    if virtual_devices:
        _split_cpu(virtual_devices)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if hosts:
        gpus, strategy = gpu_count(), _over(hosts)
    else:
        gpus = 0 if virtual_devices else len(tf.config.list_logical_devices("GPU"))
        strategy = _over_devices(_devices(virtual_devices), gpus)
    policy = precision(mixed_precision, gpus=gpus)
    keras.config.set_dtype_policy(policy)
    compiled = _xla(xla, deterministic, strategy.num_replicas_in_sync, gpus)
    _use_float16_unheard()
    return DeviceSetup(strategy, policy, compiled, gpus, hosts)


def precision(mixed: bool, *, gpus: int | None = None) -> str:
    """The dtype policy for this machine; float32, and a line in the log, if none is better."""
    if not mixed:
        return "float32"
    if gpus is None:
        gpus = gpu_count()
    if gpus:
        return "mixed_float16"
    if cpu_has_bfloat16():
        return "mixed_bfloat16"
    log.warning("Mixed precision is off: there is no GPU, and this CPU has no bfloat16.")
    return "float32"


def gpu_count() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build layers under a Keras dtype policy."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself (AMX or AVX512-BF16)."""
    return any(flag in cpu_info("flags").split() for flag in _BFLOAT16_FLAGS)


def cpu_info(name: str) -> str:
    """What Linux says of the first processor; nothing where it does not."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return ""
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _over(hosts: ClusterSpec) -> "tf.distribute.Strategy":
    """A strategy over machines; it must be there before anything else is computed."""
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(hosts.addresses)}),
        task_type="worker",
        task_id=hosts.rank,
        num_accelerators={"GPU": gpu_count()},
        rpc_layer="grpc",
    )
    handler = signal.getsignal(signal.SIGTERM)
    log.info(f"TensorFlow joins the machines; where one fails, this ends in {_JOIN_S} s.")
    try:
        with _ending_after(_JOIN_S):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        raise TrainingError(
            "TensorFlow must listen to the other machines. Received: "
            f"{hosts.addresses[hosts.rank]} ({error.message})"
        ) from error
    except RuntimeError as error:
        raise ConfigError(
            "Several machines must be what a process starts TensorFlow with. Received: one in "
            f"which it has started ({error})"
        ) from error
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, handler)  # TensorFlow puts its own there
    return strategy


@contextlib.contextmanager
def _ending_after(seconds: int) -> Iterator[None]:
    """End the process with status 1 where a block does not end.

    TensorFlow holds Python's lock while it joins, for many minutes where a machine has died:
    no other thread of Python could end it.
    """
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _over_devices(devices: list[str], gpus: int) -> "tf.distribute.Strategy":
    import tensorflow as tf

    if len(devices) < 2:
        return tf.distribute.get_strategy()
    operations = None if gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=operations)


def _split_cpu(count: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) != count:
            raise ConfigError(
                f"`virtual_devices` must be set before TensorFlow starts. Received: {count}"
            ) from error


def _devices(virtual_devices: int | None) -> list[str]:
    import tensorflow as tf

    kind = "CPU" if virtual_devices else "GPU"
    return [device.name for device in tf.config.list_logical_devices(kind)]


def _use_float16_unheard() -> None:
    """Features are kept in float16; that oneDNN leaves it to Eigen, TensorFlow prints as an error
    at its first use."""
    import tensorflow as tf

    with _stderr_aside():
        tf.function(tf.identity)(tf.zeros((), tf.float16))


def _xla(asked: bool, deterministic: bool, devices: int, gpus: int) -> bool:
    if asked and deterministic:
        log.warning("XLA is off: it is not deterministic, and --deterministic was asked for.")
    elif asked and devices > 1 and not gpus:
        log.warning("XLA is off: it does not compile for several CPU replicas.")
    if not asked or deterministic or (devices > 1 and not gpus):
        return False
    reason = _xla_failure()
    if reason:
        log.warning(f"XLA is off: it does not compile here ({reason}).")
    return not reason


def _xla_failure() -> str:
    """Why XLA does not compile on this machine; nothing where it does.

    It needs parts of CUDA that a driver does not bring (ptxas, libdevice).
    """
    import tensorflow as tf

    matrix = tf.ones((2, 2))
    try:
        tf.function(tf.matmul, jit_compile=True)(matrix, matrix)
    except (tf.errors.OpError, ValueError) as error:
        return str(error).strip().splitlines()[0][:200]
    return ""
