"""Motions that the trainings of these tests share."""

from pathlib import Path

import pytest

from edmp.data.generate import GenerateSettings, generate

SMALL = GenerateSettings(count=60, seed=3, families=("tabletop",), queries_per_scene=8, scenes_per_shard=6)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, SMALL, workers=1)
    return folder
