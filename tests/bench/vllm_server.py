"""vLLM's own OpenAI server on the engine arguments of a profile: the yardstick."""

import sys

import uvloop
from vllm.entrypoints.launchers.api_server.entry import run_server

from serve.engine.arguments import parse_arguments
from serve.profile.settings import load_profile
from serve.service import engine_args


def main() -> None:
    """`python -m tests.bench.vllm_server PROFILE PORT`."""
    profile = load_profile(sys.argv[1])
    args = parse_arguments(engine_args(profile), profile.server_args)
    args.host, args.port = "127.0.0.1", int(sys.argv[2])
    args.disable_uvicorn_access_log = True
    uvloop.run(run_server(args))


if __name__ == "__main__":
    main()
