"""Training a network: resumable, time-boxed, with averaged weights, a progress bar and a loss plot.

A run lives in a folder: ``checkpoint.safetensors`` (everything needed to go on), ``loss.csv``, ``loss.png``; what ships
at its end is its caller's. With `TrainSettings.max_steps` alone, a run that was interrupted and resumed gives the same
weights as one that was not.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import datetime
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edmp.errors import EdmpError, FileFormatError, InvalidInputError
from edmp.files.writing import write_text, written_whole
from edmp.learning.card import Arm, Card, completed, save_network
from edmp.learning.progress import TrainProgress, stop_on_interrupt
from edmp.learning.tensors import load_state, read_tensors, write_tensors

log = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training.

    Attributes:
        max_steps: stop after this many optimiser steps; None for no limit.
        max_seconds: stop after this much training time, summed over resumed runs [s]; None for no limit. At least one
            limit is needed: the learning rate anneals along whichever is nearer.
        batch_size: trajectories a step.
        learning_rate: peak, of AdamW.
        final_learning_rate: at the end, as a fraction of the peak.
        warmup_steps: steps of linear warm-up.
        weight_decay: of AdamW.
        grad_clip: largest norm of the gradient.
        ema_decay: of the averaged weights, which are what ships; shorter memory during the first steps.
        validation_fraction: share of scenes held out.
        max_validation: validation trajectories used.
        validate_every: steps between validations.
        log_every: steps between lines of loss.csv.
        checkpoint_seconds: time between checkpoints [s].
        rescan_seconds: time between looks for new shards [s]; inf looks once.
        seed: of initial weights, batches and noise.
        device: ``"cpu"`` or ``"cuda"``.
        num_threads: CPU threads; None leaves torch's choice.
        compact: leave a checkpoint that is a quarter as large when the run has reached its end: weights as bfloat16,
            averaged weights as float16, no moments of Adam. A run that goes on from it warms up again and is not bit
            for bit one that did not stop: weights have lost up to 0.2 % each, averaged ones 0.05 %, Adam its memory.
        config: values that replace defaults of the architecture's config.
        progress: show a progress bar.
    """

    max_steps: int | None = None
    max_seconds: float | None = None
    batch_size: int = 512
    learning_rate: float = 1e-3
    final_learning_rate: float = 0.01
    warmup_steps: int = 500
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    ema_decay: float = 0.999
    validation_fraction: float = 0.02
    max_validation: int = 4096
    validate_every: int = 500
    log_every: int = 50
    checkpoint_seconds: float = 120.0
    rescan_seconds: float = 120.0
    seed: int = 0
    device: str = "cpu"
    num_threads: int | None = None
    compact: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = True

    def __post_init__(self) -> None:
        if self.max_steps is None and self.max_seconds is None:
            raise InvalidInputError("give max_steps or max_seconds (or both): training needs an end")
        for name in ("max_steps", "max_seconds", "batch_size", "learning_rate", "log_every", "validate_every"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInputError(f"{name} must be positive, got {value}")

    def fraction_done(self, step: int, seconds: float) -> float:
        """Progress in [0, 1], along whichever limit is nearer."""
        by_step = step / self.max_steps if self.max_steps else 0.0
        by_time = seconds / self.max_seconds if self.max_seconds else 0.0
        return min(max(by_step, by_time), 1.0)

    def learning_rate_at(self, step: int, fraction_done: float) -> float:
        """Linear warm-up over ``step`` steps since the optimiser began, then a cosine down as the run ends."""
        cosine = 0.5 * (1 + math.cos(math.pi * fraction_done))
        annealed = self.final_learning_rate + (1 - self.final_learning_rate) * cosine
        return self.learning_rate * min(1.0, (step + 1) / max(self.warmup_steps, 1)) * annealed


@dataclass(frozen=True)
class TrainReport:
    """How a training ended.

    Attributes:
        file: what ships, None if interrupted.
        interrupted: True if Ctrl-C ended it; the same call goes on.
        metrics: final numbers, as in the model card.
    """

    file: Path | None
    interrupted: bool
    metrics: dict[str, Any]


def opened(out: str | Path, settings: TrainSettings) -> Path:
    """The folder of a run, created; torch has as many threads from here on as the settings say."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    return out


@contextlib.contextmanager
def first_weights(settings: TrainSettings) -> Iterator[None]:
    """Networks made in here begin with weights of the settings' seed; random numbers outside are as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # torch's initialisers take no generator
        yield


def begun(
    network: nn.Module,
    card: Card,
    path: Path,
    *,
    robot: Arm,
    architecture: str,
    settings: TrainSettings,
    command: str,
) -> Card:
    """Make a network that was read from a file one to be trained on; returns the card of that run.

    Sizes and normalisation stay those of the file; Adam knows nothing of how it was trained.

    Args:
        network: of the file.
        card: of the file.
        path: of the file.
        robot: whose motions it is to be trained on.
        architecture: that it must have, as cards call it.
        settings: of the training to come.
        command: that called this, for the model card.

    Raises:
        InvalidInputError: it is of another robot or architecture, or a network that was tuned for one call, which this
            training would undo; or sizes are asked for.
    """
    if (card.robot, card.dof) != (robot.name, robot.dof):
        raise InvalidInputError(
            f"weights: {path} is for {card.robot!r} with {card.dof} joints, not for {robot.name!r} with {robot.dof}"
        )
    if card.architecture != architecture:
        raise InvalidInputError(f"weights: {path} is of architecture {card.architecture!r}, not {architecture!r}")
    if card.one_call:
        raise InvalidInputError(
            f"weights: {path} was tuned to need one call, which training would undo: train on what it came from "
            f"({card.origin}) and distill that"
        )
    if settings.config:
        raise InvalidInputError(f"weights: {path} has its sizes: give no config ({', '.join(settings.config)})")
    network.train().requires_grad_(True)
    steps = card.metrics.get("steps")
    origin = f"{path.stem} of {card.date or 'an unknown date'}" + (f", {steps} steps" if steps else "")
    return dataclasses.replace(card, data={}, metrics={}, seed=settings.seed, command=command, date="", origin=origin)


def trained(
    run: TrainingRun,
    data: Examples,
    out: Path,
    settings: TrainSettings,
    *,
    resume: bool,
    ship: Callable[[Path, Path], object],
    name: str,
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train until a limit is reached or the user interrupts, and save; if not interrupted, ship what came of it.

    Args:
        run: at its beginning; a checkpoint takes its place.
        data: what is trained on.
        out: folder of the run.
        settings: of the training.
        resume: go on from the folder's checkpoint, if it has one.
        ship: ``ship(out, file)`` writes what ships, see `export`.
        name: of that file, in ``out``.
        on_step: called after each step with its number and its loss.
    """
    if resume and (out / CHECKPOINT_NAME).exists():
        run.restore(out)
        log.info("resumed at step %d after %.0f s", run.step, run.seconds)
    with TrainProgress(enabled=settings.progress) as bar, stop_on_interrupt() as interrupted:
        _loop(run, data, out, settings, bar, interrupted, on_step)
    run.validate(data, settings)
    finished = settings.fraction_done(run.step, run.seconds) >= 1
    run.save(out, data, compact=finished and settings.compact)
    if not finished:
        return TrainReport(file=None, interrupted=True, metrics=run.metrics(data))
    ship(out, out / name)
    return TrainReport(file=out / name, interrupted=False, metrics=run.metrics(data))


def _loop(
    run: TrainingRun,
    data: Examples,
    out: Path,
    settings: TrainSettings,
    bar: TrainProgress,
    interrupted: Callable[[], bool],
    on_step: Callable[[int, float], None] | None,
) -> None:
    """Steps until a limit is reached or the user interrupts; the clock runs for training alone."""
    base, began = run.seconds, time.monotonic()
    last_save = last_scan = began
    while (done := settings.fraction_done(run.step, run.seconds)) < 1 and not interrupted():
        loss = run.advance(data, settings, done)
        now = time.monotonic()
        run.seconds = base + now - began
        if on_step is not None:
            on_step(run.step, float(loss))
        if run.step % settings.log_every == 0:
            run.record(settings)
            bar.update(settings.fraction_done(run.step, run.seconds), run.step, run.history[-1], len(data))
        if run.step % settings.validate_every == 0:
            run.validate(data, settings)
        if now - last_save > settings.checkpoint_seconds:
            run.save(out, data)
            last_save = time.monotonic()
        if now - last_scan > settings.rescan_seconds:
            if num_new := data.rescan():
                log.info("picked up %d new shards: %d trajectories", num_new, len(data))
            last_scan = time.monotonic()


def export(
    run_dir: str | Path,
    path: str | Path,
    *,
    build: Callable[[Card, Path], nn.Module],
    describe: Callable[..., str],
    command: str | None = None,
    half: bool = True,
) -> Card:
    """Write the averaged weights of a run, finished or not, to ``path`` (.safetensors), its model card beside it (.md).

    Args:
        run_dir: folder of the run.
        path: of the weights file.
        build: the network of a card; the file is named for errors.
        describe: ``describe(card, num_parameters=..., size=...)``, the model card as Markdown.
        command: that made the network, for the card; None keeps the one of the run.
        half: store weights as float16.
    """
    checkpoint, path = Path(run_dir) / CHECKPOINT_NAME, Path(path)
    tensors, header = read_tensors(checkpoint)
    if (described := header.get("card")) is None:
        raise FileFormatError(f"{checkpoint}: not a training checkpoint of edmp")
    card = Card.of(described)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    card = dataclasses.replace(card, date=today, command=card.command if command is None else command)
    network = build(card, checkpoint)
    load_state(network, {k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")}, checkpoint)
    save_network(path, network, card, half=half)
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    write_text(path.with_suffix(".md"), describe(card, num_parameters=num_parameters, size=path.stat().st_size))
    return card


Loss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
"""``loss(network, examples, generator) -> (n,)``."""


def _own_loss(network: nn.Module, examples: Tensor, generator: torch.Generator) -> Tensor:
    """What the network itself says, as a prior's network does."""
    return network.loss(examples, generator)  # type: ignore[operator]


class Examples(Protocol):
    """What is trained on; Rows of ``train`` and ``validation`` count."""

    train: Tensor
    validation: Tensor

    def __len__(self) -> int: ...
    def batch(self, size: int, generator: torch.Generator) -> Tensor: ...
    def rescan(self) -> int: ...
    def description(self) -> dict[str, Any]: ...


class TrainingRun:
    """The state of a training run, all of which goes into its checkpoint."""

    def __init__(self, network: nn.Module, card: Card, settings: TrainSettings, loss: Loss = _own_loss) -> None:
        device = torch.device(settings.device)
        self.card = card
        self.loss = loss
        self.network = network.to(device)
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            [parameter for parameter in self.network.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.batches = torch.Generator().manual_seed(settings.seed)
        self.noise = torch.Generator(device).manual_seed(settings.seed + 1)
        self.step = 0
        self.began = 0  # the step at which the optimiser knew nothing
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.validation_loss = math.nan
        self._pending: list[Tensor] = []

    def advance(self, data: Examples, settings: TrainSettings, fraction_done: float) -> Tensor:
        """One optimiser step; returns its loss."""
        rate = settings.learning_rate_at(self.step - self.began, fraction_done)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.loss(self.network, data.batch(settings.batch_size, self.batches), self.noise).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), settings.grad_clip)
        self.optimiser.step()
        self.step += 1
        decay = min(settings.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.network.parameters()), 1 - decay)
        self._pending.append(loss.detach())
        return loss.detach()

    def record(self, settings: TrainSettings) -> None:
        """Add a line to the history: the mean loss since the last line."""
        loss = float(torch.stack(self._pending).mean())
        self._pending.clear()
        if not math.isfinite(loss):
            raise EdmpError(
                f"the loss is {loss} at step {self.step}: training diverged; the last checkpoint is kept, lower the "
                f"learning rate ({settings.learning_rate})"
            )
        rate = self.optimiser.param_groups[0]["lr"]
        self.history.append(
            {
                "step": self.step,
                "seconds": round(self.seconds, 2),
                "learning_rate": rate,
                "loss": loss,
                "validation_loss": math.nan,
            }
        )

    @torch.no_grad()
    def validate(self, data: Examples, settings: TrainSettings) -> None:
        """Loss of the averaged weights on the held-out scenes, with the same noise every time."""
        held_out = data.validation[: settings.max_validation]
        if len(held_out) == 0:
            return
        noise = torch.Generator(settings.device).manual_seed(12345)
        losses = [self.loss(self.ema, chunk, noise) for chunk in held_out.split(settings.batch_size)]
        self.validation_loss = float(torch.cat(losses).mean())
        if self.history:
            self.history[-1]["validation_loss"] = self.validation_loss

    def metrics(self, data: Examples) -> dict[str, Any]:
        recent = [row["loss"] for row in self.history[-20:]]
        return {
            "steps": self.step,
            "training_seconds": round(self.seconds, 1),
            "training_loss": sum(recent) / len(recent) if recent else None,
            "validation_loss": self.validation_loss if math.isfinite(self.validation_loss) else None,
            "num_training_trajectories": len(data.train),
            "num_validation_trajectories": len(data.validation),
        }

    def save(self, out: Path, data: Examples, *, compact: bool = False) -> None:
        """Checkpoint, loss.csv and loss.png, each atomically; ``compact`` as in `TrainSettings`."""
        self.card = dataclasses.replace(self.card, data=data.description(), metrics=self.metrics(data))
        tensors: dict[str, Tensor] = {"rng.batches": self.batches.get_state(), "rng.noise": self.noise.get_state()}
        still = self._still
        tensors |= {f"network.{k}": v for k, v in self.network.state_dict().items() if k not in still}
        tensors |= {f"ema.{k}": _least(v) if k in still else v for k, v in self.ema.state_dict().items()}
        if compact:
            learnt = {name for name, _ in self.network.named_parameters()} - still
            tensors |= {f"network.{k}": tensors[f"network.{k}"].bfloat16() for k in learnt}
            tensors |= {f"ema.{k}": tensors[f"ema.{k}"].half() for k in learnt}
        for i, parameter in enumerate(() if compact else self.optimiser.param_groups[0]["params"]):
            tensors |= {f"optimiser.{i}.{k}": v for k, v in self.optimiser.state.get(parameter, {}).items()}
        if self._pending:
            tensors["pending"] = torch.stack(self._pending)
        state = {"step": self.step, "began": self.began, "seconds": self.seconds, "history": self.history}
        state["validation_loss"] = self.validation_loss
        write_tensors(out / CHECKPOINT_NAME, tensors, {"card": dataclasses.asdict(self.card), **state})
        if self.history:
            with written_whole(out / "loss.csv") as file:
                _write_csv(file, self.history)
            with written_whole(out / "loss.png") as file:
                _plot(file, self.history)

    @property
    def _still(self) -> set[str]:
        """Parameters that are not trained; the averaged ones are the same."""
        return {name for name, parameter in self.network.named_parameters() if not parameter.requires_grad}

    def restore(self, out: Path) -> None:
        """Take over the state of the checkpoint in ``out``."""
        path = out / CHECKPOINT_NAME
        tensors, header = read_tensors(path)
        try:
            card = Card.of(header["card"])
            for what in ("architecture", "config", "robot", "dof", "origin"):
                theirs, ours = getattr(card, what), json.loads(json.dumps(getattr(self.card, what)))
                if what == "config":
                    theirs, ours = (completed(one, self.network) for one in (theirs, ours))
                if theirs != ours:
                    raise InvalidInputError(
                        f"{path} was trained with {what} {json.dumps(theirs)}, not {json.dumps(ours)}; choose another "
                        f"folder or resume=False"
                    )
            self.step, self.seconds = header["step"].integer(), header["seconds"].number(0)
            self.history = header["history"].plain()
            self.validation_loss = float(header["validation_loss"].plain())
            groups: dict[str, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                group, _, key = name.partition(".")
                groups.setdefault(group, {})[key] = tensor
            self.network.load_state_dict({**{name: groups["ema"][name] for name in self._still}, **groups["network"]})
            self.ema.load_state_dict(groups["ema"])
            self.batches.set_state(groups["rng"]["batches"])
            self.noise.set_state(groups["rng"]["noise"])
            self._restore_optimiser(groups.get("optimiser", {}))
            began = header.get("began")
            self.began = self.step if "optimiser" not in groups else 0 if began is None else began.integer(0)
            self._pending = list(tensors["pending"].to(self.noise.device)) if "pending" in tensors else []
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, EdmpError):
                raise
            raise FileFormatError(f"{path}: not a checkpoint of this training: {error}") from None

    def _restore_optimiser(self, tensors: dict[str, Tensor]) -> None:
        parameters = self.optimiser.param_groups[0]["params"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = tensor
        for number, entries in state.items():
            parameter = parameters[number]
            self.optimiser.state[parameter] = {k: v.to(parameter.device) for k, v in entries.items()}


def _least(weights: Tensor) -> Tensor:
    """In half precision where nothing is lost by it: what came from a file that ships is."""
    half = weights.half()
    return half if torch.equal(half.float(), weights) else weights


def _write_csv(path: Path, history: list[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def _plot(path: Path, history: list[dict[str, float]]) -> None:
    from matplotlib.figure import Figure

    steps = [row["step"] for row in history]
    validated = [row for row in history if math.isfinite(row["validation_loss"])]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, [row["loss"] for row in history], lw=1, label="training")
    axes.plot(
        [r["step"] for r in validated],
        [r["validation_loss"] for r in validated],
        "o-",
        ms=3,
        label="validation (averaged weights)",
    )
    positive = all(row["loss"] > 0 for row in history)  # that of a reward need not be
    axes.set(xlabel="step", ylabel="loss [1]", yscale="log" if positive else "linear")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=120, format="png")
