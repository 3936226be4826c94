"""Limits of sandboxes."""

from cluster.sandbox import NO_LIMITS, Limits


def test_resources_hold_only_what_is_limited() -> None:
    assert NO_LIMITS.resources() == {}
    want = {"cpu": {"quota": 150_000, "period": 100_000}, "memory": {"limit": 4 << 30}}
    assert Limits(cpus=1.5, memory=4 << 30).resources() == want
