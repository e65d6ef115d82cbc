"""Devices, precision, XLA and seeds of a training, as far as this machine supports them."""

import contextlib
import faulthandler
import gc
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
from violence_detection.system.coordination import Coordinator, LocalCoordinator

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger(__name__)

_JOIN_S = 60
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class DeviceSetup:
    """The devices that a training runs on.

    Attributes:
        strategy: MirroredStrategy for several devices, the default strategy for one.
        dtype_policy: Keras' name of the precision.
        xla: True if the forward and backward pass are compiled.
        gpus: Number of GPUs in use on this machine.
        coordinator: The connection to the machines that train together with this one; a local
            coordinator if there are none.
    """

    strategy: "tf.distribute.Strategy"
    dtype_policy: str
    xla: bool
    gpus: int
    coordinator: Coordinator = LocalCoordinator()

    @property
    def replicas(self) -> int:
        """The number of devices of all machines."""
        return self.strategy.num_replicas_in_sync

    @property
    def batch_part(self) -> tuple[int, int]:
        """This machine's part of each batch: the rank, and the number of machines."""
        cluster = self.coordinator.cluster
        return (cluster.rank, len(cluster)) if cluster else (0, 1)

    @property
    def first_replica(self) -> int:
        """The number of this machine's first replica among those of all machines."""
        rank, machines = self.batch_part
        return rank * self.replicas // machines

    def distributed(self, batches: "tf.data.Dataset") -> Iterable:
        """Batches divided over the replicas.

        Args:
            batches: Endless: for a dataset that ends, TensorFlow asks all machines before each
                batch whether one is left. With several machines, each gives its own part of the
                batches.
        """
        _, machines = self.batch_part
        if machines == 1:
            return self.strategy.experimental_distribute_dataset(batches)
        rows = batches.element_spec[0].shape[0] * machines // self.replicas
        return self.strategy.distribute_datasets_from_function(lambda _: batches.rebatch(rows))


def import_tensorflow() -> None:
    """Import TensorFlow and find the devices, without its messages on the terminal.

    TensorFlow writes to file descriptor 2 from C++, whatever TF_CPP_MIN_LOG_LEVEL says, so the
    descriptor itself is redirected. The messages are printed if the import fails.

    Raises:
        ConfigError: If Keras was imported before, with another backend.
    """
    if "tensorflow" in sys.modules:
        return _set_keras_defaults()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with stderr_redirected(), _hidden("sklearn", "matplotlib"), _no_garbage_collection():
        import keras  # noqa: F401  (reads KERAS_BACKEND now)
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel(logging.ERROR)
    _set_keras_defaults()


def _set_keras_defaults() -> None:
    """Keras' own defaults, whatever keras.json in the user's home says: features and answers
    depend on them, and their records do not name them."""
    import keras

    if keras.config.backend() != "tensorflow":
        raise ConfigError(
            "Keras must use TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported. "
            f"Received: {keras.config.backend()}"
        )
    has_default_policy = keras.config.dtype_policy().name == keras.config.floatx()
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    if has_default_policy:
        keras.config.set_dtype_policy("float32")


@contextlib.contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Modules that cannot be imported inside the block.

    Keras imports scikit-learn and Matplotlib where they are installed, for features that are not
    used here, and spends nearly half of its start-up time on it.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """No garbage is looked for inside the block.

    An import leaves a million objects that stay; Python would go through all of them several
    times, which is a tenth of TensorFlow's start-up time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def stderr_redirected() -> Iterator[None]:
    """File descriptor 2 goes to a temporary file inside the block; after an error it is printed."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except Exception:
            messages.seek(0)
            os.write(terminal, messages.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def start(
    *,
    seed: int,
    mixed_precision: bool,
    xla: bool,
    virtual_devices: int | None,
    deterministic: bool,
    coordinator: Coordinator | None = None,
) -> DeviceSetup:
    """Seed all random generators, set the precision, and find the devices.

    Whatever was asked for and is not supported here is logged, and is off in the result.

    Args:
        coordinator: The connection to the other machines; None for this one alone.

    Raises:
        ConfigError: If virtual devices are asked for and TensorFlow has already started with
            another number of them, or if several machines are asked for after it has started.
        TrainingError: If TensorFlow cannot open its port for the other machines.
    """
    coordinator = coordinator or LocalCoordinator()
    import_tensorflow()
    import keras
    import tensorflow as tf

    if virtual_devices:
        _split_cpu(virtual_devices)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if coordinator.cluster:
        gpus, strategy = gpu_count(), _multi_worker_strategy(coordinator.cluster)
    else:
        gpus = 0 if virtual_devices else len(tf.config.list_logical_devices("GPU"))
        strategy = _strategy_of(_devices(virtual_devices), gpus)
    policy = precision(mixed_precision, gpus=gpus)
    keras.config.set_dtype_policy(policy)
    compiled = _try_xla(xla, deterministic, strategy.num_replicas_in_sync, gpus)
    _use_float16_quietly()
    return DeviceSetup(strategy, policy, compiled, gpus, coordinator)


def precision(mixed: bool, *, gpus: int | None = None) -> str:
    """The dtype policy for this machine: mixed precision if its hardware has it, else float32."""
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
    """True if the CPU has bfloat16 multiplication (AMX or AVX512-BF16)."""
    return any(flag in cpu_info("flags").split() for flag in _BFLOAT16_FLAGS)


def cpu_info(name: str) -> str:
    """An entry of /proc/cpuinfo for the first processor; empty where it is missing."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return ""
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _multi_worker_strategy(cluster: ClusterSpec) -> "tf.distribute.Strategy":
    """A strategy over machines; it must be created before TensorFlow computes anything."""
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.rank,
        num_accelerators={"GPU": gpu_count()},
        rpc_layer="grpc",
    )
    handler = signal.getsignal(signal.SIGTERM)
    log.info(f"TensorFlow connects the machines; if one fails, this ends after {_JOIN_S} s.")
    try:
        with _ending_after(_JOIN_S):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        raise TrainingError(
            "TensorFlow must be able to listen to the other machines. Received: "
            f"{cluster.addresses[cluster.rank]} ({error.message})"
        ) from error
    except RuntimeError as error:
        raise ConfigError(
            "A training of several machines must start in a process that has not used TensorFlow "
            f"yet. Received: one that has ({error})"
        ) from error
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, handler)  # TensorFlow has set its own
    return strategy


@contextlib.contextmanager
def _ending_after(seconds: int) -> Iterator[None]:
    """Ends the process with status 1 if the block takes longer than some seconds.

    TensorFlow holds Python's lock while it connects, for many minutes if a machine has died, so
    that no other Python thread could end the process. `faulthandler` uses a thread of its own
    that needs no lock.
    """
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _strategy_of(devices: list[str], gpus: int) -> "tf.distribute.Strategy":
    import tensorflow as tf

    if len(devices) < 2:
        return tf.distribute.get_strategy()
    # NCCL, the default, is for GPUs only.
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


def _use_float16_quietly() -> None:
    """Use float16 once, without TensorFlow's message.

    Features are stored in float16. At its first use TensorFlow prints as an error that oneDNN does
    not support it on this CPU, and that Eigen is used.
    """
    import tensorflow as tf

    with stderr_redirected():
        tf.function(tf.identity)(tf.zeros((), tf.float16))


def _try_xla(asked: bool, deterministic: bool, devices: int, gpus: int) -> bool:
    """True if XLA was asked for and works here; a warning if it does not."""
    if asked and deterministic:
        log.warning("XLA is off: it is not deterministic, and --deterministic was asked for.")
    elif asked and devices > 1 and not gpus:
        log.warning("XLA is off: it does not compile for several CPU replicas.")
    if not asked or deterministic or (devices > 1 and not gpus):
        return False
    reason = xla_failure()
    if reason:
        log.warning(f"XLA is off: it does not compile here ({reason}).")
    return not reason


def xla_failure() -> str:
    """The reason why XLA does not compile on this machine; empty if it does.

    The only reliable way to know is to compile something: XLA needs parts of CUDA that a driver
    does not bring (ptxas, libdevice), looks for them in several places, and TensorFlow does not say
    whether it has found them. Without this trial the error would come in the first step of the
    training, and end it. A product of two matrices is enough, as every compiled kernel needs them.
    """
    import tensorflow as tf

    matrix = tf.ones((2, 2))
    try:
        tf.function(tf.matmul, jit_compile=True)(matrix, matrix)
    except (tf.errors.OpError, ValueError) as error:
        return str(error).strip().splitlines()[0][:200]
    return ""
