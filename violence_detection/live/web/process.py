"""The process of the review page: it reads the store, and asks the supervisor for the rest."""

import logging
import os
import threading
import time

from violence_detection.errors import ConfigError
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.listening import check_free, check_listen, is_local
from violence_detection.live.processes.page_start import (
    ACCOUNTS,
    PageAlive,
    PageChange,
    PageFailed,
    PageStart,
)
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.processes.worker_process import WorkerChannel
from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.web.page_state import WatchPage
from violence_detection.live.web.server import make_server
from violence_detection.live.web.sign_in import SignIn
from violence_detection.live.web.verdict_labels import RunLabeller, VerdictLabels

log = logging.getLogger(__name__)

_HEARTBEAT_S = 2.0


def main(start: PageStart, channel: WorkerChannel) -> None:
    """Serves the page until the supervisor has ended, or ends this process."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    accounts = Accounts(start.data / ACCOUNTS)
    try:
        check_listen(start.settings, accounts)
        check_free(start.settings)
    except ConfigError as error:
        return channel.send(PageFailed(str(error)))
    reader = EventReader.open(start.store)
    requests = RequestClient(start.socket)
    labels = VerdictLabels(
        reader,
        requests,
        RunLabeller(start.run),
        data=start.data,
        classes=start.classes,
        window_s=start.window_s,
    )
    page = WatchPage(
        reader,
        accounts,
        SignIn(accounts, is_local=is_local(start.settings)),
        requests,
        labels,
        start.data,
        timezone=start.timezone,
        settings=start.file,
        has_secure_cookie=not is_local(start.settings),
    )
    server = make_server(page, start.settings)

    def speak() -> None:
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        while True:
            channel.send(PageAlive(port))
            change = channel.receive(_HEARTBEAT_S)
            if isinstance(change, PageChange):
                page.timezone, page.settings = change.timezone, change.file

    labels.start()
    threading.Thread(target=speak, name="supervisor", daemon=True).start()
    server.run()
    os._exit(1)  # a signal: the supervisor starts it again
