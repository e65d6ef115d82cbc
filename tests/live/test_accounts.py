"""Users, sessions, tokens and deeds."""

import sqlite3
import stat
import threading

import pytest

from violence_detection.errors import ConfigError, RunError
from violence_detection.live.access import accounts
from violence_detection.live.access.accounts import Accounts, LoginError, User

PASSWORD = "correct horse"
ADDRESS = "127.0.0.1"


@pytest.fixture(autouse=True)
def _cheap_hash(monkeypatch):
    """scrypt of 16 rounds; `test_real_parameters` takes the real ones."""
    monkeypatch.setattr(accounts, "_SCRYPT", (4, 8, 1))


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


def test_real_parameters(monkeypatch):
    monkeypatch.undo()
    stored = accounts.hash_password("päss wörd 1")
    assert stored.startswith("scrypt$15$8$1$")
    assert accounts.verify_password("päss wörd 1", stored)
    assert not accounts.verify_password("päss wörd 2", stored)
    assert accounts.hash_password("päss wörd 1") != stored  # salted


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
        clock.s += accounts.SESSION_IDLE_S
        assert book.session_user(session)
    clock.s += accounts.SESSION_IDLE_S + 1
    assert book.session_user(session) is None
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    clock.s += accounts.SESSION_IDLE_S + 1
    assert book.session_user(session) is None
    for end in (book.log_out, lambda _: book.set_password("anna", PASSWORD)):
        session = book.log_in("anna", PASSWORD, address=ADDRESS)
        assert book.session_user(session)
        end(session)
        assert book.session_user(session) is None
    session = book.log_in("anna", PASSWORD, address=ADDRESS)
    book.remove_user("anna")
    assert book.session_user(session) is None


def test_wrong_passwords_are_delayed(book, clock):
    book.add_user("anna", PASSWORD, role="viewer")
    for _ in range(5):
        with pytest.raises(LoginError, match="name or password is wrong") as failure:
            book.log_in("anna", "wrong password", address=ADDRESS)
        assert failure.value.retry_after_s == 0.0
    with pytest.raises(LoginError, match="too many failed logins") as failure:
        book.log_in("anna", PASSWORD, address="192.0.2.1")  # the user is delayed everywhere
    assert failure.value.retry_after_s == 30.0
    with pytest.raises(LoginError, match="too many failed logins"):
        book.log_in("ben", PASSWORD, address=ADDRESS)  # and the address for every name
    clock.s += 31
    with pytest.raises(LoginError, match="wrong"):
        book.log_in("anna", "wrong password", address=ADDRESS)
    clock.s += 31
    with pytest.raises(LoginError) as failure:
        book.log_in("anna", PASSWORD, address=ADDRESS)
    assert failure.value.retry_after_s == 29.0  # 60 s after the sixth
    clock.s += 30
    assert book.log_in("anna", PASSWORD, address=ADDRESS)
    assert [entry.action for _, entry in book.deeds(limit=2)] == ["login", "login failed"]


def test_login_rehashes_old_parameters(book, monkeypatch):
    book.add_user("anna", PASSWORD, role="viewer")
    monkeypatch.setattr(accounts, "_SCRYPT", (5, 8, 1))
    book.log_in("anna", PASSWORD, address=ADDRESS)
    stored = book._row("select password from users")[0]
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
