"""The report of what was recorded: `python -m loadtests.report RUN.jsonl FOLDER`."""

import argparse
import sys
from pathlib import Path

from serve.exits import Exit


def main() -> int:
    """0 = written; 2 = a file that is none of ours."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.report", description=__doc__)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a run's .jsonl, or a limit's --json as .json"
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for page, charts and CSV")
    args = parser.parse_args()
    from loadtests.report.files import write_report  # noqa: PLC0415 -- --help is instant
    from loadtests.report.read import read_any  # noqa: PLC0415 -- as above

    try:
        written = write_report(read_any(args.file), args.folder)
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return Exit.BAD_INPUT
    sys.stdout.write(f"{written}\n")
    return Exit.GOOD


if __name__ == "__main__":
    raise SystemExit(main())
