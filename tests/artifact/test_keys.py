import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from artifact.examples import KEY, OTHER_KEY
from tocsin.artifact.keys import (
    check_signature,
    fingerprint,
    load_private_key,
    load_public_key,
    make_keys,
    sign,
)
from tocsin.artifact.refusal import ArtifactError
from tocsin.core.errors import InputError


def test_a_pair_signs_and_verifies(tmp_path: Path):
    name = make_keys(tmp_path / "key.pem", tmp_path / "key.pub.pem")
    key, public = load_private_key(tmp_path / "key.pem"), load_public_key(tmp_path / "key.pub.pem")
    assert name == fingerprint(key.public_key()) == fingerprint(public)
    assert check_signature(sign(b"text", key), b"text", public) == name


def test_the_private_file_is_for_its_owner(tmp_path: Path):
    make_keys(tmp_path / "key.pem", tmp_path / "key.pub.pem")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("existing", ["key.pem", "key.pub.pem"])
def test_keys_are_not_overwritten(tmp_path: Path, existing: str):
    (tmp_path / existing).write_text("precious")
    with pytest.raises(InputError, match="exists"):
        make_keys(tmp_path / "key.pem", tmp_path / "key.pub.pem")
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "precious"


def test_openssl_agrees(tmp_path: Path):
    """An oracle outside Python: the openssl program verifies what we sign, over the exact bytes."""
    import base64
    import json

    make_keys(tmp_path / "key.pem", tmp_path / "key.pub.pem")
    found = json.loads(sign(b"text", load_private_key(tmp_path / "key.pem")))
    (tmp_path / "text").write_bytes(b"text")
    (tmp_path / "signature").write_bytes(base64.b64decode(found["signature"]))
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pub.pem",
        "-rawin",
        "-in",
        "text",
        "-sigfile",
        "signature",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Signature Verified Successfully" in result.stdout, result.stderr


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


PLAIN = NoEncryption()


def pem(key: rsa.RSAPrivateKey | Ed25519PrivateKey, how: KeySerializationEncryption = PLAIN) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot read the key .*No such file"),
    (b"", "holds no private key in PEM form"),
    (b"\x00\xff", "holds no private key in PEM form"),
    (pem(rsa_key()), "of another kind than Ed25519"),
    (pem(KEY, BestAvailableEncryption(b"secret")), "is encrypted"),
])  # fmt: skip
def test_what_is_no_private_key_says_so(tmp_path: Path, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_private_key(tmp_path / "key.pem")
    assert str(tmp_path / "key.pem") in str(error.value)


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot read the key .*No such file"),
    (b"", "holds no public key in PEM form$"),
    (pem(KEY), "it is a private key, give the public one"),
])  # fmt: skip
def test_what_is_no_public_key_says_so(tmp_path: Path, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_public_key(tmp_path / "key.pem")


def test_an_rsa_public_key_is_refused(tmp_path: Path):
    from cryptography.hazmat.primitives.serialization import PublicFormat

    path = tmp_path / "key.pem"
    path.write_bytes(rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="another kind than Ed25519"):
        load_public_key(path)


def test_anybody_can_sign_so_only_a_trusted_key_proves_who(tmp_path: Path):
    forged = sign(b"text", OTHER_KEY)
    assert check_signature(forged, b"text", None) == fingerprint(OTHER_KEY.public_key())
    with pytest.raises(ArtifactError) as refused:
        check_signature(forged, b"text", KEY.public_key())
    assert refused.value.code == "wrong-key"
