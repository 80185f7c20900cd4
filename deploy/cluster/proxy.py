"""nginx in front of the web processes, with the configuration that operators get."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from deploy.local import debian
from deploy.local.run import answers
from deploy.processes import ROOT, Service

CONFIGURATION = ROOT / "deploy" / "nginx"

# What belongs to the machine, not to the site; all files lie in the service's own folder.
_MAIN = """\
daemon off;
pid {folder}/pid;
error_log stderr warn;
worker_processes auto;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {configuration}/http.conf;
    upstream chat {{
        least_conn;
{servers}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        include {configuration}/site.conf;
    }}
}}
"""


class Nginx(Service):
    """One address for all web processes. Always in a temporary folder: its workers run as another user."""

    name = "nginx"

    def __init__(self, port: int, web_ports: Iterable[int]) -> None:
        super().__init__()
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        found = debian.nginx()
        if found is None:
            raise RuntimeError("nginx is not installed.")
        self.program = found
        self.folder.chmod(0o711)
        servers = [f"        server 127.0.0.1:{web} max_fails=0;" for web in web_ports]
        main = _MAIN.format(folder=self.folder, configuration=CONFIGURATION, servers="\n".join(servers), port=self.port)
        if os.geteuid() == 0:
            main = f"user www-data;\n{main}"
        self.file: Path = self.folder / "nginx.conf"
        self.file.write_text(main)

    def command(self) -> list[str]:
        """In the foreground."""
        return [self.program, "-e", "stderr", "-p", str(self.folder), "-c", str(self.file)]

    def ready(self) -> bool:
        """Whether a web process answers through it."""
        return answers(f"{self.url}/healthz")
