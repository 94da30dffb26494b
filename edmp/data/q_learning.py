"""Diffusion Q-learning (Wang et al. 2023, "Diffusion policies as an expressive policy class for offline RL").

The state is a question, the action the motion that the chain of denoising steps gives, and the reward comes at once: an
episode has one step, and Q(question, motion) is the reward that is to be expected. Two critics learn it along, each
from samples of its own choice among all that were collected, and the prior climbs the smaller of what their averages
(target networks) say, propagated back through every denoising step. Of what a motion touches on its way the cost is
differentiated, its gradient counts as fixed (`edmp.prior.conditions.felt`).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.data.collected import Place, RewardedSettings, Rows
from edmp.data.reward import Outcome
from edmp.learning.edm import karras_sigmas
from edmp.learning.training import TrainSettings, first_weights
from edmp.prior.scene import SceneNetwork, ScenePrior
from edmp.prior.value import ValueConfig, ValueNetwork, ValueRows
from edmp.robots.robot import Robot

FIRST = 10
"""Times as many critic steps after the first collection, of which they know nothing yet."""

Touch = Callable[[World, Tensor], Tensor]
"""``touch(world, control_points) -> (n, ...)``, as networks have it."""


def touched(places: Mapping[int, Place], number: Tensor, control_points: Tensor, touch: Touch) -> Tensor:
    """(n, ...) what ``touch`` says of motions (n, K, dof), each in the world of its question ``number`` (n,)."""
    rows = [(number == i).nonzero().squeeze(1) for i in number.unique()]
    parts = [touch(places[int(number[row[0]])].descent.world, control_points[row]) for row in rows]
    return torch.cat(parts)[torch.cat(rows).argsort()]


def chain(
    network: SceneNetwork, places: Mapping[int, Place], number: Tensor, x: Tensor, sigmas: Sequence[float]
) -> Tensor:
    """Motions (n, K, dof) within the joint limits that noise ``x`` (n, dim) comes to, by Euler's method.

    Args:
        network: the denoiser; gradients reach its weights through every step.
        places: questions by number.
        number: (n,) whose answer each is.
        x: (n, dim) of level ``sigmas[0]`` [rad or m].
        sigmas: noise levels, the last 0 [1].
    """
    asked = [places[i] for i in number.tolist()]
    start, goal = torch.stack([place.start for place in asked]), torch.stack([place.goal for place in asked])
    ends, spline = torch.stack([start, goal], dim=1), network.spline
    problem = network.base.problem_embedding(start, goal)
    for sigma, after in itertools.pairwise(sigmas):
        level = x.new_full((len(x), 1), sigma)
        estimate = network.base.denoise(x, level, problem)
        touch = touched(places, number, spline.control_points(estimate, start, goal), network.touch)
        x = torch.lerp(estimate + network(x, estimate, touch, level, ends), x, after / sigma)
    return asked[0].descent.clamp(spline.control_points(x, start, goal))


class QLearning:
    """The critics and what the prior learns from them; a `Pupil` of `Collected`.

    Args:
        prior: that is tuned.
        robot: that it is for.
        places: all questions.
        rewarded: how.
        settings: of the training, for the critics' first weights.
        begin: what both critics begin as; None with weights of their own.

    Attributes:
        critics, averages: two networks, and the averages of their weights.
        memory: (n, columns) `ValueRows.packed` of samples, the latest last.
    """

    def __init__(
        self,
        prior: ScenePrior,
        robot: Robot,
        places: Sequence[Place],
        rewarded: RewardedSettings,
        settings: TrainSettings,
        begin: ValueNetwork | None,
    ) -> None:
        self.places, self.settings = {place.number: place for place in places}, rewarded
        bounds = {"sigma_min": prior.sigma_min, "sigma_max": prior.sigma_max}
        self.sigmas = karras_sigmas(rewarded.steps, **bounds).tolist()
        with first_weights(settings):
            config = ValueConfig(num_control_points=prior.spline.num_control_points)
            limits = robot.limits.lower, robot.limits.upper
            fresh = [ValueNetwork.fresh(config, prior.noise_scale, *limits) for _ in range(2)]
        two = fresh if begin is None else [copy.deepcopy(begin) for _ in range(2)]
        self.critics = nn.ModuleList(two).train().requires_grad_(True)
        self.averages = copy.deepcopy(self.critics).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.critics.parameters(), lr=rewarded.critic_rate, fused=True)
        self.memory = torch.zeros(0).half()

    @torch.no_grad()
    def collect(self, prior: ScenePrior, place: Place, s: RewardedSettings, generator: torch.Generator) -> Rows:
        """Noise, and what came of the motions that it came to."""
        x = prior.noise(s.group, sigma=self.sigmas[0], generator=generator)
        number = torch.full((len(x),), place.number)
        motions = chain(prior.network, self.places, number, x, self.sigmas)
        outcome = Outcome.of(place.descent, motions, enough=s.reward.enough)
        critic = self._first
        deviation, touch = prior.spline.deviation(motions), critic.touch(place.descent.world, motions)
        level = x.new_full((len(x), 1), critic.config.sigma_min)
        reward, free = s.reward.of(outcome), outcome.free.float()
        rows = ValueRows(deviation, deviation, touch, level, motions[:, [0, -1]], reward, free)
        return {"x": x, "number": number, "came": rows.packed, "reward": reward[:, None]}

    def learn(self, rows: Rows, generator: torch.Generator) -> None:
        """Steps of both critics, on all that was collected so far, and of their averages."""
        s, came = self.settings, rows["came"]
        steps = s.critic_steps * (1 if len(self.memory) else FIRST)
        self.memory = torch.cat([self.memory, came])[-s.memory :]
        for _ in range(steps):
            chosen = torch.randint(len(self.memory), (2, s.critic_batch), generator=generator)
            losses = []
            for critic, which in zip(self.critics, chosen, strict=True):
                assert isinstance(critic, ValueNetwork)
                losses.append(critic.loss(self.memory[which], generator).mean())
            self.optimiser.zero_grad(set_to_none=True)
            torch.stack(losses).sum().backward()
            self.optimiser.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(self.averages.parameters()), list(self.critics.parameters()), 1 - s.average)

    def said(self, number: Tensor, motions: Tensor) -> Tensor:
        """(n,) what the averages say of motions (n, K, dof), the smaller of both [1]."""
        first = self._first
        x, ends = first.spline.deviation(motions), motions[:, [0, -1]]
        touch = touched(self.places, number, motions, first.touch)
        level = x.new_full((len(x), 1), first.config.sigma_min)
        return torch.stack([critic(x, x, touch, level, ends)[:, 0] for critic in self.averages]).amin(dim=0)

    def climb(self, network: SceneNetwork, rows: Rows, s: RewardedSettings) -> Tensor:
        """(n,) less what the critics say of the motions, in parts of its mean size (Wang et al. 2023, eq. 3)."""
        said = self.said(rows["number"], chain(network, self.places, rows["number"], rows["x"], self.sigmas))
        return -s.push * said / said.detach().abs().mean().clamp_min(1e-3)

    def state(self) -> Rows:
        """All that a run which stopped needs to go on as if it had not."""
        moments = self.optimiser.state_dict()["state"]
        return {
            "memory": self.memory,
            **{f"critics.{key}": value for key, value in self.critics.state_dict().items()},
            **{f"averages.{key}": value for key, value in self.averages.state_dict().items()},
            **{f"moments.{i}.{key}": value for i, entry in moments.items() for key, value in entry.items()},
        }

    def restore(self, state: Rows) -> None:
        """Take over what `state` gave.

        Raises:
            LookupError, RuntimeError, ValueError: it is none.
        """
        groups: dict[str, Rows] = {"critics": {}, "averages": {}, "moments": {}}
        for name, value in state.items():
            group, _, key = name.partition(".")
            if key:
                groups[group][key] = value
        self.memory = state["memory"]
        self.critics.load_state_dict(groups["critics"])
        self.averages.load_state_dict(groups["averages"])
        moments: dict[int, Rows] = {}
        for name, value in groups["moments"].items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = value
        self.optimiser.load_state_dict({"state": moments, "param_groups": self.optimiser.state_dict()["param_groups"]})

    @property
    def _first(self) -> ValueNetwork:
        first = self.averages[0]
        assert isinstance(first, ValueNetwork)
        return first
