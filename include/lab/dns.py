"""A DNS server (bind9) for the zone of the demo systems; names change only with a signed update (TSIG)."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from include.lab.errors import LabError
from include.lab.ports import LOOPBACK, listens, wait_for
from include.lab.processes import Registry
from include.lab.tls import write_private

NAMED = Path("/usr/sbin/named")
CHECK = Path("/usr/bin/named-checkconf")
_NAME = "dns"


@dataclass(frozen=True)
class DnsServer:
    """One zone on loopback.

    :param zone: such as ``lifeboat.test``.
    :param hosts: names in the zone at the first start; later ones are whatever was updated.
    :param key_name: of the TSIG key that may update it; ``secret`` is base64.
    """

    directory: Path
    port: int
    zone: str
    hosts: tuple[str, ...]
    key_name: str
    registry: Registry
    secret: str = field(repr=False)

    def start(self) -> None:
        """Start when it does not run; returns when it answers."""
        if not NAMED.exists():
            raise LabError(f"{NAMED} is missing: run make demo as root once, it installs bind9")
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "named.conf"
        write_private(configuration, self._configuration().encode())
        zone = self.directory / "zone.db"
        if not zone.exists():
            zone.write_text(self._zone(), encoding="ascii")
        checked = subprocess.run([CHECK, "-z", configuration], capture_output=True, text=True, check=False)
        if checked.returncode != 0:
            raise LabError(f"named refuses {configuration}: {checked.stdout.strip() or checked.stderr.strip()}")
        argv: list[str | Path] = [NAMED, "-c", str(configuration), "-g", "-n", "1"]
        self.registry.start(_NAME, argv, stop_signal=signal.SIGTERM)
        wait_for(
            _NAME,
            lambda: listens(self.port),
            seconds=20,
            alive=lambda: self.registry.alive(_NAME),
            log=str(self.registry.log(_NAME)),
        )

    def _configuration(self) -> str:
        directory = self.directory
        return f"""
key "{self.key_name}" {{ algorithm hmac-sha256; secret "{self.secret}"; }};
options {{
    directory "{directory}";
    pid-file "{directory}/named.pid";
    session-keyfile "{directory}/session.key";
    managed-keys-directory "{directory}";
    listen-on port {self.port} {{ {LOOPBACK}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    allow-query {{ {LOOPBACK}; }};
    notify no;
}};
controls {{ }};
zone "{self.zone}" {{
    type primary;
    file "{directory}/zone.db";
    update-policy {{ grant "{self.key_name}" zonesub ANY; }};
}};
"""

    def _zone(self) -> str:
        hosts = "".join(f"{host} 30 IN A {LOOPBACK}\n" for host in self.hosts)
        return (
            f"$ORIGIN {self.zone}.\n$TTL 30\n@ IN SOA ns hostmaster 1 3600 600 86400 30\n@ IN NS ns\n"
            f"ns IN A {LOOPBACK}\n{hosts}"
        )
