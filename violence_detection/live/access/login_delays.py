"""Delays after failed logins, which slow down who guesses and not who has the password.

Failures are counted in the last hour. A device on which the user has logged in before is known by
a cookie, and only its own failures delay it. Failures of others are counted by user and address
together, by address, and by user over all addresses. So nobody who does not know the cookie can
keep a user out of a known device; at worst the user is delayed on a new one.

Reference:
    OWASP, "Slow Down Online Guessing Attacks with Device Cookies"
"""

import ipaddress
from dataclasses import dataclass

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.access.account_file import AccountFile, digest_of

_MEMORY_MS = 3600 * 1000


class LoginError(ViolenceDetectionError):
    """A login that failed.

    Attributes:
        retry_after_s: Seconds until the next try is looked at; 0.0 if it is looked at now.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class _Limit:
    """A delay after failures.

    Attributes:
        free: Failures that delay nothing.
        first_s: Seconds of delay after one more; they double with each further failure.
        longest_s: They do not grow beyond.
    """

    free: int
    first_s: float
    longest_s: float

    def delay_s(self, failures: int) -> float:
        if failures < self.free:
            return 0.0
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - self.free, 20))


_LIMITS = {
    "device": _Limit(5, 30.0, 3600.0),
    "pair": _Limit(5, 30.0, 3600.0),
    "address": _Limit(20, 30.0, 3600.0),  # several people may sit behind one address
    "user": _Limit(100, 30.0, 30.0),  # who guesses from many addresses
}


def subjects_of(name: str, address: str, known_device: str) -> tuple[str, ...]:
    """Subjects under which the failures of a login are counted.

    Args:
        name: Of the user.
        address: From where.
        known_device: The secret of a device that is known to be the user's, or empty.
    """
    if known_device:
        return (f"device {digest_of(known_device)}",)
    network = _network(address)
    return (f"pair {network} {name}", f"address {network}", f"user {name}")


def check_delay(file: AccountFile, subjects: tuple[str, ...], now_ms: int) -> None:
    """
    Raises:
        LoginError: If it is too early for the next try.
    """
    delay_s = max(_delay_s(file, subject, now_ms) for subject in subjects)
    if delay_s > 0:
        raise LoginError(f"too many failed logins; try again in {delay_s:.0f} s", delay_s)


def record_failure(file: AccountFile, subjects: tuple[str, ...], now_ms: int) -> None:
    """Notes a failed login, and forgets those of more than an hour ago."""
    with file.transaction() as connection:
        connection.execute("delete from login_failures where at_ms <= ?", (now_ms - _MEMORY_MS,))
        rows = [(subject, now_ms) for subject in subjects]
        connection.executemany("insert into login_failures values (?, ?)", rows)


def _delay_s(file: AccountFile, subject: str, now_ms: int) -> float:
    """Seconds until the next try of a subject is looked at."""
    count, last_ms = file.row(
        "select count(*), max(at_ms) from login_failures where subject = ? and at_ms > ?",
        (subject, now_ms - _MEMORY_MS),
    )
    delay_s = _LIMITS[subject.partition(" ")[0]].delay_s(count)
    return max(0.0, delay_s - (now_ms - last_ms) / 1000) if delay_s else 0.0


def _network(address: str) -> str:
    """An address of version 4, or the network of one of version 6: a household has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
