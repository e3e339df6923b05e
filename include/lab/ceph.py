"""One Ceph cluster of one monitor, one OSD and one radosgw: an S3 region with versioning, object lock and policies.

Debian's ``ceph-mon``, ``ceph-osd`` and ``radosgw`` run as an unprivileged user from one directory, without a manager
and without systemd. Two of these in two directories are the lab's two regions: nothing is shared between them.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from include.lab.errors import LabError
from include.lab.ports import LOOPBACK, listens, wait_for
from include.lab.processes import Registry
from include.lab.tls import Certificates

OSD_PORTS = 8
_START_SECONDS = 90
_ONLY_TLS_1_3 = "default_workarounds:no_sslv2:no_sslv3:no_tlsv1:no_tlsv1_1:no_tlsv1_2"


@dataclass(frozen=True)
class CephPorts:
    """Ports on loopback.

    :param gateway: S3 over TLS.
    :param osd: the first of ``OSD_PORTS``.
    :param plain: S3 without TLS, for zones that copy each other; not opened when None.
    """

    monitor: int
    gateway: int
    osd: int
    plain: int | None = None


@dataclass(frozen=True)
class CephCluster:
    """One region.

    :param name: prefix of its processes' names, such as ``us-east-1``.
    :param directory: everything that it writes.
    :param device: bytes that it can store; the file is sparse.
    :param zone: the radosgw zone when it belongs to a realm.
    """

    name: str
    directory: Path
    ports: CephPorts
    certificates: Certificates
    registry: Registry
    device: int = 32 << 30
    zone: str | None = None

    @property
    def endpoint(self) -> str:
        """Where S3 is served, over TLS."""
        return f"https://{LOOPBACK}:{self.ports.gateway}"

    @property
    def created(self) -> bool:
        """Whether ``create`` went to its end once."""
        return (self.directory / "created").exists()

    def create(self) -> None:
        """Make the cluster's files and start monitor and OSD. The gateway comes with ``start``."""
        if self.directory.exists():
            raise LabError(f"{self.directory} is left from an earlier start of {self.name}: remove it and try again")
        for part in ("mon", "osd", "run", "log"):
            (self.directory / part).mkdir(parents=True)
        fsid, osd_id = str(uuid.uuid4()), str(uuid.uuid4())
        self._configuration_file.write_text(self._configuration(fsid), encoding="utf-8")
        self._make_monitor(fsid)
        self._start_monitor()
        self._make_osd(osd_id)
        self._start_osd()
        self.admin("user", "list")  # the first call makes the gateway's pools
        (self.directory / "created").touch()

    def remove(self) -> None:
        """Stop and remove what an interrupted ``create`` left."""
        for part in ("radosgw", "osd", "mon"):
            self.registry.stop(f"{self.name}-{part}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start what does not run; returns when the gateway answers."""
        if self.registry.alive(f"{self.name}-radosgw") and listens(self.ports.gateway):
            return
        self._start_monitor()
        self._start_osd()
        self._start_gateway()

    def make_user(self, name: str, access_key: str, secret_key: str, *, system: bool = False) -> None:
        """An S3 user with these credentials.

        :param system: a user as which zones copy each other.
        """
        keys = ("--access-key", access_key, "--secret-key", secret_key)
        self.admin("user", "create", "--uid", name, "--display-name", name, *keys, *(["--system"] if system else []))

    def admin(self, *words: str) -> str:
        """Run ``radosgw-admin`` and return what it prints."""
        return self._run("radosgw-admin", *words)

    @property
    def _configuration_file(self) -> Path:
        return self.directory / "ceph.conf"

    @property
    def _addresses(self) -> str:
        return f"[v2:{LOOPBACK}:{self.ports.monitor}]"

    def _configuration(self, fsid: str) -> str:
        directory = self.directory
        return "\n".join(
            [
                "[global]",
                f"fsid={fsid}",
                f"mon_host={self._addresses}",
                "public_network=127.0.0.0/8",
                "cluster_network=127.0.0.0/8",
                f"ms_bind_port_min={self.ports.osd}",
                f"ms_bind_port_max={self.ports.osd + OSD_PORTS - 1}",
                "ms_bind_msgr1=false",
                "auth_allow_insecure_global_id_reclaim=false",
                f"keyring={directory}/keyring",
                f"run_dir={directory}/run",
                "admin_socket=",
                f"log_file={directory}/log/$name.log",
                "osd_pool_default_size=1",
                "osd_pool_default_min_size=1",
                "osd_pool_default_pg_num=8",
                "osd_pool_default_pgp_num=8",
                "osd_pool_default_pg_autoscale_mode=off",
                "mon_allow_pool_size_one=true",
                "mon_max_pg_per_osd=2000",
                "mon_data_avail_crit=1",
                "osd_crush_chooseleaf_type=0",
                "paxos_propose_interval=0.1",
                "osd_memory_target=939524096",
                f"bluestore_block_size={self.device}",
                "[mon.a]",
                f"mon_data={directory}/mon",
                "[osd.0]",
                f"osd_data={directory}/osd",
                f"keyring={directory}/osd/keyring",
                "osd_objectstore=bluestore",
                "",
            ]
        )

    def _make_monitor(self, fsid: str) -> None:
        directory = self.directory
        keyring, monitor_keyring = directory / "keyring", directory / "mon.keyring"
        rights = [word for who in ("mon", "osd", "mgr") for word in ("--cap", who, "allow *")]
        self._tool("ceph-authtool", "-C", keyring, "-n", "client.admin", "--gen-key", *rights)
        self._tool("ceph-authtool", "-C", monitor_keyring, "-n", "mon.", "--gen-key", "--cap", "mon", "allow *")
        self._tool("ceph-authtool", monitor_keyring, "--import-keyring", keyring)
        monmap = directory / "monmap"
        self._tool("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", self._addresses, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(monmap), "--keyring", str(monitor_keyring))

    def _make_osd(self, osd_id: str) -> None:
        keyring = self.directory / "osd" / "keyring"
        self._tool("ceph-authtool", "-C", keyring, "-n", "osd.0", "--gen-key")
        secret = self._tool("ceph-authtool", "-p", "-n", "osd.0", keyring).strip()
        self._run("ceph", "osd", "new", osd_id, "-i", "-", given=json.dumps({"cephx_secret": secret}))
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id)
        self._run("ceph", "osd", "crush", "add", "osd.0", "1", "root=default", "host=localhost")

    def _start_monitor(self) -> None:
        self._start("mon", "ceph-mon", "-i", "a", "-f")
        self._wait("mon", lambda: listens(self.ports.monitor))

    def _start_osd(self) -> None:
        if not self.registry.alive(f"{self.name}-osd"):
            self._start("osd", "ceph-osd", "-i", "0", "-f")
        self._wait("osd", lambda: " 1 up" in self._run("ceph", "osd", "stat"))

    def _start_gateway(self) -> None:
        plain = f"endpoint={LOOPBACK}:{self.ports.plain} " if self.ports.plain else ""
        files = self.certificates
        frontend = (
            f"beast {plain}ssl_endpoint={LOOPBACK}:{self.ports.gateway} ssl_certificate={files.certificate} "
            f"ssl_private_key={files.key} ssl_options={_ONLY_TLS_1_3} tcp_nodelay=1"
        )
        zone = [f"--rgw_zone={self.zone}"] if self.zone else []
        options = [f"--rgw_frontends={frontend}", "--rgw_thread_pool_size=64", "--debug_rgw=0", *zone]
        self._start("radosgw", "radosgw", "-n", "client.admin", "-f", *options)
        self._wait("radosgw", lambda: listens(self.ports.gateway))

    def _start(self, part: str, program: str, *words: str) -> None:
        argv = [program, "-c", str(self._configuration_file), *words]
        self.registry.start(f"{self.name}-{part}", argv, env=self._environment, stop_signal=signal.SIGTERM)

    def _wait(self, part: str, ready: Callable[[], bool]) -> None:
        name = f"{self.name}-{part}"
        wait_for(
            name,
            ready,
            seconds=_START_SECONDS,
            alive=lambda: self.registry.alive(name),
            log=f"{self.registry.log(name)} and {self.directory / 'log'}",
        )

    @property
    def _environment(self) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "HOME": str(self.directory), "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def _run(self, program: str, *words: str, given: str = "") -> str:
        return self._tool(program, "-c", self._configuration_file, *words, given=given)

    def _tool(self, *argv: str | Path, given: str = "") -> str:
        """Run a Ceph program to its end, for at most a minute."""
        return run_tool([str(word) for word in argv], env=self._environment, cwd=self.directory, given=given)


def run_tool(argv: Sequence[str], *, env: dict[str, str], cwd: Path, given: str = "", seconds: float = 90) -> str:
    """Run a program to its end and return its output.

    :raises LabError: with the end of what it said on stderr.
    """
    try:
        done = subprocess.run(
            list(argv), env=env, cwd=cwd, input=given, capture_output=True, text=True, timeout=seconds, check=False
        )
    except FileNotFoundError as error:
        raise LabError(
            f"{argv[0]} is not installed: run make demo as root once, it installs what is missing"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{argv[0]} {' '.join(argv[1:4])} ... did not end within {seconds:.0f} s") from error
    if done.returncode != 0:
        raise LabError(f"{argv[0]} ended with exit code {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout
