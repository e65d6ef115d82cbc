"""Users, sessions, tokens and deeds."""

import contextlib
import sqlite3
import stat
import threading

import pytest

from violence_detection.errors import ConfigError, RunError, ViolenceDetectionError
from violence_detection.live.access import login_sessions, passwords
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.login_delays import LoginError
from violence_detection.live.access.user_accounts import User

PASSWORD = "correct horse"
ADDRESS = "127.0.0.1"


@pytest.fixture(autouse=True)
def _cheap_hash(monkeypatch):
    """scrypt of 16 rounds; `test_real_parameters` takes the real ones."""
    monkeypatch.setattr(passwords, "SCRYPT", (4, 8, 1))


class _Clock:
    def __init__(self) -> None:
        self.s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def book(tmp_path, clock):
    with Accounts(tmp_path / "accounts.db", clock=clock) as book:
        yield book


@pytest.mark.slow
def test_real_parameters(monkeypatch):
    monkeypatch.undo()
    stored = passwords.hash_password("päss wörd 1")
    assert stored.startswith("scrypt$15$8$1$")
    assert passwords.verify_password("päss wörd 1", stored)
    assert not passwords.verify_password("päss wörd 2", stored)
    assert passwords.hash_password("päss wörd 1") != stored  # salted


def test_file_is_private_and_holds_no_secret(book, tmp_path):
    book.add_user("anna", PASSWORD, role="viewer")
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    token = book.add_token("script", scope="read")
    path = tmp_path / "accounts.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        for secret in (PASSWORD, session, token):
            assert secret.encode() not in content


def test_login_and_roles(book):
    assert not book.has_users()
    book.add_user("Anna", PASSWORD, role="reviewer", cameras=["door"])
    assert book.has_users()
    user = book.session_user(book.log_in(" ANNA ", PASSWORD, address=ADDRESS))
    assert user == User("anna", "reviewer", ("door",))
    assert user.may("viewer") and user.may("reviewer") and not user.may("admin")
    assert user.may_see("door") and not user.may_see("yard")
    assert book.session_user("x") is None
    book.change_user("anna", role="viewer")
    assert book.users() == [User("anna", "viewer", None)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "../x"}, "A name must"),
        ({"name": "ann\na"}, "A name must"),
        ({"role": "root"}, "The role must be one of viewer, reviewer, admin"),
        ({"password": "short"}, "10 to 512 characters. Received: 5"),
        ({"password": "x" * 513}, "Received: 513"),
        ({"name": "long-name-1", "password": "Long-Name-1"}, "must not be the name"),
    ],
)
def test_refused_users(book, values, message):
    user = {"name": "anna", "password": PASSWORD, "role": "viewer"} | values
    with pytest.raises(ConfigError, match=message):
        book.add_user(user["name"], user["password"], role=user["role"])
    assert not book.has_users()


def test_unknown_and_doubled_names(book):
    book.add_user("anna", PASSWORD, role="viewer")
    with pytest.raises(ConfigError, match="new name"):
        book.add_user("anna", PASSWORD, role="viewer")
    with pytest.raises(ConfigError, match=r"must exist \(anna\)"):
        book.remove_user("ben")


def test_sessions_end(book, clock):
    book.add_user("anna", PASSWORD, role="viewer")
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    for _ in range(13):  # seven days at most, however often it is used
        clock.s += login_sessions.SESSION_IDLE_S
        assert book.session_user(session)
    clock.s += login_sessions.SESSION_IDLE_S + 1
    assert book.session_user(session) is None
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    clock.s += login_sessions.SESSION_IDLE_S + 1
    assert book.session_user(session) is None
    for end in (book.log_out, lambda _: book.set_password("anna", PASSWORD)):
        session = book.log_in("anna", PASSWORD, address=ADDRESS)
        assert book.session_user(session)
        end(session)
        assert book.session_user(session) is None
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    book.remove_user("anna")
    assert book.session_user(session) is None


def _fail(book, times, *, name="anna", address=ADDRESS, device=""):
    for _ in range(times):
        with pytest.raises(LoginError, match="name or password is wrong") as failure:
            book.log_in(name, "wrong password", address=address, device=device)
        assert failure.value.retry_after_s == 0.0


def test_wrong_passwords_are_delayed(book, clock):
    book.add_user("anna", PASSWORD, role="viewer")
    _fail(book, 5)
    with pytest.raises(LoginError, match="too many failed logins") as failure:
        book.log_in("anna", PASSWORD, address=ADDRESS)
    assert failure.value.retry_after_s == 30.0
    clock.s += 31
    _fail(book, 1)
    clock.s += 31
    with pytest.raises(LoginError) as failure:
        book.log_in("anna", PASSWORD, address=ADDRESS)
    assert failure.value.retry_after_s == 29.0  # 60 s after the sixth
    clock.s += 30
    assert book.log_in("anna", PASSWORD, address=ADDRESS)
    assert [entry.action for _, entry in book.deeds(limit=2)] == ["login", "login failed"]


def test_who_guesses_keeps_nobody_else_out(book, clock):
    """Failures from one address delay the user there, not elsewhere; from many, not on a device
    that is known."""
    for name in ("anna", "ben"):
        book.add_user(name, PASSWORD, role="viewer")
    device = book.remember_device(book.log_in("anna", PASSWORD, address="192.0.2.7"))
    _fail(book, 5)
    assert book.log_in("anna", PASSWORD, address="192.0.2.1")
    assert book.log_in("ben", PASSWORD, address=ADDRESS)
    for number in range(19):  # 5 each: the bound of the user over all addresses is 100
        _fail(book, 5, address=f"192.0.3.{number}")
    with pytest.raises(LoginError, match="too many") as failure:
        book.log_in("anna", PASSWORD, address="192.0.2.1")
    assert failure.value.retry_after_s == 30.0  # it does not grow
    assert book.log_in("anna", PASSWORD, address="192.0.2.7", device=device)
    assert book.log_in("ben", PASSWORD, address="192.0.2.1")
    with pytest.raises(LoginError, match="too many"):  # it is known for its user only
        book.log_in("anna", PASSWORD, address="192.0.2.1", device=device + "x")
    _fail(book, 5, device=device)  # who has stolen the device guesses no faster
    with pytest.raises(LoginError, match="too many"):
        book.log_in("anna", PASSWORD, address="192.0.2.7", device=device)


def test_an_address_is_delayed_for_every_name(book):
    book.add_user("anna", PASSWORD, role="viewer")
    for number in range(20):  # a household of IPv6 has as many addresses as it likes
        _fail(book, 1, name=f"name{number}", address=f"2001:db8:0:1::{number}")
    with pytest.raises(LoginError, match="too many"):
        book.log_in("anna", PASSWORD, address="2001:db8:0:1:ffff::1")
    assert book.log_in("anna", PASSWORD, address="2001:db8:0:2::1")


def test_devices_are_forgotten(book, clock):
    book.add_user("anna", PASSWORD, role="viewer")
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    first = book.remember_device(session)
    assert book.remember_device(session, first) == first
    assert book.remember_device(session, "of somebody else") not in (first, "of somebody else")
    assert book.remember_device("no session") == ""
    others = [book.remember_device(session) for _ in range(20)]
    assert book.remember_device(session, others[-1]) == others[-1]
    assert book.remember_device(session, first) != first  # 20 are kept, the newest
    book.set_password("anna", PASSWORD)
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    assert book.remember_device(session, others[-1]) != others[-1]


def test_a_full_disk_keeps_those_in_who_are_in(small_disk, clock, caplog):
    """A deed that cannot be stored goes into the log; a login is refused with a sentence."""
    with Accounts(small_disk / "accounts.db", clock=clock) as book:
        book.add_user("anna", PASSWORD, role="viewer")
        session = book.log_in("anna", PASSWORD, address=ADDRESS)
        _fill(small_disk)
        clock.s += 120
        for _ in range(200):  # until the last page of the file is full
            book.record("look at clip", who="anna", address=ADDRESS, subject="x" * 200)
        assert "Not stored: deed of 'anna'" in caplog.text
        assert book.session_user(session) == User("anna", "viewer")
        with pytest.raises(ViolenceDetectionError, match=r"must be writable.*full"):
            for _ in range(50):
                book.log_in("anna", PASSWORD, address=ADDRESS)
        with pytest.raises(ViolenceDetectionError, match="must be writable"):
            for _ in range(50):  # a wrong password is not told from a right one
                book.log_in("ben", "wrong password", address="192.0.2.9")


def _fill(folder):
    with open(folder / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_file_of_version_1_gets_what_is_new(tmp_path):
    path = tmp_path / "accounts.db"
    with Accounts(path) as book:
        book.add_user("anna", PASSWORD, role="viewer")
        book.write("drop table devices")
        book.write("pragma user_version = 1")
    with Accounts(path) as book:
        assert book.remember_device(book.log_in("anna", PASSWORD, address=ADDRESS))


def test_login_rehashes_old_parameters(book, monkeypatch):
    book.add_user("anna", PASSWORD, role="viewer")
    monkeypatch.setattr(passwords, "SCRYPT", (5, 8, 1))
    book.log_in("anna", PASSWORD, address=ADDRESS)
    stored = book.row("select password from users")[0]
    assert stored.startswith("scrypt$5$")
    assert book.log_in("anna", PASSWORD, address=ADDRESS)


def test_tokens(book, clock):
    token = book.add_token("script", scope="review", days=1, cameras=["door"])
    assert token.startswith("vd_")
    assert book.token_user(token) == User("token:script", "reviewer", ("door",))
    assert book.tokens()[0].used_ms == int(clock.s * 1000)
    assert book.token_user(token + "x") is None
    clock.s += 24 * 3600
    assert book.token_user(token) is None
    book.remove_token("script")
    for wrong in ({"name": "a", "scope": "all"}, {"name": "a", "scope": "read", "days": 0}):
        with pytest.raises(ConfigError):
            book.add_token(**wrong)
    with pytest.raises(ConfigError, match="must exist"):
        book.remove_token("script")


def test_deeds_come_by_pages(book, clock):
    for number in range(5):
        clock.s += 1
        book.record("look at clip", who="anna", address=ADDRESS, subject=f"event {number}")
    first = book.deeds(limit=3)
    rest = book.deeds(before=first[-1][0], limit=3)
    assert [entry.subject[-1] for _, entry in first + rest] == list("43210")


def test_two_processes_may_write(tmp_path):
    """The page and the command line have the same file open."""
    path = tmp_path / "accounts.db"
    books = [Accounts(path), Accounts(path)]
    threads = [
        threading.Thread(
            target=lambda book=book: [book.record("x", who="a", address="b") for _ in range(50)]
        )
        for book in books
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(books[0].deeds(limit=1000)) == 100


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "accounts.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(RunError, match="readable SQLite file"):
        Accounts(path)
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as connection:
        connection.execute("pragma user_version = 9")
    with pytest.raises(RunError, match="version 9"):
        Accounts(newer)
