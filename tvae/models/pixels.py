"""The images themselves, as what an embedding has to beat."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tvae.models.base import Model, Parts, Terms, Views, checked
from tvae.shapes import GREY_28, ImageShape
from tvae.streams import Streams


class Pixels(Model):
    """E(x) = x: a reference without a parameter, which is neither trained nor decodes.

    D is the number of pixels, of all channels (more for larger images that enter as they are),
    whatever a study says of other models.

    Args:
        seed: decides nothing.
        image_shape: of the images.
    """

    trains = False
    seeded = False
    generates = False
    uses_views = False
    parts: ClassVar[Parts] = {}
    choices = ()

    def __init__(self, seed: int = 0, image_shape: ImageShape = GREY_28) -> None:
        nn.Module.__init__(self)  # no encoder, no decoder
        self.shape, self.latent_dim = image_shape, image_shape.numbers
        # says on which device the model is, as parameters do
        self.register_buffer("place", torch.empty(0), persistent=False)

    def embed(self, images: np.ndarray[Any, Any] | Tensor, batch_size: int = 1000) -> Tensor:
        """The pixels in [0, 1] on the CPU, N C*H*W, of images of any size.

        Raises:
            ValueError: images of other channels, type or range.
        """
        size = np.shape(images)[-2:]
        x = checked(images, [ImageShape(self.shape.channels, *size)])
        scale = 255 if x.dtype == torch.uint8 else 1
        return (x.flatten(1).float() / scale).cpu()

    def objective(self, x: Tensor, views: Views | None, streams: Streams) -> Terms:
        """There is none.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("pixels are not trained")
