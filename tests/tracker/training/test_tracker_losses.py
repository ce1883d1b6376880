"""Losses of trackers against plain sums and other implementations."""

import math

import numpy as np
import pytest
import shapely
import torch
from skimage.metrics import structural_similarity

from fusion.training.losses import FeatureFusionLoss, gram_matrix
from tracker.model.anchors import anchor_grid
from tracker.model.head import Response
from tracker.model.presets import build_network
from tracker.training.labels import IGNORED, NEGATIVE, POSITIVE
from tracker.training.losses import (
    FewLevelsFusionLoss,
    RFNLoss,
    cross_entropy_loss,
    focal_loss,
    localisation_loss,
)
from tracker.training.module import best_boxes, expect_background

# --- Losses on responses ------------------------------------------------------------------------


@pytest.fixture
def responses():
    """Three pairs of two anchors on 3x3 cells; the last has no positive anchor."""
    generator = torch.Generator().manual_seed(0)
    response = Response(
        torch.randn(3, 4, 3, 3, generator=generator),
        torch.randn(3, 8, 3, 3, generator=generator) * 0.3,
    )
    labels = torch.randint(-1, 2, (3, 2, 3, 3), generator=generator)
    labels[2][labels[2] == POSITIVE] = IGNORED
    return response, labels


def anchors_of(labels):
    """Pair, anchor, row, column and label of everything that is not ignored."""
    for place in np.ndindex(*labels.shape):
        if labels[place] != IGNORED:
            yield *place, labels[place].item()


def test_cross_entropy_is_the_plain_sum(responses):
    response, labels = responses
    parts = {POSITIVE: [], NEGATIVE: []}
    for b, a, y, x, label in anchors_of(labels):
        background, target = response.cls[b, a, y, x].item(), response.cls[b, 2 + a, y, x].item()
        p = math.exp(target) / (math.exp(target) + math.exp(background))
        parts[label].append(-math.log(p if label == POSITIVE else 1 - p))
    expected = np.mean(parts[POSITIVE]) / 2 + np.mean(parts[NEGATIVE]) / 2
    assert cross_entropy_loss(response, labels).item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_is_the_plain_sum(responses):
    response, labels = responses
    total = positives = 0
    for b, a, y, x, label in anchors_of(labels):
        logit = (response.cls[b, 2 + a, y, x] - response.cls[b, a, y, x]).item()
        p = 1 / (1 + math.exp(-logit))
        if label == POSITIVE:
            total += -0.25 * (1 - p) ** 2 * math.log(p)
            positives += 1
        else:
            total += -0.75 * p**2 * math.log(1 - p)
    assert focal_loss(response, labels).item() == pytest.approx(total / positives, rel=1e-5)


def box_of(cx, cy, w, h):
    return shapely.box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)


@pytest.mark.parametrize("kind", ["l1", "smooth_l1", "giou"])
def test_localisation_is_the_plain_mean(responses, kind):
    response, labels = responses
    anchors = anchor_grid(3, 8, scale=4, ratios=[1, 2])
    boxes = [[3.0, -4, 30, 25], [-5, 2, 40, 20], [0, 0, 20, 50]]
    errors = {0: [], 1: [], 2: []}
    for b, a, y, x, label in anchors_of(labels):
        if label != POSITIVE:
            continue
        ax, ay, aw, ah = anchors[:, a, y, x].tolist()
        dx, dy, dw, dh = (response.loc[b, 2 * k + a, y, x].item() for k in range(4))
        cx, cy, w, h = boxes[b]
        if kind == "giou":
            found = box_of(ax + dx * aw, ay + dy * ah, aw * math.exp(dw), ah * math.exp(dh))
            truth = box_of(cx, cy, w, h)
            union, hull = found.union(truth).area, shapely.box(*found.union(truth).bounds).area
            iou = found.intersection(truth).area / union
            errors[b].append(1 - iou + (hull - union) / hull)
        else:
            target = ((cx - ax) / aw, (cy - ay) / ah, math.log(w / aw), math.log(h / ah))
            differences = [abs(d - t) for d, t in zip((dx, dy, dw, dh), target, strict=True)]
            if kind == "smooth_l1":
                differences = [d * d / 2 if d < 1 else d - 0.5 for d in differences]
            errors[b].append(sum(differences))
    expected = sum(np.mean(of_pair) for of_pair in errors.values() if of_pair) / 3
    assert not errors[2]
    loss = localisation_loss(response, labels, torch.tensor(boxes), torch.from_numpy(anchors), kind)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["l1", "smooth_l1", "giou"])
@pytest.mark.parametrize("far", [100.0, -100.0, math.inf])
def test_other_anchors_do_not_reach_the_gradient(responses, kind, far):
    """Whatever they regress to: their gradient is 0, and that of positive ones is unchanged."""
    response, labels = responses
    boxes = torch.tensor([[3.0, -4, 30, 25], [-5, 2, 40, 20], [0, 0, 20, 50]])
    anchors = torch.from_numpy(anchor_grid(3, 8, scale=4, ratios=[1, 2]))
    positive = (labels == POSITIVE)[:, None].expand(3, 4, 2, 3, 3).flatten(1, 2)
    gradients = []
    for loc in (response.loc, torch.where(positive, response.loc, far)):
        loc = loc.clone().requires_grad_()
        localisation_loss(Response(response.cls, loc), labels, boxes, anchors, kind).backward()
        gradients.append(loc.grad)
    assert positive.any() and gradients[0][positive].abs().sum() > 0
    assert (gradients[1][~positive] == 0).all()
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("kind", ["smooth_l1", "giou"])
def test_localisation_has_the_gradient_of_its_value(responses, kind):
    response, labels = responses
    boxes = torch.tensor([[3.0, -4, 30, 25], [-5, 2, 40, 20], [0, 0, 20, 50]])
    anchors = torch.from_numpy(anchor_grid(3, 8, scale=4, ratios=[1, 2]))
    loc = response.loc.double().requires_grad_()

    def loss(loc):
        return localisation_loss(Response(response.cls, loc), labels, boxes, anchors, kind)

    torch.autograd.gradcheck(loss, loc)


def test_losses_without_any_anchor_are_zero_and_have_gradients(responses):
    response = Response(*(part.clone().requires_grad_() for part in responses[0]))
    nothing = torch.full_like(responses[1], IGNORED)
    anchors = torch.from_numpy(anchor_grid(3, 8, scale=4, ratios=[1, 2]))
    for loss in (
        cross_entropy_loss(response, nothing),
        focal_loss(response, nothing),
        localisation_loss(response, nothing, torch.ones(3, 4), anchors, "giou"),
    ):
        assert loss.item() == 0
        loss.backward()
    assert response.loc.grad.isfinite().all() and response.cls.grad.abs().sum() == 0


def test_the_best_box_is_the_highest_anchors(responses):
    response, _ = responses
    anchors = anchor_grid(3, 8, scale=4, ratios=[1, 2])
    found = best_boxes(response, torch.from_numpy(anchors))
    for b in range(3):
        score = (response.cls[b, 2:] - response.cls[b, :2]).numpy()
        a, y, x = np.unravel_index(score.argmax(), score.shape)
        ax, ay, aw, ah = anchors[:, a, y, x]
        dx, dy, dw, dh = response.loc[b, a::2, y, x].numpy()
        expected = (ax + dx * aw, ay + dy * ah, aw * math.exp(dw), ah * math.exp(dh))
        assert found[b].tolist() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_starts_from_rare_targets():
    network = build_network("compact_rgb")
    expect_background(network, prior=0.02)
    bias = network.heads["shared"].rpns[0].cls.head[-1].bias.detach()
    torch.testing.assert_close((bias[5:] - bias[:5]).sigmoid(), torch.full((5,), 0.02))


# --- Losses on fused features -------------------------------------------------------------------


def levels(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 6, 13, 13, generator=generator) for _ in range(count)]


def test_eq_15_on_three_levels_and_on_two():
    fused, rgb, ir = (levels(3, seed) for seed in range(3))
    expected = FeatureFusionLoss()(fused, rgb, ir)
    torch.testing.assert_close(FewLevelsFusionLoss()(fused, rgb, ir), expected)

    terms = FewLevelsFusionLoss()(fused[:2], rgb[:2], ir[:2])
    shallow = 10 * ((fused[0] - 3 * rgb[0]) ** 2).mean()
    target = 2 * gram_matrix(ir[1]) + gram_matrix(rgb[1])
    deep = 2000 * ((gram_matrix(fused[1]) - target) ** 2).mean()
    torch.testing.assert_close(terms, {"shallow": shallow, "deep": deep})


def test_feature_losses_leave_their_targets_alone():
    for loss in (FewLevelsFusionLoss(), RFNLoss()):
        fused, rgb, ir = ([x.requires_grad_() for x in levels(2, seed)] for seed in range(3))
        sum(loss(fused, rgb, ir).values()).backward()
        assert all(x.grad.abs().sum() > 0 for x in fused)
        assert all(x.grad is None for x in rgb + ir)


def test_rfn_loss_is_the_plain_computation():
    fused, rgb, ir = (levels(2, seed) for seed in range(3))
    terms = RFNLoss()(fused, rgb, ir)
    intensity = structure = 0
    for f, r, i in zip(fused, rgb, ir, strict=True):
        squares = (f - (4 * i + 0.5 * r)) ** 2
        intensity += squares.mean().item() / (6 * 13 * 13)
        similarities = []
        for a, b in zip(f.flatten(0, 1).numpy(), r.flatten(0, 1).numpy(), strict=True):
            _, whole = structural_similarity(
                a, b, gaussian_weights=True, use_sample_covariance=False, data_range=1, full=True
            )
            similarities.append(whole[5:-5, 5:-5].mean())
        structure += 1 - np.mean(similarities)
    assert terms["intensity"].item() == pytest.approx(intensity, rel=1e-5)
    assert terms["structure"].item() == pytest.approx(structure, rel=1e-4)
