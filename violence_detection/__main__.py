"""The installed commands, and `python -m violence_detection`."""

import signal


def main() -> None:
    """Runs the command line."""
    _imported("main")()


def extract_features() -> None:
    """Runs `extract-features`, which is also a command of its own."""
    _imported("extract_features")()


def train() -> None:
    """Runs `train`, which is also a command of its own."""
    _imported("train")()


def _imported(name: str):
    """A command of the command line. Ctrl-C during the import, which takes a fifth of a second and
    more on a busy machine, ends the process without a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from violence_detection import cli

    signal.signal(signal.SIGINT, handler)
    return getattr(cli, name)


if __name__ == "__main__":
    _imported("main")(prog_name="violence-detection")
