"""Fixtures of the training tests: small batches, and training on one of them."""

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fusion.commands.scene import street_pair


def views(size: int, count: int = 1) -> dict[str, torch.Tensor]:
    """A batch of crops of generated pairs, and three references of each."""
    pairs = [street_pair(80, 72, seed=i) for i in range(count)]
    ir, vis = (
        torch.from_numpy(np.stack([pair[k][4 : 4 + size, 4 : 4 + size] for pair in pairs]))
        for k in (0, 1)
    )
    vis = vis.float().mean(-1) if vis.ndim == 4 else vis
    ir, vis = ir[:, None].float() / 255, vis[:, None].float() / 255
    references = torch.cat([torch.maximum(ir, vis), (ir + vis) / 2, vis], dim=1)
    return {"ir": ir, "vis": vis, "references": references, "weights": torch.ones(count, 3) / 3}


def fit(module, batch, steps, **trainer):
    """Train on one batch again and again."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = L.Trainer(
        max_steps=steps, accelerator="cpu", enable_progress_bar=False, **quiet, **trainer
    )
    item = DataLoader([batch] * steps, batch_size=None)
    trainer.fit(module, item)
    return trainer


@pytest.fixture(name="views", scope="session")
def views_fixture():
    """The function `views`."""
    return views


@pytest.fixture(name="fit", scope="session")
def fit_fixture():
    """The function `fit`."""
    return fit
