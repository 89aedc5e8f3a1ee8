"""Modelled steps end on their schedule; a machine that is too slow for it is found out."""

import pytest

from serve.simulated.timekeeper import INVALID_RATIO, Timekeeper


class Host:
    """A clock that moves when somebody sleeps or works; sleeps take `over_s` too long."""

    def __init__(self) -> None:
        self.at_s = 100.0
        self.over_s = 0.0

    def now(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds + self.over_s

    def works(self, seconds: float) -> None:
        self.at_s += seconds


@pytest.fixture
def host() -> Host:
    return Host()


def keeper(host: Host, speed: float = 1.0) -> Timekeeper:
    return Timekeeper(speed, now=host.now, cpu_s=host.now, sleep=host.sleep)


def steps(time: Timekeeper, host: Host, count: int, *, of_s: float, host_s: float = 0.0) -> None:
    """Steps in a row; the host works between them."""
    for _ in range(count):
        host.works(host_s)
        time.wait(*time.schedule(of_s, goes_on=True))


@pytest.mark.parametrize("host_s", [0.0, 0.002, 0.009])
def test_the_hosts_work_is_inside_the_modelled_step(host: Host, host_s: float) -> None:
    time = keeper(host)
    steps(time, host, 1, of_s=0.01)
    begun_s = host.at_s
    steps(time, host, 50, of_s=0.01, host_s=host_s)
    assert host.at_s - begun_s == pytest.approx(0.5)
    assert time.report()["late_steps"] == 0


def test_speed_divides_what_is_slept(host: Host) -> None:
    time = keeper(host, speed=4)
    begun_s = host.at_s
    steps(time, host, 10, of_s=0.04)
    assert host.at_s - begun_s == pytest.approx(0.1)


def test_sleeps_that_take_too_long_do_not_add_up(host: Host) -> None:
    time = keeper(host)
    host.over_s = 0.0002
    begun_s = host.at_s
    steps(time, host, 100, of_s=0.01)
    assert host.at_s - begun_s == pytest.approx(1.0, abs=0.0003)
    assert time.report()["late_steps"] == 0


def test_a_pause_is_no_lateness(host: Host) -> None:
    time = keeper(host)
    steps(time, host, 1, of_s=0.01)
    host.works(5.0)  # nothing to do
    time.wait(*time.schedule(0.01, goes_on=False))
    report = time.report()
    assert (report["late_steps"], report["slept_over_scheduled"]) == (0, 1.0)


def test_a_host_that_needs_longer_than_a_step_makes_the_run_invalid(host: Host) -> None:
    time = keeper(host)
    steps(time, host, 50, of_s=0.01, host_s=0.02)
    report = time.report()
    assert report["late_steps_ratio"] > 0.9
    assert report["slept_over_scheduled"] > 1.5
    assert not report["valid"]


def test_one_long_stall_is_counted_once_and_not_made_up_for(host: Host) -> None:
    time = keeper(host)
    steps(time, host, 10, of_s=0.01)
    host.works(3.0)
    steps(time, host, 1, of_s=0.01)
    begun_s = host.at_s
    steps(time, host, 89, of_s=0.01)
    report = time.report()
    assert host.at_s - begun_s == pytest.approx(0.89)
    assert (report["steps"], report["late_steps"]) == (100, 1)
    assert report["late_steps_ratio"] < INVALID_RATIO
    assert report["valid"]
