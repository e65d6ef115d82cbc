"""Service of systemd for a watch: the text of its unit."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from violence_detection.live.configuration import cameras_file
from violence_detection.live.configuration.config import WatchFile

# Where administrators keep the files of LoadCredential, one for each variable.
CREDENTIALS = Path("/etc/violence-detection")
_STATE = Path("/var/lib")

_UNIT = """\
# {description}
# Install: copy to /etc/systemd/system/violence-detection-watch.service, then
# systemctl daemon-reload && systemctl enable --now violence-detection-watch
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
User={user}
UMask=0077
WatchdogSec=30
Restart=always
SuccessExitStatus=143
RestartSec=5
TimeoutStartSec=600
TimeoutStopSec=30
KillMode=mixed
{places}
MemoryMax=80%
TasksMax=4096
LimitNOFILE=16384
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
{devices}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


class AnyVariable(Mapping[str, str]):
    """An environment in which every variable has a value, and which remembers their names."""

    _VALUE = "rtsp://placeholder"  # also where a whole address is a variable

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getitem__(self, name: str) -> str:
        if name == "CREDENTIALS_DIRECTORY":
            raise KeyError(name)
        if name not in self.names:
            self.names.append(name)
        return self._VALUE

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def systemd_unit(path: Path, *, python: str = sys.executable) -> str:
    """The unit of a service that watches the cameras of a file.

    It runs as the owner of the file. Each variable of the file is a credential, which systemd
    reads from a file of that name in /etc/violence-detection.

    Args:
        path: The cameras file; its variables need no values here.
        python: The interpreter of the installation.

    Raises:
        ConfigError: If the file has errors.
    """
    variables = AnyVariable()
    file = cameras_file.load(path, variables)
    command = [python, "-m", "violence_detection", "watch", "run", str(file.path)]
    return _UNIT.format(
        description=f"Violence detection: the cameras of {_plain(str(file.path))}",
        command=" ".join(map(_quoted, command)),
        user=_owner(file.path),
        places="\n".join(_places(file, variables.names)),
        devices="\n".join(_devices(file)),
    )


def _places(file: WatchFile, variables: list[str]) -> Iterator[str]:
    """Settings of the folder that it writes to, and of its credentials."""
    if file.data.parent == _STATE:
        yield f"StateDirectory={file.data.name}"
        yield "StateDirectoryMode=0700"
    else:
        yield f"ReadWritePaths={_quoted(str(file.data))}"
    for name in variables:
        yield f"LoadCredential={name}:{CREDENTIALS / name}"


def _devices(file: WatchFile) -> Iterator[str]:
    """Local cameras and GPUs; without any, no device but /dev/null and its like."""
    local = [camera for camera in file.cameras if "://" not in camera.source.reveal()]
    if not local and not Path("/dev/nvidiactl").exists():
        yield "PrivateDevices=yes"
    if local:
        yield "SupplementaryGroups=video"


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # a number without a name
        return str(path.stat().st_uid)


def _quoted(word: str) -> str:
    """A word of a command line or a path in a unit: `%` and `$` have a meaning there."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if any(character in escaped for character in " \t\"'"):
        return '"' + escaped.replace('"', '\\"') + '"'
    return escaped


def _plain(text: str) -> str:
    return text.replace("%", "%%")
