"""Passwords as they are stored: scrypt with a salt, and its parameters beside it."""

import hashlib
import hmac
import secrets
import threading

from violence_detection.errors import ConfigError

MIN_PASSWORD = 10
MAX_PASSWORD = 512
# log2 of n, r, p: 32 MB and about 0.1 s; OWASP's list of 2023 names it
SCRYPT = (15, 8, 1)
_HASHING = threading.Semaphore(2)  # each takes 32 MB: a flood of logins must not take all memory


def check_password(name: str, password: str) -> str:
    """A password that a user may have.

    Raises:
        ConfigError: If it is too short or too long, or the name of the user.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ConfigError(
            f"A password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters. Received: "
            f"{len(password)}"
        )
    if name in password.lower() and len(password) < len(name) + MIN_PASSWORD:
        raise ConfigError("A password must not be the name of the user. Received: one with it")
    return password


def hash_password(password: str) -> str:
    """A password as it is stored: `scrypt$log2(n)$r$p$salt$key`, the last two in hex.

    Reference:
        RFC 7914
    """
    log_n, r, p = SCRYPT
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, log_n, r, p)
    return f"scrypt${log_n}${r}${p}${salt.hex()}${key.hex()}"


def verify_password(password: str, stored: str) -> bool:
    """True if a password is the one that was stored; it takes the same time either way.

    Args:
        password: Any text; what is longer than a password may be is cut.
        stored: Of `hash_password`; empty for a user who does not exist, which takes the same time.
    """
    # No password has this key, as no key of scrypt is known to be all zeros.
    nobody = f"scrypt${'$'.join(map(str, SCRYPT))}${'00' * 16}${'00' * 32}"
    _, log_n, r, p, salt, key = (stored or nobody).split("$")
    digest = _scrypt(password[: MAX_PASSWORD + 1], bytes.fromhex(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(digest, bytes.fromhex(key))


def needs_rehash(stored: str) -> bool:
    """True if a stored password has other parameters than new ones get."""
    return tuple(map(int, stored.split("$")[1:4])) != SCRYPT


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    with _HASHING:
        return hashlib.scrypt(
            password.encode("utf-8", "surrogatepass"),
            salt=salt,
            n=2**log_n,
            r=r,
            p=p,
            maxmem=256 * r * 2**log_n,
            dklen=32,
        )
