"""R10: an artifact with one damaged bit, or with parts cut, moved or swapped, is refused."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifact.examples import KEY, files, manifest
from tocsin.artifact.keys import check_signature
from tocsin.artifact.manifest import MANIFEST, SIGNATURE, parse_manifest
from tocsin.artifact.open import open_artifact
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.seal import seal

KIB_64 = 1 << 16
SEALS = (MANIFEST, SIGNATURE)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed artifact of exactly 64 KiB: the padding is part of the encoder."""
    folder = tmp_path_factory.mktemp("flips")
    padding = 0
    for name in ("measured", "sealed"):
        content = files() | {"encoder/padding.bin": random.Random(1).randbytes(padding)}
        artifact = seal(folder / name, manifest(), content, KEY)
        padding = KIB_64 - sum(map(len, artifact.files.values()))
    assert sum(map(len, artifact.files.values())) == KIB_64
    return folder / name


def all_bits(folder: Path, names: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    """(file, number of the bit) of every bit in the named files, or in all."""
    found = names or tuple(
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    )
    return [(name, bit) for name in found for bit in range(8 * (folder / name).stat().st_size)]


def flip_each(folder: Path, bits: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Flip one bit on the disk after the other, and set it right again."""
    for name, bit in bits:
        path = folder / name
        with path.open("r+b", buffering=0) as file:
            file.seek(bit // 8)
            byte = file.read(1)[0]
            file.seek(bit // 8)
            file.write(bytes([byte ^ (1 << bit % 8)]))
            yield name, bit
            file.seek(bit // 8)
            file.write(bytes([byte]))


def accepted(folder: Path, bits: list[tuple[str, int]], *, trusted: bool) -> list[tuple[str, int]]:
    """The flips that were not refused."""
    key = KEY.public_key() if trusted else None
    return [flip for flip in flip_each(folder, bits) if opens(folder, key)]


def opens(folder: Path, key: object) -> bool:
    try:
        open_artifact(folder, public_key=key)  # type: ignore[arg-type]
    except ArtifactError:
        return False
    return True


def refuses(check: Callable[..., object], *arguments: object) -> bool:
    try:
        check(*arguments)
    except ArtifactError:
        return True
    return False


def flipped(content: bytes) -> Iterator[bytes]:
    """The content with one bit changed, for every bit."""
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def test_every_bit_of_manifest_and_signature(sealed: Path):
    """In memory. Each of the manifest's two defences holds alone; the signature's needs no trusted key."""
    raw, signature = ((sealed / name).read_bytes() for name in SEALS)
    trusted = KEY.public_key()
    assert check_signature(signature, raw, trusted)
    assert parse_manifest(raw)
    assert all(refuses(check_signature, signature, changed, trusted) for changed in flipped(raw))
    assert all(refuses(parse_manifest, changed) for changed in random.Random(8).sample([*flipped(raw)], 4000))
    assert all(refuses(check_signature, changed, raw, None) for changed in flipped(signature))


def test_bits_of_manifest_and_signature_on_disk(sealed: Path):
    bits = random.Random(7).sample(all_bits(sealed, SEALS), 1000)
    assert accepted(sealed, bits, trusted=True) == []
    assert open_artifact(sealed, public_key=KEY.public_key()).signed_by


def test_bits_of_all_files(sealed: Path):
    bits = all_bits(sealed)
    assert len(bits) == 8 * KIB_64
    assert accepted(sealed, random.Random(2).sample(bits, 1500), trusted=True) == []


def test_bits_without_a_key(sealed: Path):
    """Damage shows although nobody is trusted: in the manifest by its hash, in the signature by itself."""
    bits = random.Random(3).sample(all_bits(sealed), 500)
    bits += random.Random(4).sample(all_bits(sealed, SEALS), 1000)
    assert accepted(sealed, bits, trusted=False) == []


def test_bits_of_an_unsigned_manifest(tmp_path: Path):
    folder = tmp_path / "unsigned"
    seal(folder, manifest(), files())
    bits = all_bits(folder, (MANIFEST,))
    assert accepted(folder, random.Random(5).sample(bits, 1000), trusted=False) == []


@pytest.mark.release
@pytest.mark.timeout(7200)
def test_every_bit_of_64_kib(sealed: Path):
    assert accepted(sealed, all_bits(sealed), trusted=True) == []
    assert accepted(sealed, all_bits(sealed), trusted=False) == []


def test_a_flip_in_a_file_that_nobody_checks_is_found_by_this_test(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
):
    """Negative control: without the hash, flips get through, and this suite says so."""
    monkeypatch.setattr(
        "tocsin.artifact.open._read_hashed", lambda root, name, wanted: (root / name).read_bytes()
    )
    bits = [("encoder/padding.bin", 7)]
    assert accepted(sealed, bits, trusted=True) == bits


def damage(rng: random.Random, contents: dict[str, bytes]) -> dict[str, bytes]:
    """Cut, splice, swap, grow, drop or rename."""
    changed = dict(contents)
    name, other = rng.sample(sorted(contents), 2)
    at = rng.randrange(len(contents[name]))
    match rng.randrange(7):
        case 0:
            changed[name] = contents[name][:at]
        case 1:
            changed[name] = contents[name][:at] + contents[other][rng.randrange(len(contents[other])) :]
        case 2:
            changed[name], changed[other] = contents[other], contents[name]
        case 3:
            changed[name] = contents[name] + rng.randbytes(rng.randrange(1, 9))
        case 4:
            del changed[name]
        case 5:
            changed[f"{name}.{rng.randrange(9)}"] = changed.pop(name)
        case 6:
            changed[name] = contents[name][:at] + contents[name][at + 1 :]
    return changed


def refuse_damaged(sealed: Path, scratch: Path, count: int) -> None:
    contents = dict(open_artifact(sealed).files)
    rng = random.Random(6)
    for case in range(count):
        changed = damage(rng, contents)
        if changed == contents:
            continue
        folder = scratch / str(case)
        for name, content in changed.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert not opens(folder, KEY.public_key()), f"case {case} was accepted"


def test_truncations_splices_and_swaps(sealed: Path, tmp_path: Path):
    refuse_damaged(sealed, tmp_path, 300)


@pytest.mark.release
@pytest.mark.timeout(3600)
def test_ten_thousand_truncations_splices_and_swaps(sealed: Path, tmp_path: Path):
    refuse_damaged(sealed, tmp_path, 10_000)
