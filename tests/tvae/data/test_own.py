"""Images of one's own, by their path: found, split, decoded and named as the page says.

Nobody looks at 100,000 decoded images. What counts here is that they are the files' (by PIL's and
torchvision's own word), that none is lost or in two splits, that the same content has one name
wherever it lies, and that whatever is wrong ends in a sentence that names the file.
"""

import gzip
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from idx_files import idx_bytes
from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder

from tvae import data
from tvae.data import own, own_files, stored
from tvae.data.source import CorruptData, MissingData
from tvae.streams import derive_seed
from tvae.testing.datasets import DatasetContract

rng = np.random.default_rng(0)
SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tvae-bench"


def noise(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def photos(folder, sizes=(10, 10), shape=(6, 5, 3), kind="png", **classes):
    """A folder of class folders; class -> number of images."""
    for name, n in (classes or {"cat": 10, "Dog": 7}).items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(noise(*shape)).save(folder / name / f"{i}.{kind}")
    return folder


def everything(found):
    return {split: getattr(found, split) for split in SPLITS}


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_of_class_folders_is_what_torchvision_reads(tmp_path):
    folder = photos(tmp_path / "photos")
    (folder / "cat" / "deep").mkdir()
    Image.fromarray(noise(6, 5, 3)).save(folder / "cat" / "deep" / "er.bmp")
    (folder / ".git").mkdir()
    (folder / "cat" / ".DS_Store").write_text("x")
    official = ImageFolder(str(tmp_path / "photos"), allow_empty=True)
    samples = [s for s in official.samples if ".git" not in s[0]]
    found = data.load(str(folder))
    assert found.name == "photos"
    assert found.shape == (3, 6, 5)
    seen = []
    for split in everything(found).values():
        for image, label, index in zip(split.images, split.labels, split.source, strict=True):
            path, _ = samples[index]
            # ImageFolder counts .git as a class, too
            assert sorted({s[1] for s in samples}).index(samples[index][1]) == label
            np.testing.assert_array_equal(image.transpose(1, 2, 0), np.asarray(Image.open(path)))
            seen.append(index)
    assert sorted(seen) == list(range(len(samples)))  # none lost, none in two splits


def test_splits_are_a_fixed_choice_within_each_class(tmp_path):
    folder = photos(tmp_path / "photos", cat=20, dog=10)
    split = {"seed": 3, "validation": 0.2, "test": 0.3}
    found = data.load(str(folder), **split)
    for name, (of_cats, of_dogs) in {
        "train": (10, 5),
        "validation": (4, 2),
        "test": (6, 3),
    }.items():
        labels = getattr(found, name).labels
        assert ((labels == 0).sum(), (labels == 1).sum()) == (of_cats, of_dogs)
    source = data.source(str(folder))
    assert source.images(**split) == {"train": 15, "validation": 6, "test": 9}
    # the choice, from the definition
    names = sorted(f"cat/{i}.png" for i in range(20))
    by_hash = sorted(range(20), key=lambda i: derive_seed(3, f"own/{names[i]}"))
    of_class = [set(s.source[s.labels == 0]) for s in (found.validation, found.test, found.train)]
    assert of_class == [set(by_hash[:4]), set(by_hash[4:10]), set(by_hash[10:])]
    other = data.load(str(folder), **{**split, "seed": 4})
    assert set(other.test.source) != set(found.test.source)
    assert other.digest != found.digest


def test_folders_that_are_split_already_stay_so(tmp_path):
    folder = tmp_path / "photos"
    for name, n in (("train", 8), ("val", 2), ("test", 3)):
        photos(folder / name, shape=(4, 4), a=n, b=n)
    found = data.load(str(folder))
    assert [len(s) for s in everything(found).values()] == [16, 4, 6]
    first = np.asarray(Image.open(folder / "val" / "a" / "0.png"))
    np.testing.assert_array_equal(found.validation.images[0], first)
    (folder / "val").rename(tmp_path / "elsewhere")
    without = data.load(str(folder))
    assert [len(s) for s in everything(without).values()] == [14, 2, 6]
    assert data.source(str(folder)).images() == {"train": 14, "validation": 2, "test": 6}
    (folder / "test" / "c").mkdir()
    with pytest.raises(CorruptData, match=r"test has other classes than .*train: c"):
        data.load(str(folder))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ({"size": 4, "fit": "resize"}, lambda image: image.resize((4, 4), Image.BILINEAR)),
        (
            {"size": [4, 8], "fit": "crop", "channels": 3},
            lambda image: ImageOps.fit(image, (8, 4), Image.BILINEAR),
        ),
        (
            {"size": 5, "fit": "resize", "channels": 1},
            lambda image: image.convert("L").resize((5, 5), Image.BILINEAR),
        ),
    ],
)
def test_images_become_one_shape_as_the_study_says(tmp_path, images, expected):
    folder = photos(tmp_path / "a", cat=4, dog=4)
    Image.fromarray(noise(9, 13, 3)).save(folder / "cat" / "9.png")
    found = data.load(str(folder), **images)
    assert found.shape == data.source(str(folder)).image_shape(**images)
    paths = [path for path, _ in ImageFolder(str(folder)).samples]
    for split in everything(found).values():
        for image, index in zip(split.images, split.source, strict=True):
            wanted = np.asarray(expected(Image.open(paths[index])))
            ours = image if image.ndim == 2 else image.transpose(1, 2, 0)
            np.testing.assert_array_equal(ours, wanted)


def test_a_photo_stands_as_its_camera_says(tmp_path):
    folder = photos(tmp_path / "a", shape=(4, 4), cat=4, dog=4)
    image, exif = Image.fromarray(noise(4, 4)), Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    image.save(folder / "cat" / "0.png", exif=exif)
    found = data.load(str(folder))
    (split,) = [s for s in everything(found).values() if 0 in s.source]
    place = list(split.source).index(0)
    np.testing.assert_array_equal(split.images[place], np.rot90(np.asarray(image), -1))


# --- arrays -------------------------------------------------------------------------------------


def arrays(n=20, shape=(6, 5)):
    return noise(n, *shape), np.arange(n) % 2


def joined(found):
    """All images in the order of their source."""
    splits = everything(found).values()
    images, labels, source = (
        np.concatenate([getattr(split, name) for split in splits])
        for name in ("images", "labels", "source")
    )
    assert len(set(source)) == len(source)
    return images[np.argsort(source)], labels[np.argsort(source)]


@pytest.mark.parametrize("kind", ["npz", "packed", "npy", "fortran", "idx", "idx.gz"])
def test_arrays_of_every_kind_are_read(tmp_path, kind):
    images, labels = arrays()
    path = tmp_path / "mine.npz"
    if kind == "npz":
        np.savez(path, images=images, labels=labels)
    elif kind == "packed":
        np.savez_compressed(path, images=images, labels=labels.astype(np.uint8))
    elif kind in ("npy", "fortran"):
        path = tmp_path / "mine.npy"
        np.save(path, np.asfortranarray(images) if kind == "fortran" else images)
        np.save(tmp_path / "mine_labels.npy", labels)
    else:
        path = tmp_path / "mine"
        path.mkdir()
        pack, end = (gzip.compress, ".gz") if kind == "idx.gz" else (bytes, "")
        (path / f"some-images-idx3-ubyte{end}").write_bytes(pack(idx_bytes(images)))
        byte = labels.astype(np.uint8)
        (path / f"some-labels-idx1-ubyte{end}").write_bytes(pack(idx_bytes(byte)))
    found = data.load(str(path))
    assert found.name == "mine"
    for ours, theirs in zip(joined(found), (images, labels), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_channels_first_and_last_and_floats(tmp_path):
    images, labels = arrays(shape=(6, 5, 3))
    first = images.transpose(0, 3, 1, 2)
    for name, given in (("last", images), ("first", first), ("float", images / np.float32(255))):
        np.savez(tmp_path / f"{name}.npz", images=given, labels=labels)
        np.testing.assert_array_equal(joined(data.load(str(tmp_path / f"{name}.npz")))[0], first)
    np.savez(tmp_path / "grey.npz", images=images[..., :1], labels=labels)
    found = data.load(str(tmp_path / "grey.npz"))
    assert found.shape == (1, 6, 5)
    np.testing.assert_array_equal(joined(found)[0], images[..., 0])


def test_arrays_that_are_split_already_stay_so(tmp_path):
    parts = {"train": arrays(12), "validation": arrays(4), "test": arrays(6)}
    named = {f"{s}_images": i for s, (i, _) in parts.items()}
    named |= {f"{s}_labels": l for s, (_, l) in parts.items()}  # noqa: E741
    np.savez(tmp_path / "a.npz", **named)
    found = data.load(str(tmp_path / "a.npz"))
    for name, (images, labels) in parts.items():
        np.testing.assert_array_equal(getattr(found, name).images, images)
        np.testing.assert_array_equal(getattr(found, name).labels, labels)
    folder = tmp_path / "idx"
    folder.mkdir()
    for name, (images, labels) in (("train", parts["train"]), ("t10k", parts["test"])):
        (folder / f"{name}-images.idx3-ubyte").write_bytes(idx_bytes(images))  # Kaggle's name
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(labels.astype(np.uint8)))
    found = data.load(str(folder))
    np.testing.assert_array_equal(found.test.images, parts["test"][0])
    assert [len(s) for s in everything(found).values()] == [10, 2, 6]


def test_many_chunks_are_one_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(own_files, "CHUNK", 70)  # two rows of 30 bytes
    monkeypatch.setattr(own, "CHUNK", 100)
    images, labels = arrays()
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    np.testing.assert_array_equal(joined(data.load(str(tmp_path / "a.npz")))[0], images)


# --- names and keys -----------------------------------------------------------------------------


def test_what_is_a_path_and_what_it_is_called():
    paths = ["./a", "../a", "~/a", "a/b", "/a", "a.npz", "a.npy", "."]
    assert all(map(own.is_path, paths))
    assert not any(map(own.is_path, ["mnist", "transformed(mnist)", "mnist_small", "photos"]))
    called = {"~/my photos": "my_photos", "a/b.c/": "b_c", "x/ü1.npz": "1", "a.npy": "a"}
    assert {path: own.label_of(path) for path in called} == called
    with pytest.raises(ValueError, match=r"gives no name; give it one: data\.paths\.NAME=/"):
        own.label_of("/")


def test_content_has_one_name_wherever_it_lies(tmp_path, monkeypatch):
    folder = photos(tmp_path / "here" / "photos")
    digest = data.load(str(folder)).digest
    monkeypatch.chdir(tmp_path / "here")
    assert data.load("./photos").digest == digest
    folder.rename(tmp_path / "photos")
    assert data.load("../photos").digest == digest
    moved = tmp_path / "photos" / "cat" / "3.png"
    moved.rename(moved.with_name("33.png"))
    assert data.load("../photos").digest != digest
    moved.with_name("33.png").rename(moved)
    content = moved.read_bytes()
    Image.fromarray(noise(6, 5, 3)).save(moved)
    assert data.load("../photos").digest != digest
    moved.write_bytes(content)
    assert data.load("../photos").digest == digest
    settings = ({"channels": 1}, {"seed": 1}, {"test": 0.3})
    assert len({digest, *(data.load("../photos", **s).digest for s in settings)}) == 4


def test_what_names_the_content_is_the_same_before_it_is_made_and_after(tmp_path, cache):
    folder = str(photos(tmp_path / "photos"))
    before = data.available(folder)
    digest = data.load(folder).digest
    assert before == {"photos": digest}
    assert data.available(folder) == before
    (made,) = cache.glob("own-*")
    stored.verify(made)


def test_sizes_are_counted_anew_where_files_come_or_go(tmp_path, monkeypatch):
    folder, looks = photos(tmp_path / "photos"), []
    monkeypatch.setattr(own, "find", lambda path: looks.append(path) or own_files.find(path))
    source = data.source(str(folder))
    assert [source.images(test=t)["test"] for t in (0.2, 0.5)] == [3, 9]
    assert source.sizes[0] == 12
    assert len(looks) == 1
    Image.fromarray(noise(6, 5, 3)).save(folder / "cat" / "more.png")
    assert source.sizes[0] == 13
    (folder / "Dog" / "3.png").unlink()
    assert source.sizes[0] == 12
    np.savez(tmp_path / "a.npz", images=noise(20, 4, 4), labels=np.arange(20) % 2)
    assert sum(data.source(str(tmp_path / "a.npz")).sizes) == 20
    np.savez(tmp_path / "a.npz", images=noise(30, 4, 4), labels=np.arange(30) % 2)
    assert sum(data.source(str(tmp_path / "a.npz")).sizes) == 30


def test_by_its_digest_it_is_read_without_a_look_at_the_files(tmp_path):
    folder = photos(tmp_path / "photos")
    first = data.load(str(folder))
    Image.fromarray(noise(6, 5, 3)).save(folder / "cat" / "0.png")
    again = data.load(str(folder), digest=first.digest)
    np.testing.assert_array_equal(again.train.images, first.train.images)
    for kept in (tmp_path / "cache" / "tvae-bench").glob("own-*"):
        kept.rename(tmp_path / "gone")
    with pytest.raises(CorruptData, match=f"photos has changed: its content was {first.digest}"):
        data.load(str(folder), digest=first.digest)


def test_of_several_who_ask_at_once_one_decodes(tmp_path, monkeypatch):
    folder, made, write = str(photos(tmp_path / "photos")), [], stored.write

    def slowly(where, *rest):
        made.append(where)
        time.sleep(0.3)
        write(where, *rest)

    monkeypatch.setattr(stored, "write", slowly)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: data.load(folder), range(3)))
    assert len(made) == 1
    assert len({one.digest for one in found}) == 1


def test_a_damaged_copy_is_noticed_and_made_again(tmp_path, cache):
    folder = str(photos(tmp_path / "photos"))
    (images,) = [data.fetch(folder) / "test" / "images.npy"]
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptData, match=f"{images} has changed"):
        data.available(folder)
    data.fetch(folder)
    assert images.read_bytes() == content


# --- mistakes -----------------------------------------------------------------------------------


def spoil(folder, what):
    """Put something wrong in the place of an image."""
    path = folder / "cat" / "5.png"
    image = Image.open(path)
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:90])
    elif what == "text":
        path.write_text("no image")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "alpha":
        image.convert("RGBA").save(path)
    elif what == "transparent":
        image.save(path, transparency=(1, 2, 3))
    elif what == "palette":
        image.convert("P").save(path)
    elif what == "16 bits":
        Image.fromarray(noise(6, 5).astype(np.uint16) * 256).save(path)
    elif what == "cmyk":
        image.convert("CMYK").save(path.with_suffix(".jpg"))
    elif what == "animated":
        image.save(path, save_all=True, append_images=[image.rotate(90)])
    elif what == "larger":
        Image.fromarray(noise(7, 5, 3)).save(path)
    elif what == "grey":
        image.convert("L").save(path)
    elif what == "unknown":
        image.save(path.with_suffix(".gif"))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", "5.png cannot be read as an image"),
        ("text", "5.png cannot be read as an image"),
        ("empty", "5.png cannot be read as an image"),
        ("alpha", "5.png has an alpha channel; put it on a background"),
        ("transparent", "5.png has an alpha channel"),
        ("palette", "5.png has a palette; save it as grey or RGB"),
        ("16 bits", "5.png has more than 8 bits per channel"),
        ("cmyk", "5.jpg has the colours CMYK"),
        ("animated", "5.png holds more than one picture"),
        (
            "larger",
            r"5.png has 7 x 5 pixels, and .*Dog/0.png has 6 x 5: say size=5 with fit",
        ),
        ("grey", r"5.png is grey, and .*Dog/0.png is in colour: say channels=1"),
        ("unknown", "5.gif is no image of a known kind"),
    ],
)
def test_images_that_would_lose_something_are_named(tmp_path, cache, what, message):
    folder = photos(tmp_path / "photos")
    data.load(str(folder))
    spoil(folder, what)
    with pytest.raises(CorruptData, match=message):
        data.available(str(folder))
    assert len(list(cache.glob("own-*"))) == 1  # what was sound


def test_sixteen_bits_of_colour_are_seen_though_pil_reads_eight(tmp_path):
    """PIL would drop the lower half in silence."""
    folder = photos(tmp_path / "photos")
    header = b"P6 5 6 65535\n"
    (folder / "cat" / "5.ppm").write_bytes(header + noise(6 * 5 * 3 * 2).tobytes())
    with pytest.raises(CorruptData, match=r"5\.ppm has more than 8 bits"):
        data.load(str(folder))
    (folder / "cat" / "5.ppm").unlink()
    (folder / "cat" / "5.png").write_bytes(deep_png(noise(6, 5, 3).astype(">u2") * 257))
    assert Image.open(folder / "cat" / "5.png").mode == "RGB"
    with pytest.raises(CorruptData, match=r"5\.png has more than 8 bits"):
        data.load(str(folder))


def deep_png(pixels):
    """A PNG of 16 bits per channel, which PIL cannot write."""
    import struct
    import zlib

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_folders_that_hold_no_data_set(tmp_path):
    folder = photos(tmp_path / "photos")
    (folder / "bird").mkdir()
    with pytest.raises(CorruptData, match="bird has no images; fill it or remove it"):
        data.load(str(folder))
    (folder / "bird").rmdir()
    Image.fromarray(noise(6, 5, 3)).save(folder / "stray.png")
    with pytest.raises(CorruptData, match=r"stray\.png lies in no class's folder"):
        data.load(str(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorruptData, match="it has no folders; there should be a folder with"):
        data.load(str(tmp_path / "empty"))
    with pytest.raises(CorruptData, match="is a file, where a folder is expected"):
        data.load(str(folder / "stray.png"))
    with pytest.raises(MissingData, match="nowhere does not exist; there should be a folder"):
        data.load(str(tmp_path / "nowhere"))
    (tmp_path / "dir.npz").mkdir()
    with pytest.raises(CorruptData, match="is a folder, where a file is expected"):
        data.load(str(tmp_path / "dir.npz"))
    with pytest.raises(CorruptData, match="has only one class"):
        data.load(str(photos(tmp_path / "one", cat=9)))
    with pytest.raises(CorruptData, match=r"class 1 has only 2 images .*at least one is needed"):
        data.load(str(photos(tmp_path / "few", cat=9, dog=2)))
    (folder / "cat" / "linked").symlink_to(folder / "Dog")
    (folder / "stray.png").unlink()
    with pytest.raises(CorruptData, match="linked is a link to a folder"):
        data.load(str(folder))


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was opened')",)


IMAGES, LABELS = arrays()
NAN = IMAGES / 255.0
NAN[3, 1, 1] = np.nan


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": IMAGES}, r"has the arrays images; it must have images and labels"),
        ({"train_images": IMAGES, "train_labels": LABELS}, "has the arrays train_images"),
        ({"images": IMAGES, "labels": LABELS[:-1]}, "labels has 19 entries, and .* 20 images"),
        ({"images": IMAGES, "labels": LABELS - 1}, "labels has the label -1"),
        ({"images": IMAGES, "labels": LABELS * 10**6}, "has the label 1000000"),
        ({"images": IMAGES, "labels": LABELS * 0}, "has only one class, 0"),
        ({"images": IMAGES, "labels": np.eye(20, dtype=int)}, r"one-hot labels save argmax\(1\)"),
        ({"images": IMAGES, "labels": LABELS / 2}, "labels must be N whole numbers"),
        ({"images": IMAGES, "labels": LABELS.astype(str)}, "of names save np.unique"),
        ({"images": IMAGES.astype(int), "labels": LABELS}, r"is of int64; images must be uint8"),
        ({"images": NAN, "labels": LABELS}, r"images\[3\] has the value nan; floats must be in"),
        ({"images": IMAGES * 1.0, "labels": LABELS}, r"if they are 0 \.\.\. 255, divide by 255"),
        ({"images": noise(20, 5, 5, 4), "labels": LABELS}, "an alpha channel has to go"),
        ({"images": noise(20, 3, 5, 3), "labels": LABELS}, "can be N C H W as well as N H W C"),
        ({"images": noise(20, 30), "labels": LABELS}, "images must be N H W"),
        ({"images": np.array([Trap()] * 20, object), "labels": LABELS}, "holds Python objects"),
        ({"images": IMAGES, "labels": np.array([Trap()] * 20, object)}, "holds Python objects"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "has no images"),
    ],
)
def test_arrays_that_are_wrong_are_named(tmp_path, given, message):
    np.savez(tmp_path / "a.npz", **given)
    with pytest.raises(CorruptData, match=rf"a\.npz.*{message}"):
        data.available(str(tmp_path / "a.npz"))


def test_damaged_and_pickled_files(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    whole = path.read_bytes()
    for content in (whole[:-100], b"no zip", b""):
        path.write_bytes(content)
        with pytest.raises(CorruptData, match=r"a\.npz is damaged"):
            data.load(str(path))
    place = whole.index(IMAGES.tobytes())
    path.write_bytes(whole[:place] + b"\0\0\0\0" + whole[place + 4 :])
    with pytest.raises(CorruptData, match=r"a\.npz: images is damaged .*CRC"):
        data.load(str(path))
    path = tmp_path / "b.npy"
    np.save(tmp_path / "b_labels.npy", LABELS)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CorruptData, match=r"b\.npy is damaged"):
        data.load(str(path))
    np.save(path, IMAGES)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptData, match=r"b\.npy is damaged .*before its last row"):
        data.load(str(path))
    (tmp_path / "b_labels.npy").unlink()
    with pytest.raises(MissingData, match=r"b_labels\.npy does not exist; the labels of b\.npy"):
        data.load(str(path))


def test_idx_files_that_are_wrong(tmp_path):
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(CorruptData, match="idx3-ubyte without train-labels-idx1-ubyte"):
        data.load(str(tmp_path))
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(b"\0\0\x0d\1")
    with pytest.raises(CorruptData, match="begins with the bytes 00000d01"):
        data.load(str(tmp_path))
    labels.write_bytes(idx_bytes(LABELS.astype(np.uint8)))
    images.write_bytes(idx_bytes(IMAGES)[:-7])
    with pytest.raises(CorruptData, match="train-images-idx3-ubyte is damaged"):
        data.load(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "resize"}, "fit=resize needs a size"),
        ({"fit": "stretch"}, "unknown fit 'stretch'"),
        ({"size": 0}, "size must be pixels"),
        ({"size": [3]}, r"size=\[3\] must be one number or \[height, width\]"),
        ({"channels": 2}, r"channels=2 must be 1 \(grey\) or 3"),
        ({"test": 0}, "test=0 must be a share"),
        ({"test": 0.5, "validation": 0.5}, "leave nothing to train on"),
        ({"seed": 0.5}, "seed=0.5 must be a whole number"),
        ({"variants": 2}, "has no option 'variants'; it takes channels, digest, fit, seed"),
    ],
)
def test_settings_that_are_wrong(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        data.load(str(tmp_path / "nowhere"), **options)


class TestContract(DatasetContract):
    """What every data set promises, by one of one's own."""

    @pytest.fixture(autouse=True)
    def _photos(self, tmp_path):
        type(self).plugin = own.Own.at(photos(tmp_path / "photos", shape=(4, 4), a=30, b=12))


MEASURE = """
import resource, sys
from tvae import data

found = data.load(sys.argv[1])
assert sum(map(len, (found.train, found.validation, found.test))) == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """60 MB more of floats, in a process of its own, may cost it half of that at most."""

    def peak(n):
        path = tmp_path / f"{n}.npy"
        file = np.lib.format.open_memmap(path, "w+", np.float32, (n, 3, 64, 64))
        file[:] = 0.5
        file.flush()
        np.save(tmp_path / f"{n}_labels.npy", np.arange(n) % 2)
        run = [sys.executable, "-c", MEASURE, str(path), str(n)]
        return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

    assert peak(1_500) - peak(300) < 30
