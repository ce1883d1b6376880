"""Train and evaluate the configurations of a plan below one folder; what is complete is kept.

The folder contains ``plan.yaml``; ``features/``, what the trunk's backbone makes of the training
pairs of each seed; ``runs/NAME/SEED/RATE/`` with ``weights.safetensors`` and, when the run is
complete, ``record.json``; and ``results/TRIAL/NAME@SEED/``, boxes by sequence.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.configuration import read_yaml, write_config
from fusion.base.errors import UserError
from fusion.base.tables import write_json
from fusion.base.workers import outcomes
from tracker.commands.ablation.plan import Configuration, Plan
from tracker.data.sequences import load_dataset
from tracker.evaluation.failing import Trial
from tracker.evaluation.origin import weights_digest

if TYPE_CHECKING:
    from tracker.model.joint import JointTracker
    from tracker.online.rgbt_tracker import RGBTTracker
    from tracker.training.join_training import JoinTraining

__all__ = ["Ablation", "Run"]


@dataclass(frozen=True)
class Run:
    """A configuration under one seed and rate.

    Attributes:
        folder: where its weights and record are.
        rate: None if there is nothing to train.
    """

    name: str
    seed: int
    rate: float | None
    folder: Path

    @property
    def weights(self) -> Path:
        """The network's file."""
        return self.folder / "weights.safetensors"

    def record(self) -> dict[str, Any] | None:
        """Validation figures and costs; None if the run is not complete."""
        path = self.folder / "record.json"
        return json.loads(path.read_text()) if path.is_file() else None


@dataclass
class Ablation:
    """The runs of a plan.

    Attributes:
        plan: what is compared.
        out: the folder.
        start: weights of the trunk, of a `tracker.model.joint.JointTracker`.
        roots: datasets to evaluate on, by name.
        workers: number of processes.
    """

    plan: Plan
    out: Path
    start: Path
    roots: Mapping[str, Path] = field(default_factory=dict)
    workers: int = 1

    def prepare(self) -> None:
        """Check everything that can be checked before hours of training, and bind the folder.

        Raises:
            UserError: a configuration cannot be built, data cannot be used, or the folder was begun
                with another plan or trunk. More configurations, seeds and failing modalities
                may follow.
        """
        trunk = load_trunk(self.start)
        for name, configuration in self.plan.configurations.items():
            try:
                make_module(trunk, self.plan, configuration, 0, 1e-3)
            except (TypeError, ValueError, RuntimeError, UserError) as error:
                raise UserError(f"configurations.{name}: {error}") from error
        self._data(self.plan.seeds[0])
        for trial in self.trials().values():
            trial.annotations()
        # As JSON gives them back: tuples as lists.
        bound = json.loads(json.dumps(self.plan.content()))
        bound["trunk"] = weights_digest(self.start)
        path = self.out / "plan.yaml"
        if path.is_file():
            _extend(path, read_yaml(path, "remove it"), bound)
        write_config(path, bound)

    # --- Training ---

    def _data(self, seed: int) -> Any:
        from tracker.training.recipe import Recipe
        from tracker.training.video_data import VideoPairData

        keys = {"holdout": 0.2, **self.plan.data}
        if not isinstance(keys["holdout"], (int, float)) or not 0 < keys["holdout"] < 1:
            raise UserError("data.holdout: rates are chosen on it; give a share such as 0.2")
        recipe = keys.pop("recipe", {})
        # Without a teacher, a pair without a box teaches nothing.
        recipe = {"unlabelled": 0.0, **recipe}
        network = load_trunk(self.start)
        try:
            data = VideoPairData(**keys, recipe=Recipe(**recipe), seed=seed)
            data.hparams.update(pairs=self.plan.pairs, val_pairs=self.plan.validation)
            data.prepare_pairs(network.exemplar_size, network.search_size)
        except (TypeError, ValueError) as error:
            raise UserError(f"data: {error}; give arguments of VideoPairData") from error
        return data

    def features(self, seed: int | None) -> Path:
        """The file of a seed's training features, or of the validation's."""
        return self.out / "features" / f"{'validation' if seed is None else seed}.safetensors"

    def compute_features(self) -> None:
        """Compute the features that are not there yet."""
        from tracker.training.feature_cache import cache_features

        for seed in (None, *self.plan.seeds):
            path = self.features(seed)
            if path.is_file():
                continue
            data = self._data(self.plan.seeds[0] if seed is None else seed)
            pairs = data.val_set if seed is None else data.train_set
            about = "validation" if seed is None else f"pairs of seed {seed}"
            cache_features(load_trunk(self.start), pairs, path, about)

    def run(self, name: str, seed: int, rate: float | None) -> Run:
        """A run of a configuration."""
        word = "fixed" if rate is None else f"{rate:g}"
        return Run(name, seed, rate, self.out / "runs" / name / str(seed) / word)

    def train(self) -> None:
        """Train all runs that are not complete: all rates under the first seed, then the best."""
        self.compute_features()
        first, *others = self.plan.seeds
        trunk = load_trunk(self.start)
        fixed = {
            name
            for name, configuration in self.plan.configurations.items()
            if not make_module(trunk, self.plan, configuration, 0, 1e-3).trained
        }
        names = self.plan.configurations
        self._train(
            [
                self.run(name, first, rate)
                for name in names
                for rate in ([None] if name in fixed else self.plan.rates)
            ]
        )
        self._train([self.run(n, s, self.rate(n)) for n in names if n not in fixed for s in others])

    def _train(self, runs: Sequence[Run]) -> None:
        todo = [run for run in runs if run.record() is None]
        jobs = [
            _Job(run, self.plan, self.start, self.features(run.seed), self.features(None))
            for run in todo
        ]
        for _ in outcomes(_train_run, jobs, min(self.workers, max(1, len(jobs))), "run"):
            pass

    def rate(self, name: str) -> float | None:
        """The rate of least validation loss under the first seed; None without training.

        Raises:
            UserError: the configuration has not been trained.
        """
        first = self.plan.seeds[0]
        if self.run(name, first, None).record() is not None:
            return None
        losses = {}
        for rate in self.plan.rates:
            record = self.run(name, first, rate).record()
            if record is None:
                raise UserError(
                    f"{name}: not trained yet with rate {rate:g}; run it without --only"
                )
            losses[rate] = record["loss"]
        return min(losses, key=lambda rate: losses[rate])

    def chosen(self, name: str) -> list[Run]:
        """The runs of a configuration that are evaluated: one per seed, or one without training."""
        rate = self.rate(name)
        seeds = self.plan.seeds[:1] if rate is None else self.plan.seeds
        return [self.run(name, seed, rate) for seed in seeds]

    # --- Evaluation ---

    def trials(self) -> dict[str, Trial]:
        """The datasets as they are, and with each modality failing."""
        found = {}
        for name, root in self.roots.items():
            dataset = load_dataset(root)
            frames, every = self.plan.frames, self.plan.every
            found[name] = Trial(dataset, frames, None, every)
            for modality in self.plan.failing:
                found[f"{name}, {modality} fails"] = Trial(dataset, frames, modality, every)
        return found

    def results(self, trial: str, run: Run) -> Path:
        """The folder of a run's boxes."""
        return self.out / "results" / trial / f"{run.name}@{run.seed}"

    def evaluate(self) -> None:
        """Track all sequences of all trials with every chosen run that lack a result.

        Raises:
            UserError: a sequence could not be tracked.
        """
        jobs = [
            (trial, run.weights, self.results(name, run))
            for name, trial in self.trials().items()
            for each in self.plan.configurations
            for run in self.chosen(each)
        ]
        for failures in outcomes(_track, jobs, min(self.workers, max(1, len(jobs))), "trial"):
            if failures:
                raise UserError(f"{failures[0]} ({len(failures)} in all)")

    def costs(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Parameters, arithmetic and CPU time of every configuration, see `network_costs`."""
        for name in self.plan.configurations:
            run = self.chosen(name)[0]
            record = run.record() or {}
            yield (
                name,
                {"trained": record.get("trained", 0)} | network_costs(load_trunk(run.weights)),
            )


def _extend(path: Path, old: Any, new: dict[str, Any]) -> None:
    """Check that what a folder has is valid under a new plan, and keep its other configurations."""
    free = ("configurations", "baseline", "seeds", "failing")
    try:
        same = all(old[key] == value for key, value in new.items() if key not in free)
        # The held-out pairs are drawn with the first seed.
        same = same and old["seeds"][0] == new["seeds"][0]
        rows = old["configurations"]
        same = same and all(rows.get(n, row) == row for n, row in new["configurations"].items())
    except (TypeError, KeyError, IndexError, AttributeError):
        same = False
    if not same:
        raise UserError(f"{path}: begun with another plan or trunk; give another folder")
    new["configurations"] = rows | new["configurations"]


# --- In a process of its own ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    run: Run
    plan: Plan
    start: Path
    features: Path
    validation: Path


def load_trunk(path: Path) -> "JointTracker":
    """Load a joint network to train.

    Raises:
        UserError: it is a network of another kind.
    """
    from tracker.model.joint import JointTracker
    from tracker.model.weights import load_tracker

    network = load_tracker(path, trainable=True)
    if not isinstance(network, JointTracker) or network.join == "pixels":
        raise UserError(f"{path}: not a joint network; give the included tracker or one like it")
    return network


def make_module(
    trunk: "JointTracker", plan: Plan, configuration: Configuration, seed: int, rate: float
) -> "JoinTraining":
    """The training of a configuration, from the trunk and initial weights of a seed."""
    import torch

    from tracker.training.join_training import JoinTraining, on_trunk

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = on_trunk(trunk, configuration.network, configuration.keep_join)
        return JoinTraining(
            network,
            plan.parts,  # type: ignore[arg-type]
            rate,
            plan.head_rate,
            configuration.fixed,
            configuration.feature_loss,
            configuration.feature_loss_args,
            initial=configuration.initial,
        )


def _train_run(job: _Job) -> None:
    from tracker.model.weights import save_tracker
    from tracker.training.feature_cache import CachedPairs
    from tracker.training.join_training import train_join, validate_join

    plan, run = job.plan, job.run
    start = time.process_time()
    configuration = plan.configurations[run.name]
    module = make_module(load_trunk(job.start), plan, configuration, run.seed, run.rate or 0.0)
    pairs = CachedPairs(job.features)
    train_join(module, pairs, plan.steps, plan.batch_size, run.seed, plan.precision)
    spent = time.process_time() - start
    found = validate_join(module, CachedPairs(job.validation))
    save_tracker(module.network, run.weights)
    record = {
        **found,
        "trained": sum(parameter.numel() for _, parameter in module.trained),
        "steps": plan.steps if module.trained else 0,
        "cpu_seconds": round(spent, 2),
    }
    write_json(str(run.folder / "record.json"), record)


def _track(job: tuple[Trial, Path, Path]) -> list[str]:
    from tracker.evaluation.ope.run import run_dataset

    trial, weights, folder = job
    return run_dataset(partial(_make_tracker, weights), trial, folder)


def _make_tracker(weights: Path) -> "RGBTTracker":
    from tracker.model.weights import load_tracker
    from tracker.online.rgbt_tracker import RGBTTracker

    return RGBTTracker(load_tracker(weights))


def network_costs(network: "JointTracker", rounds: int = 15) -> dict[str, float]:
    """Parameters, millions of multiply-adds and CPU milliseconds of a frame, on one thread.

    A frame is one search region in both modalities; crops and templates are not counted. The time
    is the least of several rounds of CPU time.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fusion.base.threads import limited_threads

    network = network.for_inference()
    crop, template = (
        network.prepare({m: torch.zeros(1, 3, size, size) for m in network.modalities})
        for size in (network.search_size, network.exemplar_size)
    )
    times = []
    with limited_threads(1), torch.inference_mode():
        kernels = network.kernels(network.template(template))
        with FlopCounterMode(display=False) as counter:
            network.joint_response(kernels, network.features(crop))
        for _ in range(rounds):
            start = time.process_time()
            network.joint_response(kernels, network.features(crop))
            times.append(time.process_time() - start)
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply-adds": counter.get_total_flops() / 2e6,
        "cpu ms": 1000 * min(times),
    }
