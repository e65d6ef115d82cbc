"""TensorFlow as the tests start it."""


def start_tensorflow() -> None:
    """Import TensorFlow, with two virtual CPUs: tests can train over replicas in this process."""
    from violence_detection.system import devices

    devices.import_tensorflow()
    import tensorflow as tf

    two = [tf.config.LogicalDeviceConfiguration()] * 2
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        tf.config.set_logical_device_configuration(cpu, two)
