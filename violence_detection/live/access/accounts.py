"""Accounts of the review page: users, their sessions, tokens of programs, and who did what."""

from violence_detection.live.access.audit_log import AuditLog
from violence_detection.live.access.login_sessions import LoginSessions
from violence_detection.live.access.program_tokens import ProgramTokens
from violence_detection.live.access.user_accounts import UserAccounts


class Accounts(UserAccounts, LoginSessions, ProgramTokens, AuditLog):
    """The accounts of a watch, in a SQLite file that only its owner may read."""
