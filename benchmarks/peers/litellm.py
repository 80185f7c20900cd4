"""LiteLLM's proxy as its manual starts it: one worker, a master key, no database, nothing stored.

That is its lightest form; with a database, which its budgets need, it does more for each call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from deploy.local.run import free_port
from deploy.processes import ROOT, Service

REQUIREMENT = "litellm[proxy]==1.108.7"
KEY = "sk-bench"  # what the benchmark's client sends
ENVIRONMENT = ROOT / "var" / "peers" / "litellm"


def install() -> Path:
    """Its virtual environment, made where it is not there yet; some minutes and 750 MB."""
    done = ENVIRONMENT / REQUIREMENT
    if not done.exists():
        print(f"Installing {REQUIREMENT} into an environment of its own.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", REQUIREMENT], check=True)
        done.touch()
    return ENVIRONMENT / "bin" / "litellm"


class LiteLLM(Service):
    """The proxy, in front of a provider's address; it speaks the provider's own wire format."""

    name: ClassVar[str] = "litellm"

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.port = free_port()
        self._program = install()
        provider = {"model": "openai/gpt-4o-mini", "api_base": base_url, "api_key": KEY}
        config = {
            "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": provider}],
            "general_settings": {"master_key": KEY},
        }
        self._config = self.folder / "config.yaml"
        self._config.write_text(json.dumps(config))  # YAML takes JSON

    def command(self) -> list[str]:
        """Its own command line."""
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [str(self._program), "--config", str(self._config), *address, "--num_workers", "1"]

    def environment(self) -> Mapping[str, str]:
        """Nothing of ours, and nothing fetched."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "no_proxy": "127.0.0.1"}

    def ready(self) -> bool:
        """Whether it says that it lives."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/liveliness", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
