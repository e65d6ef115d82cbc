"""Notifiers send messages to people and programs.

A part must define `build(*, sink: str, url: str, cameras: Sequence[ShownCamera], on_snooze:
Callable[[str, int], None], ...) -> Notifier`; see `delivery`. Every further argument needs a
default and a type, because the cameras file may set it. The name of the file is the key that
gives the URL there: `{name: control-room, webhook: "https://control.example/hook"}`. A library
that the standard installation lacks is imported in `build`.

Args of every `build`:
    sink: Name of the sink, for messages and errors; a URL may hold a password and is never shown.
    url: The address.
    cameras: The cameras, for notifiers that show their states.
    on_snooze: Called with a camera's name and minutes when somebody snoozes it from outside.
"""
