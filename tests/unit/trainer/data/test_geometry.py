"""The geometry of labels, by properties on seeded random shapes."""

import math
import random

import pytest

from yolo_trainer.data.geometry import Point, smallest_rectangle, turned_rectangle


def area_turned(points: list[Point], angle: float) -> float:
    """Area of the box around the points in axes that are turned."""
    along = [x * math.cos(angle) + y * math.sin(angle) for x, y in points]
    across = [y * math.cos(angle) - x * math.sin(angle) for x, y in points]
    return (max(along) - min(along)) * (max(across) - min(across))


@pytest.mark.parametrize("seed", range(20))
def test_smallest_rectangle_is_one_and_the_smallest(seed: int) -> None:
    rng = random.Random(seed)
    points = [(rng.uniform(0, 640), rng.uniform(0, 480)) for _ in range(rng.randint(3, 30))]
    a, b, c, d = smallest_rectangle(points)
    side, other = math.dist(a, b), math.dist(b, c)
    assert (math.dist(c, d), math.dist(d, a)) == pytest.approx((side, other))
    assert math.dist(a, c) == pytest.approx(math.hypot(side, other))
    for x, y in points:
        along = ((x - a[0]) * (b[0] - a[0]) + (y - a[1]) * (b[1] - a[1])) / side
        across = ((x - b[0]) * (c[0] - b[0]) + (y - b[1]) * (c[1] - b[1])) / other
        assert -1e-6 <= along <= side + 1e-6
        assert -1e-6 <= across <= other + 1e-6
    tried = min(area_turned(points, step * math.pi / 2000) for step in range(1000))
    assert side * other <= tried + 1e-6


@pytest.mark.parametrize("points", [[(3.0, 4.0)] * 5, [(0.0, 0.0), (2.0, 2.0), (1.0, 1.0)]])
def test_smallest_rectangle_of_a_point_or_a_line_has_no_area(points: list[Point]) -> None:
    a, b, c, _ = smallest_rectangle(points)
    assert math.dist(a, b) * math.dist(b, c) == pytest.approx(0)


def test_turned_rectangle_turns_clockwise_on_the_screen_about_its_centre() -> None:
    want = [(36, 8), (36, 32), (28, 32), (28, 8)]
    assert turned_rectangle(32, 20, 24, 8, math.pi / 2) == [pytest.approx(point) for point in want]
    assert turned_rectangle(32, 20, 24, 8, 0) == [(20, 16), (44, 16), (44, 24), (20, 24)]
