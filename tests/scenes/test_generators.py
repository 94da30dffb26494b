"""Generated scenes: the same for a seed, off the robot's base, within its reach, with targets that make sense."""

import numpy as np
import pytest
import torch

from edmp.errors import UnknownNameError
from edmp.scenes.distance import scene_distance
from edmp.scenes.generators import FAMILIES, generate

SEEDS = range(12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_gives_the_same_scene_and_targets(family: str) -> None:
    def make(seed: int):
        rng = np.random.default_rng(seed)
        generated = generate(family, rng)
        return generated.scene, generated.targets(rng, 20)

    scene, targets = make(3)
    again, targets_again = make(3)
    assert scene == again
    np.testing.assert_array_equal(targets, targets_again)
    assert make(4)[0] != scene


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_stays_free(family: str) -> None:
    angle, radius, height = np.meshgrid(
        np.linspace(0, 2 * np.pi, 24), np.linspace(0, 0.179, 4), np.linspace(0, 0.499, 26)
    )
    cylinder = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1).reshape(-1, 3)
    for seed in SEEDS:
        scene = generate(family, np.random.default_rng(seed)).scene
        assert 3 <= len(scene) <= 30
        distance, _ = scene_distance(scene, torch.tensor(cylinder))
        assert distance.min() > 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_targets_are_rigid_in_reach_and_outside_obstacles(family: str) -> None:
    counts, azimuths = [], []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        generated = generate(family, rng)
        X_WT = generated.targets(rng, 30)
        counts.append(len(X_WT))
        R, p = X_WT[:, :3, :3], X_WT[:, :3, 3]
        np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), R.shape), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(R), 1.0)
        assert (np.linalg.norm(p - (0, 0, 0.333), axis=1) < 0.855).all()
        tool, _ = scene_distance(generated.scene, torch.tensor(p))
        wrist, _ = scene_distance(generated.scene, torch.tensor(p - 0.17 * R[:, :, 2]))
        assert (tool > 0.0).all()
        assert (wrist > 0.04).all()
        azimuths.append(np.arctan2(p[:, 1], p[:, 0]))
    assert np.mean(counts) > 25
    # all around the arm: every quadrant of directions is visited
    assert set(np.floor(np.concatenate(azimuths) / (np.pi / 2)).astype(int)) == {-2, -1, 0, 1}


def test_mpinets_families_keep_their_ranges() -> None:
    for seed in range(40):
        cubby = generate("cubby", np.random.default_rng(seed)).scene
        assert len(cubby) == 9
        depth, width, thickness = cubby["bottom"].shape.size  # type: ignore[union-attr]
        assert 0.15 <= depth <= 0.55
        assert 1.2 <= width <= 1.6
        assert 0.01 <= thickness <= 0.03
        assert 0.6 <= cubby["top"].X_WO[2, 3] <= 0.8
        assert len(generate("merged_cubby", np.random.default_rng(seed)).scene) == 8
        dresser = generate("dresser", np.random.default_rng(seed)).scene
        assert 0.55 <= dresser["left"].shape.size[2] <= 0.85  # type: ignore[union-attr]


def test_unknown_family_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"bin, box, cage.*'shelf'"):
        generate("shelve", np.random.default_rng(0))
