"""The images themselves, as what an embedding has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tvae.models.base import Model, Terms, Views, checked
from tvae.streams import Streams

SIDE = 28
"""Height and width of the images that models are trained on."""


class Pixels(Model):
    """E(x) = x: a reference without a parameter, which is neither trained nor decodes.

    D is the number of pixels, 784 (1,600 for images of 40 x 40 that enter as they are), whatever a
    study says of other models.

    Args:
        seed: decides nothing.
    """

    trains = False
    seeded = False
    generates = False
    uses_views = False
    choices = ()
    latent_dim = SIDE * SIDE

    def __init__(self, seed: int = 0) -> None:
        nn.Module.__init__(self)  # no encoder, no decoder
        # says on which device the model is, as parameters do
        self.register_buffer("place", torch.empty(0), persistent=False)

    def embed(self, images: np.ndarray[Any, Any] | Tensor, batch_size: int = 1000) -> Tensor:
        """The pixels in [0, 1] on the CPU, N S*S.

        Raises:
            ValueError: images of another shape, type or range.
        """
        x = checked(images)
        scale = 255 if x.dtype == torch.uint8 else 1
        return (x.flatten(1).float() / scale).cpu()

    def objective(self, x: Tensor, views: Views | None, streams: Streams) -> Terms:
        """There is none.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("pixels are not trained")
