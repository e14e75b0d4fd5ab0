"""Data: the shipped bytes, the units, the roles, files of the published formats made on the spot, what is refused."""

import gzip
import hashlib
import http.server
import importlib.util
import io
import lzma
import math
import os
import pickle
import struct
import tarfile
import threading
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager, nullcontext
from itertools import combinations
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nearsight.datasets import (
    Scaling,
    archive,
    check_disjoint,
    cifar,
    cifar10,
    digits,
    disjoint_blocks,
    disjoint_splits,
    fashion,
    fashion_mnist,
    image_folder,
    index_digest,
    is_novel,
    on_ring,
    ring,
    ring_split,
)
from nearsight.datasets.idx import read_idx
from PIL import Image, PngImagePlugin
from sklearn.datasets import load_digits

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def shipped():
    with np.load(fashion.SHIPPED, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_fashion_subset", ROOT / "tools" / "make_fashion_subset.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Fashion-MNIST


def test_the_shipped_bytes_are_the_first_images_of_the_original_files(shipped):
    assert {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in shipped.items()} == {
        "train_images": "404c71cbba64038665eace427c392a3d1a544dab93e68570c69d7b1a8518f5fa",
        "train_labels": "509f395ac53e9e376668463473bd9090f8f2cb8a3b4e9bc5988919ebb394eae5",
        "test_images": "857b72c05ba3e79276eec0ac60bba3a89d06ce58b830436e41475e104f90110f",
        "test_labels": "56ecf07f3939c9adb372cce2500286eb185b77a08ec47e807155a88e3e9b2bf9"}
    assert {name: array.shape for name, array in shipped.items()} == {
        "train_images": (12_288, 28, 28), "train_labels": (12_288,),
        "test_images": (2_048, 28, 28), "test_labels": (2_048,)}
    assert {array.dtype for array in shipped.values()} == {np.dtype(np.uint8)}
    assert shipped["train_images"][0].sum(dtype=int) == 76_247


def test_the_shipped_file_has_its_license_beside_it():
    folder = fashion.SHIPPED.parent
    assert "2017 Zalando SE" in (folder / "LICENSE-fashion-mnist.txt").read_text()
    assert "arXiv 1708.07747" in (folder / "README.md").read_text()


@pytest.mark.parametrize("resolution", [28, 16])
def test_network_units_are_the_stated_map_of_the_pixels(shipped, resolution):
    data = fashion_mnist("test", resolution)
    pixels = shipped["test_images"].astype(float)
    if resolution == 16:
        padded = np.zeros((2_048, 32, 32))
        padded[:, 2:-2, 2:-2] = pixels
        pixels = sum(padded[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
        expected = 0.5 * (pixels - 55.844957) / 79.866474
    else:
        expected = 0.5 * (pixels - 72.940352) / 90.021182
    assert data.images.dtype == torch.float32 and data.labels.dtype == torch.int64
    assert data.images.shape == (2_048, 1, resolution, resolution)
    np.testing.assert_allclose(data.images[:, 0].numpy(), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(255 * data.pixels()[:, 0].numpy(), pixels, atol=1e-4)
    assert data.labels.tolist() == shipped["test_labels"].tolist()


def test_the_mean_square_of_the_first_512_images_is_the_published_one():
    images = fashion_mnist(resolution=16).images[:512].double()
    assert images.square().mean().item() == pytest.approx(0.249566, abs=5e-7)


@pytest.mark.parametrize("resolution", [28, 16])
def test_a_pixel_varies_by_a_half_up_to_the_sampling_of_images(resolution):
    images = fashion_mnist(resolution=resolution).images.double()
    squares = images.flatten(1).square().mean(1)
    assert abs(squares.mean() - 0.25) < 4 * squares.std() / len(squares) ** 0.5


def test_roles_are_contiguous_and_share_no_image():
    train, test = fashion_mnist("train"), fashion_mnist("test")
    for whole, parts in ((train, ("pool", "reference")), (test, ("stopping", "report"))):
        cut = [fashion_mnist(part) for part in parts]
        assert torch.equal(torch.cat([part.images for part in cut]), whole.images)
        assert torch.equal(torch.cat([part.labels for part in cut]), whole.labels)
    assert [len(fashion_mnist(name).images) for name in ("pool", "reference", "stopping", "report")] == [
        8_192, 4_096, 1_024, 1_024]


@pytest.mark.parametrize("resolution", [28, 16])
def test_all_training_images_differ_and_no_test_image_is_among_them(resolution):
    train, test = ([image.numpy().tobytes() for image in fashion_mnist(split, resolution).images]
                   for split in ("train", "test"))
    assert len(set(train)) == len(train) == 12_288
    assert not set(train) & set(test)


def test_the_two_nearest_images_of_the_pool_are_as_far_apart_as_published():
    pool = fashion_mnist("pool", 16).images.flatten(1).double()
    norms = pool.square().sum(1)
    smallest = math.inf
    for start in range(0, len(pool), 1_024):
        rows = slice(start, start + 1_024)
        squared = norms[rows, None] + norms[start:] - 2 * pool[rows] @ pool[start:].T
        smallest = min(smallest, squared.fill_diagonal_(math.inf).min().item())
    assert smallest ** 0.5 == pytest.approx(0.40089, abs=5e-6)


def test_the_counts_of_tops_and_trousers_are_those_of_study_5():
    counts = [fashion_mnist(split).labels.bincount(minlength=10) for split in ("train", "test")]
    assert [count[[0, 2, 4, 6]].sum().item() for count in counts] == [4_887, 847]
    assert [count[1].item() for count in counts] == [1_253, 209]
    assert fashion_mnist("test").classes[1] == "trouser"


def test_unknown_splits_and_resolutions_are_named():
    with pytest.raises(ValueError, match="split is 'validation'; expected one of 'train', 'test', 'pool'"):
        fashion_mnist("validation")
    with pytest.raises(ValueError, match="resolution is 32; expected one of 28, 16"):
        fashion_mnist(resolution=32)


@pytest.mark.parametrize("damage", ["flip", "cut", "pickle", "missing"])
def test_an_altered_shipped_file_is_refused(tmp_path, monkeypatch, shipped, damage):
    path = tmp_path / "fashion-mnist.npz"
    if damage == "flip":
        images = shipped["test_images"].copy()
        images[7, 3, 3] ^= 1
        np.savez(path, test_images=images, test_labels=shipped["test_labels"])
    elif damage == "cut":
        path.write_bytes(fashion.SHIPPED.read_bytes()[:100_000])
    elif damage == "pickle":
        path.write_bytes(pickle.dumps(shipped["test_labels"]))
    monkeypatch.setattr(fashion, "SHIPPED", path)
    with pytest.raises(ValueError, match="test_images in .* has SHA-256" if damage == "flip" else "cannot be read"):
        fashion_mnist("test")


# IDX files and the tool


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def original(folder, train=5, test=3):
    random = np.random.default_rng(0)
    arrays, digests = {}, {}
    for name, shape in {"train-images-idx3-ubyte.gz": (train, 28, 28), "train-labels-idx1-ubyte.gz": (train,),
                        "t10k-images-idx3-ubyte.gz": (test, 28, 28), "t10k-labels-idx1-ubyte.gz": (test,)}.items():
        arrays[name] = random.integers(0, 10, shape, dtype=np.uint8)
        (folder / name).write_bytes(gzip.compress(idx(arrays[name])))
        digests[name] = hashlib.sha256(idx(arrays[name])).hexdigest()
    return arrays, digests


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.booleans())
def test_an_idx_file_returns_the_array_it_was_made_from(tmp_path_factory, shape, compressed):
    array = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(gzip.compress(idx(array)) if compressed else idx(array))
    found = read_idx(path)
    assert found.shape == array.shape and found.tolist() == array.tolist()


@pytest.mark.parametrize("content, sentence", [
    (idx(np.zeros((3, 4), np.uint8))[:-1], "the array of shape .3, 4. in .*array states 12 bytes and holds 11;"),
    (idx(np.zeros((3, 4), np.uint8)) + b"0", "states 12 bytes and holds more"),
    (idx(np.zeros((3, 4), np.uint8))[:7], "holds 7 bytes; its header of 2 dimensions asks for more"),
    (bytes([0, 0, 8, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]), "asks for 18,446,744,073,709,551,616 bytes"),
    (gzip.compress(idx(np.zeros((3, 4), np.uint8)), mtime=0)[:-9], "ends early or is damaged"),
    (pickle.dumps([1, 2]), "expected an IDX file"),
    (b"", "expected an IDX file"),
])
def test_a_damaged_idx_file_is_refused(tmp_path, content, sentence):
    (tmp_path / "array").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_idx(tmp_path / "array")


def test_the_tool_keeps_the_first_images_in_order_and_writes_the_same_bytes_again(tmp_path, tool):
    arrays, digests = original(tmp_path)
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    tool.make_subset(tmp_path, first, train=4, test=2, digests=digests)
    tool.make_subset(tmp_path, second, train=4, test=2, digests=digests)
    assert first.read_bytes() == second.read_bytes()
    with np.load(first, allow_pickle=False) as found:
        assert found["train_images"].tolist() == arrays["train-images-idx3-ubyte.gz"][:4].tolist()
        assert found["train_labels"].tolist() == arrays["train-labels-idx1-ubyte.gz"][:4].tolist()
        assert found["test_images"].tolist() == arrays["t10k-images-idx3-ubyte.gz"][:2].tolist()
        assert found["test_labels"].tolist() == arrays["t10k-labels-idx1-ubyte.gz"][:2].tolist()


def test_the_tool_refuses_files_that_are_not_the_originals(tmp_path, tool):
    original(tmp_path)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz has SHA-256 .* fetch the original file"):
        tool.make_subset(tmp_path, tmp_path / "subset.npz")
    assert not (tmp_path / "subset.npz").exists()


# Digits and scaling


def test_digits_have_mean_zero_and_deviation_one_half():
    data = digits()
    assert data.images.shape == (1_797, 1, 8, 8) and data.images.dtype == torch.float32
    assert data.images.double().mean().item() == pytest.approx(0, abs=1e-6)
    assert data.images.double().std(correction=0).item() == pytest.approx(0.5, abs=1e-6)
    assert data.labels.tolist() == load_digits().target.tolist()


def test_digits_take_the_scaling_of_study_6_exactly():
    found = digits(Scaling(8, 4, white=16)).images[:, 0].numpy()
    assert found.tolist() == (load_digits().images / 8 - 1).tolist()


def test_display_clamps_what_lies_beyond_black_and_white():
    scaling = Scaling(100.0, 50.0)
    values = np.array([0.0, 51.0, 255.0])
    torch.testing.assert_close(scaling.pixels(scaling.network(values)), torch.tensor([0.0, 0.2, 1.0]))
    assert scaling.pixels(torch.tensor([-9.0, 9.0], dtype=torch.float64)).tolist() == [0.0, 1.0]


def test_values_beyond_white_are_refused():
    with pytest.raises(ValueError, match="pixel values run from 0 to 17; expected 0 to 16"):
        Scaling(8, 4, white=16).network(np.array([0.0, 17.0]))
    with pytest.raises(ValueError, match="deviation is 0; expected a finite number > 0"):
        Scaling(8, 0)


# Index sets


@given(st.integers(1, 200), st.data(), st.one_of(st.none(), st.integers(0, 9)))
def test_splits_are_disjoint_and_inside_the_data(total, data, seed):
    size = data.draw(st.integers(1, total))
    count = data.draw(st.integers(1, total // size))
    indices = disjoint_splits(total, size, count, seed).indices
    assert indices.shape == (count, size) and indices.dtype == torch.int64
    entries = indices.flatten().tolist()
    assert len(set(entries)) == size * count and min(entries) >= 0 and max(entries) < total
    check_disjoint(**{f"set {i}": row for i, row in enumerate(indices)})


def test_without_a_seed_the_sets_are_the_plain_blocks():
    assert disjoint_splits(8_192, 512, 4).indices[3].tolist() == list(range(1_536, 2_048))


def test_a_seed_fixes_the_sets_and_is_the_permutation_of_study_6():
    train, holdout = disjoint_splits(1_797, 500, 2, seed=0).indices
    order = np.random.default_rng(0).permutation(1_797)
    assert train.tolist() == order[:500].tolist() and holdout.tolist() == order[500:1_000].tolist()
    assert disjoint_splits(1_797, 500, 2, seed=0).digest != disjoint_splits(1_797, 500, 2, seed=1).digest


def test_every_index_is_equally_likely_in_a_seeded_set():
    repeats, total, size = 2_000, 12, 5
    counts = torch.stack([disjoint_splits(total, size, 1, seed).indices[0].bincount(minlength=total)
                          for seed in range(repeats)]).sum(0)
    share = size / total
    assert (counts - repeats * share).abs().max() < 4 * math.sqrt(repeats * share * (1 - share))


def test_the_digest_is_the_sha256_of_lengths_and_entries():
    sets = torch.tensor([4, 0]), torch.tensor([3], dtype=torch.int32)
    expected = hashlib.sha256(b"".join(number.to_bytes(8, "little") for number in (2, 1, 4, 0, 3))).hexdigest()
    assert index_digest(*sets) == expected
    assert index_digest(torch.tensor([4]), torch.tensor([0, 3])) != expected


@pytest.mark.parametrize("total, size, count", [(10, 6, 2), (3, 4, 1), (0, 1, 1)])
def test_sets_larger_than_the_data_are_refused(total, size, count):
    with pytest.raises(ValueError, match=f"need {size * count} events; expected no more than the {total} there are"):
        disjoint_splits(total, size, count)


@pytest.mark.parametrize("size, count", [(0, 1), (1, 0), (-1, -1)])
def test_empty_sets_are_refused(size, count):
    with pytest.raises(ValueError, match="expected a whole number >= 1"):
        disjoint_splits(10, size, count)


def test_fractions_of_an_index_are_refused():
    with pytest.raises(ValueError, match="size is 2.5; expected a whole number"):
        disjoint_splits(10, 2.5, 2)


@given(st.lists(st.lists(st.integers(0, 12), max_size=4), min_size=2, max_size=4))
def test_sets_are_called_disjoint_exactly_when_no_index_occurs_twice(sets):
    named = {f"set {i}": torch.tensor(entries, dtype=torch.int64) for i, entries in enumerate(sets)}
    shared = any(set(a) & set(b) for a, b in combinations(sets, 2))
    if shared or any(len(set(entries)) < len(entries) for entries in sets):
        with pytest.raises(ValueError, match="occurs more than once, in set"):
            check_disjoint(**named)
    else:
        check_disjoint(**named)


def test_an_overlap_is_named():
    with pytest.raises(ValueError, match=r"index 5 occurs more than once, in train and holdout \(2 such indices"):
        check_disjoint(train=torch.arange(7), holdout=torch.arange(5, 12))
    with pytest.raises(ValueError, match=r"index 3 occurs more than once, in train \(1 such"):
        check_disjoint(train=torch.tensor([3, 3]), holdout=torch.tensor([4]))
    with pytest.raises(TypeError, match="train is a tensor of torch.float32.*expected a vector of int64"):
        check_disjoint(train=torch.zeros(3))


# Token strings


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=30), st.integers(1, 2))
def test_blocks_of_strings_are_cut_in_order_and_novelty_is_set_difference(rows, n):
    found = disjoint_blocks(torch.tensor(rows), n, 2)
    train, holdout = rows[:2 * n], rows[2 * n:]
    assert [tuple(row) for block in found.blocks.tolist() for row in block] == train
    assert [tuple(row) for row in found.holdout.tolist()] == holdout
    assert found.novel.tolist() == [row not in train for row in holdout]


def test_strings_that_are_no_tokens_are_refused():
    with pytest.raises(TypeError, match="tokens is of type torch.float32; expected an integer tensor"):
        disjoint_blocks(torch.zeros(4, 2), 1, 1)
    with pytest.raises(ValueError, match=r"tokens has shape \[4\]; expected \[N, L\]"):
        disjoint_blocks(torch.zeros(4, dtype=torch.int64), 1, 1)
    with pytest.raises(ValueError, match="strings have length 3 and those seen 2"):
        is_novel(torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="3 disjoint sets of 2 indices need 6 events"):
        disjoint_blocks(torch.zeros(5, 2, dtype=torch.int64), 2, 3)


# Rings


@given(st.integers(1, 50), st.floats(0.1, 100), st.floats(-1, 1))
def test_held_out_points_of_the_lattice_sit_in_the_middle_of_the_arcs(n, radius, turn):
    train, holdout = ring_split(n, radius, turn)
    angles = 2 * torch.pi * (torch.arange(2 * n, dtype=torch.float64) / (2 * n) + turn)
    torch.testing.assert_close(train, on_ring(angles[::2], radius), rtol=0, atol=1e-12 * radius)
    torch.testing.assert_close(holdout, on_ring(angles[1::2], radius), rtol=0, atol=1e-12 * radius)
    torch.testing.assert_close(train.norm(dim=1), torch.full((n,), radius, dtype=torch.float64), rtol=1e-14, atol=0)


def test_the_optimal_denoiser_on_the_lattice_gives_the_golden_number_of_study_2():
    points, x = ring(10), torch.tensor([6.0, 5.0], dtype=torch.float64)
    weights = torch.softmax(-(x - points).square().sum(1) / 8, 0)
    expected = torch.tensor([7.866509, 5.992583], dtype=torch.float64)
    torch.testing.assert_close(weights @ points, expected, rtol=0, atol=1e-6)


def test_random_points_are_uniform_on_the_circle_and_follow_their_generator():
    train, holdout = ring_split(20_000, 2.0, generator=torch.Generator().manual_seed(3))
    both = torch.cat([holdout, train])
    assert torch.equal(both, ring(40_000, 2.0, generator=torch.Generator().manual_seed(3)))
    moments = torch.stack([both[:, 0], both[:, 1], both[:, 0] * both[:, 1], both[:, 0] ** 2 - 2])
    assert (moments.mean(1).abs() < 4 * moments.std(1) / 200).all()


def test_impossible_rings_are_refused():
    with pytest.raises(ValueError, match="n is 0; expected a whole number >= 1"):
        ring(0)
    with pytest.raises(ValueError, match="n is 0; expected a whole number >= 1"):
        ring_split(0)
    with pytest.raises(ValueError, match="radius is -1; expected a finite number > 0"):
        ring(3, -1.0)
    with pytest.raises(ValueError, match="turn is inf"):
        ring(3, turn=math.inf)


# CIFAR-10


BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]


def batches(images=3):
    random = np.random.default_rng(0)
    return {name: np.concatenate([random.integers(0, 10, (images, 1)), random.integers(0, 256, (images, 3_072))],
                                 1).astype(np.uint8) for name in BATCHES}


def tar(path, contents):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def binary(**changes):
    return {name: records.tobytes() for name, records in batches().items()} | changes


@pytest.mark.parametrize("folder", [False, True])
def test_cifar10_is_read_from_the_archive_and_from_its_folder(tmp_path, folder):
    path = tar(tmp_path / "cifar-10-binary.tar.gz", binary())
    if folder:
        path = tmp_path / "cifar-10-batches-bin"
        path.mkdir()
        for name, content in binary().items():
            (path / name).write_bytes(content)
    made = batches()
    for split, names in (("train", BATCHES[:5]), ("test", BATCHES[5:])):
        records = np.concatenate([made[name] for name in names])
        data = cifar10(path, split)
        assert data.images.shape == (len(records), 3, 32, 32) and data.images.dtype == torch.float32
        np.testing.assert_allclose(data.images.flatten(1).numpy(), records[:, 1:] / 127.5 - 1, rtol=0, atol=1e-7)
        assert data.labels.tolist() == records[:, 0].tolist()
    assert data.classes[0] == "airplane" and len(data.classes) == 10


@pytest.mark.parametrize("name, content, sentence", [
    ("data_batch_2.bin", bytes(3_072), "data_batch_2.bin holds 3072 bytes; expected a multiple of 3073"),
    ("data_batch_3.bin", b"", "data_batch_3.bin holds 0 bytes"),
    ("data_batch_4.bin", bytes(3_073), "hold 3, 3, 3, 1, 3 images; expected equally many"),
    ("data_batch_5.bin", bytes([10]) + bytes(3_072), "data_batch_5.bin has the label 10; expected 0 to 9"),
])
def test_damaged_batches_are_refused(tmp_path, name, content, sentence):
    path = tar(tmp_path / "cifar-10-binary.tar.gz", binary(**{name: content}))
    with pytest.raises(ValueError, match=sentence):
        cifar10(path)


def test_a_missing_batch_is_named(tmp_path):
    contents = binary()
    del contents["data_batch_4.bin"]
    with pytest.raises(ValueError, match="lacks data_batch_4.bin; expected the files of cifar-10-binary.tar.gz"):
        cifar10(tar(tmp_path / "cifar.tar.gz", contents))


def test_the_pickled_version_is_refused_by_name(tmp_path):
    path = tar(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": pickle.dumps({}), "test_batch": b"\x80"})
    with pytest.raises(ValueError, match="is the Python version of CIFAR-10.*the binary version holds the same images"):
        cifar10(path)
    (tmp_path / "cifar.pkl").write_bytes(pickle.dumps({"data": []}))
    with pytest.raises(ValueError, match="is a Python pickle, which can run any program when it is read"):
        cifar10(tmp_path / "cifar.pkl")


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_cut_archive_is_refused(tmp_path, kept):
    content = tar(tmp_path / "whole.tar.gz", binary()).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[:int(kept * len(content))])
    with pytest.raises(ValueError, match="cut.tar.gz is cut or damaged"):
        cifar10(tmp_path / "cut.tar.gz")


def test_an_archive_with_one_byte_changed_is_refused(tmp_path):
    content = bytearray(lzma.compress(gzip.decompress(tar(tmp_path / "whole.tar.gz", binary()).read_bytes())))
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.tar.xz").write_bytes(content)
    with pytest.raises(ValueError, match="changed.tar.xz is cut or damaged"):
        cifar10(tmp_path / "changed.tar.xz")


def test_a_missing_path_and_an_unknown_split_are_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist; expected a folder, a zip or a tar archive"):
        cifar10(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="split is 'pool'; expected one of 'train', 'test'"):
        cifar10(tmp_path, "pool")


@pytest.fixture
def server(tmp_path, monkeypatch):
    content = tar(tmp_path / "cifar-10-binary.tar.gz", binary()).read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as host:
        thread = threading.Thread(target=host.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setattr(cifar, "ADDRESS", f"http://127.0.0.1:{host.server_port}/cifar-10-binary.tar.gz")
        monkeypatch.setattr(cifar, "MD5", hashlib.md5(content).hexdigest())
        monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
        yield host
        host.shutdown()
        thread.join()


def test_without_a_path_the_archive_is_fetched_once_and_checked(server):
    first = cifar10().images
    server.shutdown()
    assert torch.equal(first, cifar10().images) and len(first) == 15


def test_an_archive_with_another_checksum_is_refused(server, monkeypatch):
    monkeypatch.setattr(cifar, "MD5", "0" * 32)
    with pytest.raises(ValueError, match="does not match the known hash"):
        cifar10()


def test_a_host_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "ADDRESS", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path)
    with pytest.raises(ConnectionError, match=r"cannot be fetched .*: try the path of a copy that you have"):
        cifar10()


# Image folders


def picture(width, height, color, kind="PNG"):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), color).save(stream, kind)
    return stream.getvalue()


def gallery(folder, archive):
    files = {f"faces/{number}.png": picture(8, 10, (20 * number,) * 3) for number in (10, 9, 1, 2)}
    files["faces/list.txt"] = b"not an image"
    if archive == "folder":
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        return folder / "faces"
    with zipfile.ZipFile(folder / "faces.zip", "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return folder / "faces.zip"


@pytest.mark.parametrize("archive", ["folder", "zip"])
def test_images_come_in_natural_order(tmp_path, archive):
    scaling = Scaling(0.0, 0.5)
    path = gallery(tmp_path, archive)
    data = image_folder(path, side=4, scaling=scaling)
    assert data.images.shape == (4, 1, 4, 4) and data.labels is None
    assert data.images.flatten(1).tolist() == [[value] * 16 for value in (20.0, 40.0, 180.0, 200.0)]
    picked = image_folder(path, side=4, scaling=scaling, indices=disjoint_splits(4, 2, 2).indices[1]).images
    assert torch.equal(picked, data.images[2:])


def test_without_a_scaling_the_images_get_mean_zero_and_deviation_one_half(tmp_path):
    path = gallery(tmp_path, "folder")
    data = image_folder(path, side=4)
    assert data.images.mean().item() == pytest.approx(0, abs=1e-6)
    assert data.images.std(correction=0).item() == pytest.approx(0.5, abs=1e-6)
    assert torch.equal(image_folder(path, 4, indices=[3], scaling=data.scaling).images, data.images[3:])


@pytest.mark.parametrize("width, height", [(12, 4), (4, 12)])
def test_the_shorter_side_is_kept_and_the_longer_cut_around_its_middle(tmp_path, width, height):
    values = np.zeros((4, 12, 3), np.uint8)
    values[:, 4:8] = [10, 200, 90]
    Image.fromarray(values if width == 12 else values.transpose(1, 0, 2)).save(tmp_path / "1.png")
    identity = Scaling(0.0, 0.5)
    color = image_folder(tmp_path, side=4, grey=False, scaling=identity).images
    assert color.flatten(2).tolist() == [[[10.0] * 16, [200.0] * 16, [90.0] * 16]]
    grey = image_folder(tmp_path, side=4, scaling=identity).images
    assert grey.unique().tolist() == [round(0.299 * 10 + 0.587 * 200 + 0.114 * 90)]


def test_shrinking_averages_over_pixels(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "1.png")
    inner = image_folder(tmp_path, side=8, scaling=Scaling(0.0, 0.5)).images[..., 1:-1, 1:-1]
    assert (inner - 100).abs().max() <= 2


@pytest.mark.parametrize("content, sentence", [
    (picture(200, 200, (1, 2, 3), "JPEG")[:-200], "7.jpg is cut or no image"),
    (pickle.dumps([1]), "7.jpg is cut or no image"),
])
def test_damaged_images_are_named(tmp_path, content, sentence):
    (tmp_path / "7.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        image_folder(tmp_path)


def test_images_of_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((8, 8), 60_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="deep.png has more than 8 bits a pixel"):
        image_folder(tmp_path)


def test_impossible_requests_of_a_folder_are_refused(tmp_path):
    path = gallery(tmp_path, "folder")
    for indices in (torch.tensor([4]), [-1], []):
        with pytest.raises(ValueError, match="holds 4 images; expected indices from 0 to 3"):
            image_folder(path, indices=indices)
    with pytest.raises(ValueError, match="side is 0; expected a whole number >= 1"):
        image_folder(path, side=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no .png, .jpg, .jpeg file"):
        image_folder(tmp_path / "empty")


def test_a_cut_zip_is_refused(tmp_path):
    path = gallery(tmp_path, "zip")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="faces.zip is no archive, or cut; expected a folder, a zip or a tar archive"):
        image_folder(path)


# What asks for more than it should


MIB = 2**20


@contextmanager
def little_memory():
    """Python and numpy hold at most 2 MiB at once, of bombs that hold 64 and more."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def forged(path, content, compression=zipfile.ZIP_DEFLATED, name="1.png", **header):
    """A zip archive whose directory says of its one file what `header` says."""
    with zipfile.ZipFile(path, "w", compression) as target:
        target.writestr(name, content)
        for field, value in header.items():
            setattr(target.infolist()[0], field, value)
    return path


@pytest.mark.parametrize("header, sentence", [
    ({"flag_bits": 1}, "1.png in .*faces.zip is encrypted; expected an archive that anyone can read"),
    ({"file_size": 5 * 2**30}, "1.png in .* asks for 5,368,709,120 bytes; expected at most 268,435,456 a file"),
    ({"file_size": 100}, "faces.zip is cut or damaged .Bad CRC-32"),
    ({"file_size": 65 * MIB}, "1.png states 68,157,440 bytes and holds 67,108,864"),
    ({"compress_type": 9}, "1.png in .* is compressed by method 9; expected stored or deflated files"),
])
def test_a_zip_file_that_lies_or_is_locked_is_refused_in_little_memory(tmp_path, header, sentence):
    path = forged(tmp_path / "faces.zip", bytes(64 * MIB), **header)
    holds_more = header == {"file_size": 65 * MIB}  # within the limit, so that it is read
    with nullcontext() if holds_more else little_memory(), pytest.raises(ValueError, match=sentence):
        image_folder(path)


def test_bzip2_in_a_zip_file_is_refused_since_its_output_is_without_bound(tmp_path):
    path = forged(tmp_path / "faces.zip", bytes(64 * MIB), zipfile.ZIP_BZIP2, file_size=100)
    assert path.stat().st_size < 1000
    with little_memory(), pytest.raises(ValueError, match="is compressed by method 12; expected stored or deflated"):
        image_folder(path)


def member(size, kind=tarfile.REGTYPE, pax=None):
    """The header of a member of a tar archive, and nothing behind it."""
    entry = tarfile.TarInfo("data_batch_1.bin")
    entry.size, entry.type, entry.pax_headers = size, kind, pax or {}
    return entry.tobuf(tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT)


@pytest.mark.parametrize("header, size", [
    (member(3 * 2**30), "3,221,225,472"),
    (member(2**40, tarfile.GNUTYPE_LONGNAME), "1,099,511,627,776"),
    (member(2**40, tarfile.XHDTYPE), "1,099,511,627,776"),
    (member(0, pax={"size": str(2**40)}), "1,099,511,627,776"),
    (member(0) + member(-512), "-512"),  # the second member ends where it begins, and comes again and again
], ids=["file", "name", "header", "size in a header", "negative"])
def test_a_tar_archive_with_a_member_without_bound_is_refused_in_little_memory(tmp_path, header, size):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(header + bytes(64 * MIB)))
    with little_memory(), pytest.raises(ValueError, match=f"asks for {size} bytes; expected at most 268,435,456 a file"):
        cifar10(path)


@pytest.mark.parametrize("shape, sentence", [
    ((2**22, 2**10), r"the array of shape \[4194304, 1024\] in .* asks for 4,294,967,296 bytes; expected at most 268"),
    ((3,), r"the array of shape \[3\] in .* states 3 bytes and holds more"),
])
def test_an_idx_file_that_unpacks_to_more_than_it_states_or_may_is_refused_in_little_memory(tmp_path, shape, sentence):
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    (tmp_path / "array.gz").write_bytes(gzip.compress(header + bytes(64 * MIB)))
    with little_memory(), pytest.raises(ValueError, match=sentence):
        read_idx(tmp_path / "array.gz")


@pytest.mark.parametrize("size, sentence", [(2**32, "test_images.npy in .* asks for"), (100, "Bad CRC-32")])
def test_a_shipped_file_that_unpacks_to_gigabytes_is_refused_in_little_memory(tmp_path, monkeypatch, size, sentence):
    path = forged(tmp_path / "fashion.npz", bytes(64 * MIB), name="test_images.npy", file_size=size)
    monkeypatch.setattr(fashion, "SHIPPED", path)
    with little_memory(), pytest.raises(ValueError, match=f"cannot be read .*{sentence}"):
        fashion_mnist("test")


def test_a_file_of_a_folder_that_is_too_large_is_refused_in_little_memory(tmp_path):
    (tmp_path / "1.png").touch()
    os.truncate(tmp_path / "1.png", 2**28 + 1)
    with little_memory(), pytest.raises(ValueError, match="1.png asks for 268,435,457 bytes; expected at most"):
        image_folder(tmp_path)


def png(width, height):
    """A whole png file of one bit a pixel, all black, that is compressed two thousand times."""
    stream = io.BytesIO()
    Image.new("1", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def stated(content, width, height):
    """The same file, which states another size."""
    head = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + head + zlib.crc32(head).to_bytes(4) + content[33:]


@pytest.mark.parametrize("content, sentence", [
    (png(10_000, 10_000), "1.png unpacks to more than 268,435,456 bytes .*100000000 pixels"),
    (stated(png(8, 8), 60_000, 60_000), "1.png unpacks to more than 268,435,456 bytes .*3600000000 pixels"),
    (png(1, 40_000_000), "1.png with a shorter side of 32 asks for 122,880,000,000 bytes"),
], ids=["true", "stated", "a line"])
def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_does(tmp_path, content, sentence):
    assert len(content) < MIB
    (tmp_path / "1.png").write_bytes(content)
    with little_memory(), pytest.raises(ValueError, match=sentence):
        image_folder(tmp_path)


def test_a_picture_with_a_text_that_unpacks_to_megabytes_is_refused_by_its_name(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "0" * 8 * MIB, zip=True)
    Image.new("L", (8, 8)).save(tmp_path / "1.png", pnginfo=text)
    with pytest.raises(ValueError, match="1.png is cut or no image .Decompressed data too large"):
        image_folder(tmp_path)


def test_a_picture_of_another_kind_under_the_name_of_a_png_is_refused(tmp_path):
    (tmp_path / "1.png").write_bytes(picture(8, 8, (1, 2, 3), "BMP"))
    with pytest.raises(ValueError, match="1.png is cut or no image .*; expected a png or jpg file"):
        image_folder(tmp_path)


def test_the_limit_of_a_file_is_that_of_a_picture_in_bytes():
    assert archive.LARGEST // 3 == Image.MAX_IMAGE_PIXELS
