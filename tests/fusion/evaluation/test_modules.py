"""Metrics as torchmetrics classes: batches, processes, pickles, plots."""

import pickle

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from fusion.base.errors import UserError
from fusion.evaluation.metrics import create, modules
from fusion.evaluation.metrics.modules import FusionMetric, FusionVIF, Nabf, Qabf, collection

CLASSES = [getattr(modules, name) for name in modules.__all__ if name[0].isupper()]


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 5, 1, 64, 72, generator=generator)


@pytest.mark.parametrize("kind", [c for c in CLASSES if c is not FusionMetric])
def test_each_class_has_the_metric_of_its_name(kind, pictures):
    metric = kind()
    metric.update(*pictures[:, :2])
    metric.update(*pictures[:, 2:])
    expected = create(metric.name, metric.convention)(*pictures).mean()
    torch.testing.assert_close(metric.compute(), expected, equal_nan=True)
    assert metric.higher_is_better == (kind is not Nabf)
    metric.reset()
    assert metric.count == 0


def test_forward_gives_the_batch_and_keeps_the_whole(pictures):
    metric = Qabf(convention="cddfuse")
    first = metric(*pictures[:, :2])
    assert first == pytest.approx(create("qabf", "cddfuse")(*pictures[:, :2]).mean().item())
    metric(*pictures[:, 2:])
    whole = create("qabf", "cddfuse")(*pictures).mean().item()
    assert metric.compute().item() == pytest.approx(whole)


def test_processes_add_up(pictures):
    """Sums of two processes are reduced as torchmetrics reduces them."""
    parts = [FusionVIF(), FusionVIF()]
    parts[0].update(*pictures[:, :1])
    parts[1].update(*pictures[:, 1:])
    whole = FusionVIF()
    whole.update(*pictures)
    for state, reduce in whole._reductions.items():
        stacked = torch.stack([getattr(part, state) for part in parts])
        setattr(parts[0], state, reduce(stacked))
    assert parts[0].compute().item() == pytest.approx(whole.compute().item())


def test_a_metric_can_be_pickled(pictures):
    metric = FusionMetric("mi", convention="tang")
    metric.update(*pictures)
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.compute()


def test_collections_are_torchmetrics(pictures):
    metrics = collection(("en", "vif"), "cddfuse", prefix="val/")
    assert isinstance(metrics, MetricCollection)
    metrics.update(*pictures)
    values = metrics.compute()
    assert set(values) == {"val/en", "val/vif"}
    assert values["val/vif"] == pytest.approx(create("vif", "cddfuse")(*pictures).mean().item())
    assert len(collection()) == 15


def test_plots_say_what_they_show(pictures):
    metric = Qabf()
    values = [metric(*pictures[:, :2]), metric(*pictures[:, 2:])]
    _, axes = metric.plot(values)
    assert axes.get_ylabel() == "Qabf equal 1"
    _, axes = metric.plot()
    assert np.isfinite(axes.get_ylim()).all()


def test_wrong_names_are_said_at_once(pictures):
    with pytest.raises(UserError, match="did you mean 'vif'"):
        FusionMetric("viv")
    with pytest.raises(UserError, match="convention"):
        Qabf(convention="none")
    with pytest.raises(ValueError, match="infrared"):
        Qabf().update(pictures[0], pictures[1, ..., :-1], pictures[2])
