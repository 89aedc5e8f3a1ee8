"""What a greedy tenant costs the others, in virtual time on the tests' tiny engine.

.venv/bin/python -m tests.bench.fairness [--deadline 10]
"""

import argparse

from tests.admission.crowd import DEADLINE_S, GREEDY, others, play


def main() -> None:
    """Print what greed does, by how much and for several seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, help="s to the first token")
    deadline_s = parser.parse_args().deadline
    print(f"{'greedy asks':>12}{'seed':>6}{'others':>9}{'worst':>8}{'greedy':>9}{'preempted':>11}")
    for times in (1.0, 3.0, 10.0, 30.0):
        for seed in (1, 2, 3):
            crowd = play(times, seed=seed, deadline_s=deadline_s)
            seen = crowd.seen()
            rest = {tenant: each for tenant, each in seen.items() if tenant != GREEDY}
            worst = min(each.goodput_ratio for each in rest.values())
            print(
                f"{times:>11.0f}x{seed:>6}{others(seen).goodput_ratio:>9.1%}{worst:>8.1%}"
                f"{seen[GREEDY].goodput_ratio:>9.1%}{crowd.engine.preemptions:>11}"
            )


if __name__ == "__main__":
    main()
