"""The frozen classifier: what an image shows, whatever a trained model says.

Legend: `N` images, `C` channels, `H`, `W` height and width of an image, `K` classes.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import safetensors.torch
import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.nn import functional

from tvae.data import Dataset
from tvae.data.inputs import with_channels
from tvae.families.base import TransformationFamily
from tvae.files import write_atomically
from tvae.shapes import ImageShape
from tvae.streams import Streams

SEED = 0
"""Of all classifiers: the arms and seeds of a study are judged by one and the same."""

BATCH, PLAIN, RATE = 100, 25, 0.008
"""Images of a step, those of them that stay as they are, and Adam's largest rate."""


def classifier(
    data: Dataset,
    family: TransformationFamily,
    steps: int,
    device: torch.device,
    cache: Path | None = None,
) -> nn.Module:
    """A network that was trained on the train split of `data`: images N C H W to logits N K.

    It is the same for equal data, family and steps, whoever asks for it. Its training images are
    transformed, since it will be asked about transformed ones: of each batch three quarters by
    draws of the family, the rest stay as they are (ours).

    Args:
        data: labels are 0 ... K - 1.
        family: what its images are transformed by.
        steps: of its training, `BATCH` images each, at least 1.
        device: where it is trained and returned.
        cache: a folder, made where it is missing, that keeps it for the next who asks. Of several
            who ask at once one trains and the others wait; should that one be killed, the next
            takes its turn. What is not intact is trained again. None: it is trained now.
    """
    network = _network(data.shape, int(data.train.labels.max()) + 1).to(device)
    if cache is None:
        _train(network, data, family, steps, device)
        return network.eval()
    cache.mkdir(parents=True, exist_ok=True)
    key = _key(data, family, steps, device)
    with FileLock(cache / f".{key}.lock"):  # the system frees it when its holder dies
        if not _load(network, cache, key):
            _train(network, data, family, steps, device)
            _save(network, cache, key)
    return network.eval()


def _network(shape: ImageShape, classes: int) -> nn.Sequential:
    """Convolutions 5x5 of stride 2 until a side is at most 8 pixels, then two linear layers."""
    channels, height, width = shape
    layers: list[nn.Module] = []
    with Streams(SEED).initialising("classifier"):
        while min(height, width) > 8:
            after = 16 if not layers else min(2 * channels, 64)
            layers += [nn.Conv2d(channels, after, 5, stride=2, padding=2), nn.ReLU()]
            channels, height, width = after, -(-height // 2), -(-width // 2)
        return nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * height * width, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )


@torch.enable_grad()
def _train(
    network: nn.Module,
    data: Dataset,
    family: TransformationFamily,
    steps: int,
    device: torch.device,
) -> None:
    """Adam on the cross-entropy; the rate rises and falls as the square of half a sine."""
    network.to(memory_format=torch.channels_last)  # faster on a CPU
    streams = Streams(SEED)
    images = with_channels(data.train.images).to(device)
    labels = torch.tensor(data.train.labels).to(device)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    for step in range(steps):
        chosen = torch.randint(len(images), (BATCH,), generator=streams("classifier/batches"))
        chosen = chosen.to(device)
        x = images[chosen].float() / 255
        f = family.draw(BATCH - PLAIN, streams("classifier/transformations"))
        x = torch.cat([x[:PLAIN], family.apply(x[PLAIN:], f)])
        loss = functional.cross_entropy(network(x), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = RATE * math.sin(math.pi * (step + 1) / (steps + 1)) ** 2
        optimizer.step()


def _key(data: Dataset, family: TransformationFamily, steps: int, device: torch.device) -> str:
    """What the weights depend on, hashed."""
    content = {
        "data": data.digest,
        "family": _behaviour(family, data),
        "steps": steps,
        "source": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        "torch": torch.__version__,
        "device": device.type,
        "threads": torch.get_num_threads(),
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _behaviour(family: TransformationFamily, data: Dataset) -> str:
    """A digest of what the family does to a few training images.

    Its options and its code, a third party's too, matter by nothing else.
    """
    x = with_channels(data.train.images[:BATCH]).float() / 255
    parameters = family.draw(len(x), Streams(SEED)("classifier/family"))
    digest = hashlib.sha256(family.apply(x, parameters).numpy().tobytes())
    for name, values in sorted(parameters.items()):
        digest.update(name.encode() + values.numpy().tobytes())
    return digest.hexdigest()


def _save(network: nn.Module, cache: Path, key: str) -> None:
    """Write ``classifier-KEY-SHA256.safetensors``: one rename publishes content and digest."""
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    content = safetensors.torch.save(state)
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(cache / f"classifier-{key}-{digest}.safetensors", content)


def _load(network: nn.Module, cache: Path, key: str) -> bool:
    """Whether an intact file was there; what is not intact, or was never completed, is removed."""
    for unfinished in cache.glob(f".classifier-{key}-*"):
        unfinished.unlink()
    for path in cache.glob(f"classifier-{key}-*.safetensors"):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == path.stem.rpartition("-")[2]:
            network.load_state_dict(safetensors.torch.load(content))
            return True
        path.unlink()
    return False


@torch.no_grad()
def recognised(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images (N C H W) that `network` gives their label, in [0, 1].

    An image that is not finite shows nothing.
    """
    right = 0
    for x, y in zip(images.split(1000), labels.split(1000), strict=True):
        logits = network(x)
        right += int(((logits.argmax(1) == y) & logits.isfinite().all(1)).sum())
    return right / len(images)
