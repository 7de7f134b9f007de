"""The leading components of the training images, as what a learned embedding has to beat."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tvae.models.base import Model, Parts, Terms, Views, checked
from tvae.shapes import GREY_28, ImageShape
from tvae.streams import Streams


class PCA(Model):
    """E(x) = W (x - mean): the D leading principal components of the training images.

    A reference: it is computed, not trained, has no parameter that a loss has shaped, and decodes
    nothing. Until `fit` has seen images it keeps the first D pixels.

    Args:
        latent_dim: D, 1 to the number of pixels, of all channels.
        seed: decides nothing.
        image_shape: of the images.

    Raises:
        ValueError: D is out of that.

    Source: Pearson, "On lines and planes of closest fit to systems of points in space" (1901); that
    it stands beside learned embeddings is ours.
    """

    trains = False
    seeded = False
    generates = False
    uses_views = False
    parts: ClassVar[Parts] = {}
    choices = ()
    mean: Tensor
    components: Tensor

    def __init__(self, latent_dim: int, seed: int = 0, image_shape: ImageShape = GREY_28) -> None:
        nn.Module.__init__(self)  # no encoder, no decoder
        numbers = image_shape.numbers
        if not 1 <= latent_dim <= numbers:
            raise ValueError(f"latent_dim must be 1 to {numbers}, got {latent_dim}")
        self.latent_dim, self.shape = latent_dim, image_shape
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("components", torch.eye(numbers)[:latent_dim])

    def fit(self, images: np.ndarray[Any, Any] | Tensor) -> None:
        """See `Model.fit`; the components of all of the images, from their covariance.

        Raises:
            ValueError: images of another shape, type or range, or fewer than D.
        """
        from sklearn.decomposition import PCA as Fitted

        x = checked(images, [self.shape]).flatten(1)
        if len(x) < self.latent_dim:
            raise ValueError(f"{self.latent_dim} components need as many images, got {len(x)}")
        values = x.double().numpy() / (255 if x.dtype == torch.uint8 else 1)
        fitted = Fitted(self.latent_dim, svd_solver="covariance_eigh").fit(values)
        self.mean.copy_(torch.from_numpy(fitted.mean_))
        self.components.copy_(torch.from_numpy(fitted.components_))

    def embed(self, images: np.ndarray[Any, Any] | Tensor, batch_size: int = 1000) -> Tensor:
        """The components on the CPU, N D; of images of the size that it was fitted on.

        Raises:
            ValueError: images of another shape, type or range.
        """
        x = checked(images, [self.shape])
        scale = 255 if x.dtype == torch.uint8 else 1
        pixels = x.flatten(1).to(self.mean) / scale
        return ((pixels - self.mean) @ self.components.T).cpu()

    def objective(self, x: Tensor, views: Views | None, streams: Streams) -> Terms:
        """There is none.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("principal components are not trained")
