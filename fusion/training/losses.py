"""Training losses: detail-to-semantic (Eq. 10-14), feature fusion (Eq. 15), saliency, references.

The first two are LRRNet's (Li et al., TPAMI 2023). The third is this package's own, for training
without a pretrained loss network. The fourth is for reference-then-supervision, see
`fusion.training.reference`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.images.pixels import IMAGENET_DEVIATION, IMAGENET_MEAN


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix ``F F^T / (C H W)`` of features flattened to ``C x HW``.

    Args:
        features: ``(B, C, H, W)``.

    Returns:
        ``(B, C, C)``.
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()


# --- Detail to semantic ---------------------------------------------------------------------------


class VGG16Features(nn.Module):
    """relu1_2, relu2_2, relu3_3, relu4_3 and optionally relu5_3 of torchvision's VGG-16, frozen.

    Args:
        weights: ``imagenet`` downloads torchvision's weights on first use; a path reads its state
            dict from a file; ``random`` uses seeded random weights, which is a different loss from
            LRRNet's and meant for tests.
        pixels: how greyscale images in 0..255 become the network's input: ``raw``, repeated to
            three channels as the authors do, or ``imagenet``, also normalised as VGG-16 was
            trained.
        count: how many of these outputs to return.

    Raises:
        UserError: the file is missing or does not match, or the weights cannot be downloaded.
    """

    #: Layers of torchvision's ``features`` whose output is returned.
    TAPS = (3, 8, 15, 22, 29)

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        weights: str | Path = "imagenet",
        pixels: Literal["raw", "imagenet"] = "raw",
        count: int = 4,
    ):
        super().__init__()
        if pixels not in ("raw", "imagenet"):
            raise ValueError(f"pixels is 'raw' or 'imagenet', got {pixels!r}")
        self.pixels = pixels
        self.layers = _vgg16_layers(weights, 1 + self.TAPS[count - 1])
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(3, 1, 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of a greyscale image ``(B, 1, H, W)`` in 0..255, with strides 1, 2, 4, 8 and
        16."""
        x = image.expand(-1, 3, -1, -1)
        if self.pixels == "imagenet":
            x = (x / 255 - self.mean) / self.deviation
        taps = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.TAPS:
                taps.append(x)
        return taps


def _vgg16_layers(weights: str | Path, count: int) -> nn.Sequential:
    from torchvision.models import VGG16_Weights, vgg16

    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = vgg16(weights=None)
    elif weights == "imagenet":
        try:
            network = vgg16(weights=VGG16_Weights.IMAGENET1K_V1)
        except OSError as error:
            raise UserError(
                f"VGG-16: its ImageNet weights cannot be downloaded ({error}); give a local file, "
                "or 'random', which is a different loss"
            ) from error
    else:
        from fusion.base.checkpoints import read_tensors, require_match

        tensors, _ = read_tensors(weights)
        network = vgg16(weights=None)
        features = {n: t for n, t in tensors.items() if n.startswith("features.")}
        expected = nn.ModuleDict({"features": network.features})
        expected.load_state_dict(require_match(weights, features, expected))
    layers = network.features[:count]
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # the outputs before it are returned
    return layers


class DetailToSemanticLoss(nn.Module):
    """LRRNet's loss (Eq. 10): pixels and shallow features of the visible, deep of the infrared.

        pixel    gamma1 MSE(f, vis)                                                       (Eq. 11)
        shallow  gamma2 MSE(F1(f), F1(vis))                                               (Eq. 12)
        middle   sum_k beta_k MSE(F_k(f), w_ir F_k(ir) + w_vis F_k(vis)),  k = 2, 3       (Eq. 13)
        deep     gamma4 MSE(Gram(F4(f)), Gram(F4(ir)))                                    (Eq. 14)

    ``F_k`` are the features of `VGG16Features`. Every term is a mean, as in the released code.

    Args:
        features: the loss network.
        gamma1, gamma2, gamma4, w_ir, w_vis, beta: weights as published.
    """

    def __init__(
        self,
        features: VGG16Features,
        gamma1: float = 10.0,
        gamma2: float = 1.5,
        gamma4: float = 2000.0,
        w_ir: float = 3.0,
        w_vis: float = 0.5,
        beta: tuple[float, float] = (0.01, 0.5),
    ):
        super().__init__()
        self.features = features
        self.gamma1, self.gamma2, self.gamma4 = gamma1, gamma2, gamma4
        self.w_ir, self.w_vis = w_ir, w_vis
        self.beta = beta

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor) -> dict[str, Tensor]:
        """The four weighted terms; their sum is the loss.

        Args:
            fused, ir, vis: greyscale in 0..255, ``(B, 1, H, W)``.

        Returns:
            Scalars ``pixel``, ``shallow``, ``middle`` and ``deep``.
        """
        with torch.no_grad():
            ir_features, vis_features = self.features(ir), self.features(vis)
        fused_features = self.features(fused)
        middle = [
            beta * F.mse_loss(f, self.w_ir * i + self.w_vis * v)
            for beta, f, i, v in zip(
                self.beta, fused_features[1:3], ir_features[1:3], vis_features[1:3], strict=True
            )
        ]
        return {
            "pixel": self.gamma1 * F.mse_loss(fused, vis),
            "shallow": self.gamma2 * F.mse_loss(fused_features[0], vis_features[0]),
            "middle": torch.stack(middle).sum(),
            "deep": self.gamma4
            * F.mse_loss(gram_matrix(fused_features[3]), gram_matrix(ir_features[3])),
        }


# --- Feature fusion -------------------------------------------------------------------------------


class FeatureFusionLoss(nn.Module):
    """LRRNet's loss for a tracker's fused features (Eq. 15), from shallow to semantic.

        shallow  gammas[0] MSE(f1, ws_rgb rgb1)
        middle   gammas[1] MSE(f2, wm_ir ir2 + wm_rgb rgb2)
        deep     gammas[2] MSE(Gram(f3), wd_ir Gram(ir3) + wd_rgb Gram(rgb3))

    The levels are those of the backbone, finest first. The paper does not say whether the deep
    weights apply to Gram matrices or to the features within one; the former keeps the term linear
    in the weights, like the others.

    Args:
        gammas: weights of the three terms.
        ws_rgb: weight of the RGB feature in the shallow term.
        wm_ir, wm_rgb: weights of the two features in the middle term.
        wd_ir, wd_rgb: weights of the two Gram matrices in the deep term.
    """

    def __init__(
        self,
        gammas: tuple[float, float, float] = (10.0, 2.0, 2000.0),
        ws_rgb: float = 3.0,
        wm_ir: float = 2.0,
        wm_rgb: float = 1.0,
        wd_ir: float = 2.0,
        wd_rgb: float = 1.0,
    ):
        super().__init__()
        self.gammas = gammas
        self.ws_rgb = ws_rgb
        self.wm_ir, self.wm_rgb = wm_ir, wm_rgb
        self.wd_ir, self.wd_rgb = wd_ir, wd_rgb

    def forward(
        self, fused: Sequence[Tensor], rgb: Sequence[Tensor], ir: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The three weighted terms; their sum is the loss.

        Args:
            fused, rgb, ir: three levels ``(B, C, H, W)`` each, finest first.

        Returns:
            Scalars ``shallow``, ``middle`` and ``deep``.
        """
        if not len(fused) == len(rgb) == len(ir) == 3:
            raise ValueError(
                f"three levels of each are needed, got {len(fused)}, {len(rgb)} and {len(ir)}"
            )
        gram = self.wd_ir * gram_matrix(ir[2]) + self.wd_rgb * gram_matrix(rgb[2])
        return {
            "shallow": self.gammas[0] * F.mse_loss(fused[0], self.ws_rgb * rgb[0]),
            "middle": self.gammas[1]
            * F.mse_loss(fused[1], self.wm_ir * ir[1] + self.wm_rgb * rgb[1]),
            "deep": self.gammas[2] * F.mse_loss(gram_matrix(fused[2]), gram),
        }


# --- Saliency: ours, without a loss network -------------------------------------------------------


#: Standard deviation of the Gaussian window in pixels, as in Wang et al. (2004).
SSIM_SIGMA = 1.5


def sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel gradients in x and y, divided by 8, of ``(B, 1, H, W)``, with reflected borders."""
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    both = torch.stack([kernel, kernel.T])[:, None]
    gx, gy = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), both).split(1, dim=1)
    return gx, gy


def gaussian_window(size: int, sigma: float, like: Tensor) -> Tensor:
    """Weights of a Gaussian around the place ``size // 2``, with sum 1 and the type of ``like``."""
    x = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    weights = torch.exp(-(x**2) / (2 * sigma**2))
    return weights / weights.sum()


def ssim_map(a: Tensor, b: Tensor, window: int = 11) -> Tensor:
    """SSIM of images ``(B, 1, H, W)`` in 0..1 at each pixel whose window lies within the image.

    Args:
        window: side of the Gaussian window, whose standard deviation is `SSIM_SIGMA` pixels.

    Raises:
        UserError: a side is shorter than the window.
    """
    if min(a.shape[2:]) < window:
        raise UserError(
            f"SSIM: {a.shape[3]}x{a.shape[2]} pixels are less than its window of {window}; give "
            "larger crops (data.size)"
        )
    weights = gaussian_window(window, SSIM_SIGMA, a)

    def blur(image: Tensor) -> Tensor:
        rows = F.conv2d(image, weights.view(1, 1, -1, 1))
        return F.conv2d(rows, weights.view(1, 1, 1, -1))

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )


def dssim(a: Tensor, b: Tensor, window: int = 11) -> Tensor:
    """Dissimilarity ``clamp(1 - SSIM, 0, 1) / 2`` from the mean of `ssim_map`, a scalar."""
    return ((1 - ssim_map(a, b, window)).clamp(0, 1) / 2).mean()


#: Parameters of `saliency_target`: the number of standard deviations above the mean at which a
#: pixel is half hot, the steepness of the transition, and the blur's standard deviation in pixels.
HOT, HOT_STEEPNESS, HOT_SIGMA = 1.2, 4.0, 3.0


def saliency_target(ir: Tensor, vis: Tensor) -> Tensor:
    """The desired fused image: bright hot targets, and the visible image's texture elsewhere.

    ``m = sigmoid(HOT_STEEPNESS (z - HOT))`` marks hot targets, where z is the blurred infrared
    image in standard deviations from its mean. There the result is the brighter of infrared and
    background; elsewhere it is the background: seven parts visible and three parts infrared, with
    the contrast of the visible image.

    Args:
        ir, vis: whole images ``(B, 1, H, W)`` in 0..1; z is meaningless on a small crop.

    Returns:
        ``(B, 1, H, W)`` in 0..1.
    """
    from torchvision.transforms.functional import gaussian_blur

    dims = (1, 2, 3)
    size = 2 * int(3 * HOT_SIGMA) + 1
    size = min(size, *(side - 1 + side % 2 for side in ir.shape[2:]))
    soft = gaussian_blur(ir, [size, size], [HOT_SIGMA, HOT_SIGMA])
    z = (soft - soft.mean(dims, keepdim=True)) / soft.std(dims, keepdim=True).clamp(min=1e-6)
    mask = torch.sigmoid(HOT_STEEPNESS * (z - HOT))
    base = 0.7 * vis + 0.3 * ir
    mean = base.mean(dims, keepdim=True)
    gain = vis.std(dims, keepdim=True) / base.std(dims, keepdim=True).clamp(min=1e-6)
    base = ((base - mean) * gain.clamp(max=2) + mean).clamp(0, 1)
    return mask * torch.maximum(ir, base) + (1 - mask) * base


class SaliencyLoss(nn.Module):
    """Regression to `saliency_target`, to the stronger gradient, and to both sources' structure.

        intensity  w_intensity mean((1 + w_hot m) |f - t|), where m = |t - vis| marks hot targets
        gradient   w_gradient L1(Sobel f, gain g), g the stronger source gradient at each pixel
        structure  w_structure (1 - SSIM(f, ir) / 2 - SSIM(f, vis) / 2)
        range      w_range mean(relu(f - 1) + relu(-f))
        overshoot  w_overshoot mean(relu(|Sobel f| - max(|Sobel ir|, |Sobel vis|)))

    The gradient term favours strong edges overall. The overshoot term penalises spurious edges,
    which are stronger than in either source at that pixel; Nabf measures these.

    Args:
        w_intensity, w_gradient, w_structure, w_range, w_overshoot: weights of the terms.
        w_hot: additional weight of pixels whose target differs from the visible image.
        gradient_gain: desired strength of edges relative to the sources'.
    """

    def __init__(
        self,
        w_intensity: float = 2.0,
        w_gradient: float = 5.0,
        w_structure: float = 1.0,
        w_range: float = 2.0,
        w_overshoot: float = 0.0,
        w_hot: float = 0.0,
        gradient_gain: float = 1.2,
    ):
        super().__init__()
        self.w_intensity, self.w_gradient = w_intensity, w_gradient
        self.w_structure, self.w_range = w_structure, w_range
        self.w_overshoot, self.w_hot = w_overshoot, w_hot
        self.gradient_gain = gradient_gain

    def forward(
        self, fused: Tensor, ir: Tensor, vis: Tensor, target: Tensor
    ) -> Mapping[str, Tensor]:
        """The five weighted terms; their sum is the loss.

        Args:
            fused: network output ``(B, 1, H, W)``, nominally in 0..1.
            ir, vis: sources ``(B, 1, H, W)`` in 0..1.
            target: `saliency_target` of the whole images, cropped in the same way.

        Returns:
            Scalars ``intensity``, ``gradient``, ``structure``, ``range`` and ``overshoot``.
        """
        weight = 1 + self.w_hot * (target - vis).abs()
        edges, edges_ir, edges_vis = sobel(fused), sobel(ir), sobel(vis)
        gradients = [
            F.l1_loss(f, self.gradient_gain * torch.where(i.abs() > v.abs(), i, v))
            for f, i, v in zip(edges, edges_ir, edges_vis, strict=True)
        ]
        stronger = torch.maximum(_strength(edges_ir), _strength(edges_vis))
        similarity = (ssim_map(fused, ir).mean() + ssim_map(fused, vis).mean()) / 2
        return {
            "intensity": self.w_intensity * (weight * (fused - target).abs()).mean(),
            "gradient": self.w_gradient * torch.stack(gradients).sum(),
            "structure": self.w_structure * (1 - similarity),
            "range": self.w_range * _out_of_range(fused),
            "overshoot": self.w_overshoot * F.relu(_strength(edges) - stronger).mean(),
        }


def _out_of_range(fused: Tensor) -> Tensor:
    """Mean distance of pixels from the range 0..1."""
    return (F.relu(fused - 1) + F.relu(-fused)).mean()


def _strength(gradients: tuple[Tensor, Tensor]) -> Tensor:
    """Magnitude of the gradient at each pixel; the constant keeps its derivative finite at 0."""
    gx, gy = gradients
    return torch.sqrt(gx**2 + gy**2 + 1e-8)


# --- References -----------------------------------------------------------------------------------


class ReferenceLoss(nn.Module):
    """Regression to several weighted references ``S_k`` of a pair.

        intensity  w_intensity sum_k w_k L1(f, S_k)
        gradient   w_gradient sum_k w_k L1(Sobel f, Sobel S_k)
        structure  w_structure sum_k w_k (1 - SSIM(f, S_k))
        range      w_range mean(relu(f - 1) + relu(-f))

    Args:
        aggregate: ``weighted`` uses the weights of the references, ``mean`` equal weights, and
            ``max`` only their pixelwise maximum.
        w_intensity, w_gradient, w_structure, w_range: weights of the terms.
    """

    def __init__(
        self,
        aggregate: Literal["weighted", "mean", "max"] = "weighted",
        w_intensity: float = 2.0,
        w_gradient: float = 5.0,
        w_structure: float = 1.0,
        w_range: float = 4.0,
    ):
        super().__init__()
        if aggregate not in ("weighted", "mean", "max"):
            raise ValueError(f"aggregate is 'weighted', 'mean' or 'max', got {aggregate!r}")
        self.aggregate = aggregate
        self.w_intensity, self.w_gradient = w_intensity, w_gradient
        self.w_structure, self.w_range = w_structure, w_range

    def forward(self, fused: Tensor, references: Tensor, weights: Tensor) -> Mapping[str, Tensor]:
        """The four weighted terms; their sum is the loss.

        Args:
            fused: network output ``(B, 1, H, W)``, nominally in 0..1.
            references: ``(B, K, H, W)`` in 0..1.
            weights: ``(B, K)``, each row with sum 1; weight 0 marks an unused reference.

        Returns:
            Scalars ``intensity``, ``gradient``, ``structure`` and ``range``.
        """
        if self.aggregate == "max":
            there = (weights > 0)[..., None, None]
            references = torch.where(there, references, 0).amax(1, keepdim=True)
            weights = torch.ones_like(weights[:, :1])
        elif self.aggregate == "mean":
            weights = (weights > 0) / (weights > 0).sum(1, keepdim=True)
        count = references.shape[1]
        targets = references.flatten(0, 1)[:, None]
        repeated = fused.repeat_interleave(count, 0)

        def weighted(differences: Tensor) -> Tensor:
            """Mean of each row (one reference), weighted, summed, and averaged over pairs."""
            means = differences.flatten(1).mean(1).view(-1, count)
            return (weights * means).sum(1).mean()

        gradients = [
            weighted((f.repeat_interleave(count, 0) - s).abs())
            for f, s in zip(sobel(fused), sobel(targets), strict=True)
        ]
        return {
            "intensity": self.w_intensity * weighted((repeated - targets).abs()),
            "gradient": self.w_gradient * torch.stack(gradients).sum(),
            "structure": self.w_structure * weighted(1 - ssim_map(repeated, targets)),
            "range": self.w_range * _out_of_range(fused),
        }
