"""The operating system: processes, files, locks, devices, other machines."""
