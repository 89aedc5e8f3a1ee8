"""Where a run comes from is told, without its keys."""

from loadtests.origin import command, origin


def test_keys_stay_out_of_the_command() -> None:
    words = ["/somewhere/bin/sluice", "limit", "--api-key", "k1", "--slo", "a b", "--api-key=k2"]
    told = command(words)
    assert told == "sluice limit --api-key '***' --slo 'a b' '--api-key=***'"


def test_the_origin_names_command_and_machine() -> None:
    told = origin(["locust"])
    assert told["command"] == "locust"
    assert "Python 3" in str(told["machine"])
    assert isinstance(told["cpus"], int)
