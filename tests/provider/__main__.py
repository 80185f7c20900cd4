"""`python -m tests.provider --port 0`: the scripted provider in a process of its own, until SIGTERM or SIGINT."""

import argparse
import asyncio
import signal

from tests.provider.desk import Desk
from tests.provider.server import listening


async def serve(*, port: int, keys: list[str] | None) -> None:
    """Listen until a signal comes."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ending.set)
    async with listening(Desk(keys), port) as bound:
        print(f"listening on http://127.0.0.1:{bound}/v1", flush=True)
        await ending.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.provider")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; 0 takes any free one")
    parser.add_argument("--key", action="append", help="an API key that is taken; without any, all are")
    arguments = parser.parse_args()
    asyncio.run(serve(port=arguments.port, keys=arguments.key))


if __name__ == "__main__":
    main()
