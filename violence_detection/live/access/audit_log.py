"""The record of who did what on the review page."""

from dataclasses import dataclass

from violence_detection.live.access.account_file import AccountFile


@dataclass(frozen=True)
class AuditEntry:
    """A deed of a user.

    Attributes:
        at_ms: UTC.
        address: From where, or `command line`.
        action: A short verb, such as `login` or `look at clip`.
        subject: On what, such as the id of an event.
    """

    at_ms: int
    who: str
    address: str
    action: str
    subject: str


class AuditLog(AccountFile):
    """The deeds of a file of accounts."""

    def record(self, action: str, *, who: str, address: str, subject: str = "") -> None:
        """Notes a deed; on a full disk in the log of this process, so that people can go on."""
        self.write_if_possible(
            "insert into audit (at_ms, who, address, action, subject) values (?, ?, ?, ?, ?)",
            (self.now_ms(), who, address[:64], action, subject[:200]),
            lost=f"deed of {who!r} from {address[:64]!r}: {action} {subject[:200]!r}",
        )

    def delete_before(self, at_ms: int) -> int:
        """Deletes the deeds before a time (UTC); how many there were.

        Raises:
            ViolenceDetectionError: If it cannot be written, because the disk is full.
        """
        return self.write("delete from audit where at_ms < ?", (at_ms,))

    def deeds(self, *, before: int | None = None, limit: int = 100) -> list[tuple[int, AuditEntry]]:
        """Deeds with their numbers, the newest first.

        Args:
            before: Only those with a smaller number.
            limit: How many at most.
        """
        rows = self.rows(
            "select n, at_ms, who, address, action, subject from audit where n < ? "
            "order by n desc limit ?",
            (before if before is not None else 2**62, limit),
        )
        return [(row[0], AuditEntry(*row[1:])) for row in rows]
