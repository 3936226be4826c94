"""Which content folder a node takes."""

from cluster.pool import choose

ENTRIES = {0: ("/a/local", "node-1"), 1: ("/b/local", "node-1"), 2: ("/a/test", "node-1")}


def test_choose_prefers_its_own() -> None:
    assert choose(ENTRIES, ("/a/test", "node-1"), in_use=lambda owner: False) == 2


def test_choose_takes_the_latest_of_a_stopped_namesake() -> None:
    assert choose(ENTRIES, ("/c/local", "node-1"), in_use=lambda owner: False) == 1
    assert choose(ENTRIES, ("/c/local", "node-1"), in_use=lambda owner: owner == "/b/local") == 0


def test_choose_makes_a_new_one_while_there_are_few() -> None:
    assert choose(ENTRIES, ("/a/other", "node-1"), in_use=lambda owner: False) == 3


def test_choose_takes_over_the_oldest_unused_one_when_there_are_many() -> None:
    many = {**ENTRIES, 3: ("/a/more", "node-1")}
    assert choose(many, ("/a/other", "node-1"), in_use=lambda owner: owner == "/a/local") == 1
    assert choose(many, ("/a/other", "node-1"), in_use=lambda owner: True) == 4
