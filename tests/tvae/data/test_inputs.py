"""Images of 40 pixels enter a 28-pixel model as the protocol says.

The protocol is part of a metric's fingerprint, so it has to mean one thing.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from tvae.data import inputs
from tvae.registry import UnknownName
from tvae.shapes import ImageShape

SHAPE_28, SHAPE_40 = ImageShape(1, 28, 28), ImageShape(1, 40, 40)

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (6, 40, 40), dtype=np.uint8)


def test_resize_agrees_with_pillow():
    ours = inputs.as_input(images, SHAPE_28)
    assert ours.shape == (6, 1, 28, 28)
    assert ours.dtype == torch.float32
    for image, found in zip(images, ours, strict=True):
        grey = Image.fromarray(image.astype(np.float32))
        expected = np.asarray(grey.resize((28, 28), Image.Resampling.BILINEAR)) / 255
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_resize_is_antialiased():
    """Stripes of one pixel become nearly even grey; plain bilinear sampling would leave bands."""
    stripes = np.zeros((1, 40, 40), np.uint8)
    stripes[:, ::2] = 255
    assert inputs.as_input(stripes, SHAPE_28)[0, 0, 4:-4].std() < 0.1


def test_centre_crop():
    found = inputs.as_input(images, SHAPE_28, "centre_crop")
    np.testing.assert_array_equal(found[:, 0].numpy(), images[:, 6:34, 6:34].astype("f4") / 255)
    with pytest.raises(ValueError, match="cannot cut 28 x 28 out of 20 x 20"):
        inputs.as_input(images[:, :20, :20], SHAPE_28, "centre_crop")


def test_native():
    found = inputs.as_input(images, SHAPE_40, "native")
    np.testing.assert_array_equal(found[:, 0].numpy(), images.astype("f4") / 255)
    with pytest.raises(ValueError, match="the model takes 28 x 28"):
        inputs.as_input(images, SHAPE_28, "native")


@pytest.mark.parametrize("protocol", inputs.PROTOCOLS)
def test_images_of_the_models_size_stay_as_they_are(protocol):
    found = inputs.as_input(images, SHAPE_40, protocol)
    np.testing.assert_array_equal(found[:, 0].numpy(), images.astype("f4") / 255)


@pytest.mark.parametrize("protocol", ["resize", "centre_crop"])
def test_in_range_and_by_chunks(protocol, tmp_path):
    whole = inputs.as_input(images, SHAPE_28, protocol)
    assert whole.min() >= 0
    assert whole.max() <= 1
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    chunks = [inputs.as_input(mapped[i : i + 4], SHAPE_28, protocol) for i in (0, 4)]
    assert torch.equal(torch.cat(chunks), whole)


def test_an_unknown_protocol_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match="did you mean 'centre_crop'"):
        inputs.as_input(images, SHAPE_28, "center_crop")


def test_colour_is_treated_channel_by_channel():
    colour = rng.integers(0, 256, (2, 3, 40, 40), dtype=np.uint8)
    for protocol in ("resize", "centre_crop"):
        found = inputs.as_input(colour, ImageShape(3, 28, 28), protocol)
        assert found.shape == (2, 3, 28, 28)
        for channel in range(3):
            alone = inputs.as_input(colour[:, channel], SHAPE_28, protocol)
            assert torch.equal(found[:, channel], alone[:, 0])


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="the images have 1 channels, but the model takes 3"):
        inputs.as_input(images, ImageShape(3, 40, 40))


def test_height_and_width_are_told_apart():
    found = inputs.as_input(images[:, :32], ImageShape(1, 20, 30), "centre_crop")
    np.testing.assert_array_equal(found[:, 0].numpy(), images[:, 6:26, 5:35].astype("f4") / 255)
