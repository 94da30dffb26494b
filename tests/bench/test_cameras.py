"""Problems as cameras see them: what they do not see is said, and the arm may be where it starts."""

from __future__ import annotations

import edmp
from edmp.bench import sight


def test_a_problem_seen_by_cameras() -> None:
    problem = edmp.load_example("bookshelf")
    seen = sight.seen(problem, "cameras")
    assert seen.scene.names == ("map",)
    assert seen.scene.unseen is not None
    assert seen.scene.unseen.policy == "occupied"
    assert 0.05 < seen.scene.unseen.share < 0.6
    assert edmp.Judge(seen.robot, seen.scene).check(seen.start).valid
