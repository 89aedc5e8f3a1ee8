"""Fuzzes a gateway: `python -m tests.bench.fuzz --cases 2000 --config tests/bench/fuzz.yaml`."""

from tests.bench.fuzz.command import main

if __name__ == "__main__":
    raise SystemExit(main())
