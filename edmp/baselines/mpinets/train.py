"""Training a Motion Policy Network by imitation (Fishman et al. 2022, section 4), and the file that ships.

From where the expert is, slightly disturbed, the network shall lead where the expert is a step later. Both losses look
at points on the robot: their distance from where the expert's step puts them, and how far they come closer to obstacles
than a margin:

    L = mean |p^ - p|_1 + mean |p^ - p|_2^2 + w mean max(margin - d(p^), 0).

A run lives in a folder as that of `edmp.data.train`; at its end ``mpinets.safetensors`` holds the averaged weights and
``mpinets.md`` the model card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edmp.baselines.mpinets.compact import CompactConfig
from edmp.baselines.mpinets.compact_loss import CompactLoss, point_match
from edmp.baselines.mpinets.description import model_card
from edmp.baselines.mpinets.imitation_set import ImitationSet, ImitationSettings, Situations
from edmp.baselines.mpinets.network import MpinetsConfig, MpinetsNetwork
from edmp.baselines.mpinets.point_cloud import labelled, robot_points, target_points
from edmp.baselines.mpinets.rollouts import HeldOutRollouts
from edmp.baselines.mpinets.steady_set import SteadySet
from edmp.baselines.mpinets.weights import ARCHITECTURES, Policy, bundled_weights, card_of, load_weights, network_of
from edmp.errors import InvalidInputError, unknown_name
from edmp.learning.card import Card, configured
from edmp.learning.training import (
    TrainingRun,
    TrainReport,
    TrainSettings,
    begun,
    export,
    first_weights,
    opened,
    trained,
)
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot

SHIPPED = "mpinets.safetensors"


def train_mpinets(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    settings: TrainSettings,
    arch: str = "published",
    imitation: ImitationSettings | None = None,
    weights: str | Path | None = None,
    resume: bool = True,
    command: str = "",
) -> TrainReport:
    """Train a policy for ``robot`` on the paths in ``data_dir``.

    Args:
        data_dir: made by `edmp generate`; for the compact policy with nearest goals.
        out: folder of the run; created.
        robot: whose paths these are.
        settings: of the training; ``config`` replaces fields of the architecture's config.
        arch: ``published``, or ``compact`` (`edmp.baselines.mpinets.compact`).
        imitation: how examples are made and weighed.
        weights: file of a trained policy to begin with, or the robot's name for what ships; None begins with random
            weights.
        resume: go on from the folder's checkpoint if it has one; False starts afresh and overwrites it.
        command: that called this, for the model card.
    """
    if arch not in ARCHITECTURES:
        raise unknown_name("architecture", arch, ARCHITECTURES)
    out = opened(out, settings)
    network, card = _begun(robot, arch, settings, weights, command)
    imitation, config = imitation or ImitationSettings(), network.config
    fraction, most, device = settings.validation_fraction, settings.max_validation, settings.device
    data: ImitationSet
    if isinstance(config, CompactConfig):
        data = SteadySet(data_dir, imitation, config, validation_fraction=fraction, max_validation=most, device=device)
    else:
        points = config.num_obstacle_points
        data = ImitationSet(
            data_dir,
            imitation,
            num_obstacle_points=points,
            validation_fraction=fraction,
            max_validation=most,
            device=device,
        )
    if data.robot_name != robot.name or data.paths.shape[2] != robot.dof:
        raise InvalidInputError(f"{data_dir} holds trajectories of {data.robot_name!r}, not of {robot.name!r}")
    loss = CompactLoss(data, robot) if isinstance(data, SteadySet) else ImitationLoss(data, robot)
    if len(data.validation):
        generator = torch.Generator(settings.device).manual_seed(settings.seed)
        data.loss_standing_still = float(loss.standing_still(data.validation, generator).mean())
    run = TrainingRun(network, card, settings, loss)
    looks = None
    if isinstance(data, SteadySet):
        looks = HeldOutRollouts(run, robot, data, out, every=imitation.rollout_every, resume=resume)
    return trained(run, data, out, settings, resume=resume, ship=export_mpinets, name=SHIPPED, on_step=looks)


def _begun(
    robot: Robot, arch: str, settings: TrainSettings, weights: str | Path | None, command: str
) -> tuple[Policy, Card]:
    """The network to train and the card of its run: with random weights, or with those of a file."""
    if weights is not None:
        path = bundled_weights().get(str(weights), Path(weights).expanduser())
        network, known = load_weights(path)
        architecture = ARCHITECTURES[arch]
        return network, begun(
            network, known, path, robot=robot, architecture=architecture, settings=settings, command=command
        )
    config: CompactConfig | MpinetsConfig
    if arch == "compact":
        config = configured(CompactConfig, settings.config, of=arch)
    else:
        config = configured(MpinetsConfig, settings.config, of=arch)
    card = card_of(config, robot, seed=settings.seed, command=command)
    with first_weights(settings):
        return network_of(card, arch), card


@dataclass(frozen=True)
class ImitationLoss:
    """The loss of a network on examples.

    Attributes:
        data: what the examples are rows of.
        robot: the arm.
    """

    data: ImitationSet
    robot: Robot

    def __call__(self, network: nn.Module, examples: Tensor, generator: torch.Generator) -> Tensor:
        """(B,) [m]: the loss of each example, disturbed at random."""
        assert isinstance(network, MpinetsNetwork)
        config = network.config
        now = self.data.situations(examples, generator)
        q = self._disturbed(now.q, generator)
        cloud = labelled(
            robot_points(self.robot, config.num_robot_points).at(q),
            now.obstacle,
            target_points(self.robot, config.num_target_points, tool_pose(self.robot, now.q_goal)),
        )
        return self._of(now, network.unscaled(network.next_unit(cloud, network.scaled(q))))

    @torch.no_grad()
    def standing_still(self, examples: Tensor, generator: torch.Generator) -> Tensor:
        """(B,) [m]: the loss of a policy that never moves, to see what another has learnt."""
        now = self.data.situations(examples, generator)
        return self._of(now, self._disturbed(now.q, generator))

    def _disturbed(self, q: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(q.shape, generator=generator, device=generator.device).to(q)
        lower, upper = (torch.as_tensor(limit).to(q) for limit in (self.robot.limits.lower, self.robot.limits.upper))
        return torch.minimum(torch.maximum(q + self.data.settings.noise * noise, lower), upper)

    def _of(self, now: Situations, q: Tensor) -> Tensor:
        """(B,) the loss of going to ``q`` (B, dof)."""
        settings = self.data.settings
        body = robot_points(self.robot, settings.num_loss_points, moving=True)
        p = body.at(q)
        depth = (settings.collision_margin - self.data.scenes.distance(now.scene, p)).clamp(min=0)
        return point_match(p, body.at(now.q_next)) + settings.collision_weight * depth.mean(dim=1)


def export_mpinets(run_dir: str | Path, path: str | Path, *, half: bool = True) -> Card:
    """Write the averaged weights of a training run, finished or not, to ``path`` (.safetensors), the card beside it.

    Args:
        run_dir: folder that `train_mpinets` writes.
        path: of the weights file.
        half: store weights as float16.
    """
    return export(run_dir, path, build=network_of, describe=model_card, half=half)
