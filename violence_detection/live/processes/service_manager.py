"""Messages to systemd, where it has started this process (Type=notify)."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Sends a state: `READY=1`, `WATCHDOG=1`, `STATUS=…`; nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = f"\0{address[1:]}"
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection,
    ):
        connection.sendto(state.encode(), address)
