"""Ed25519 key pairs in PEM files, and signatures over a manifest's exact bytes."""

import base64
import json
import os
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tocsin.artifact.refusal import ArtifactError
from tocsin.core.durable import json_bytes, sync_folder, write_bytes
from tocsin.core.errors import InputError

ALGORITHM = "ed25519"


def make_keys(private: Path, public: Path) -> str:
    """Write a new key pair as PEM, the private file with mode 0600, and return the fingerprint.

    Errors: InputError if either file exists; neither is ever overwritten.
    """
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path} exists; keys are not overwritten")
    key = Ed25519PrivateKey.generate()
    private.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(private.parent)
    write_bytes(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return fingerprint(key.public_key())


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key that is not encrypted; InputError says what is wrong with the file."""
    try:
        key = load_pem_private_key(_read(path), password=None)
    except TypeError:
        raise InputError(f"{path} is encrypted; decrypt it first: openssl pkey -in {path} -out ...") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{path} holds no private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds a private key of another kind than Ed25519")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key; InputError says what is wrong with the file."""
    raw = _read(path)
    try:
        key = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        hint = "; it is a private key, give the public one" if b"PRIVATE KEY" in raw else ""
        raise InputError(f"{path} holds no public key in PEM form{hint}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} holds a public key of another kind than Ed25519")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the sha256 of the raw public key."""
    return sha256(key.public_bytes_raw()).hexdigest()


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the canonical bytes of `manifest.sig`."""
    return _signature(key.public_key(), key.sign(manifest))


def check_signature(
    signature: bytes, manifest: bytes, trusted: Ed25519PublicKey | None, revoked: Collection[str] = ()
) -> str:
    """Return the signer's fingerprint; ArtifactError unless the signature is whole, and by the trusted key.

    Without a trusted key it only shows damage: anybody can sign with a key of his own.
    """
    key, value = _parse(signature)
    signer = fingerprint(key)
    if _signature(key, value) != signature:
        raise ArtifactError(f"the signature names another signer than {signer[:16]}", "wrong-identity")
    if signer in revoked:
        raise ArtifactError(f"it is signed by {signer[:16]}, a key that was revoked", "revoked-key")
    if trusted is not None and signer != fingerprint(trusted):
        wanted = fingerprint(trusted)[:16]
        raise ArtifactError(f"it is signed by {signer[:16]}, not by the trusted key {wanted}", "wrong-key")
    try:
        key.verify(value, manifest)
    except InvalidSignature:
        raise ArtifactError(f"the signature by {signer[:16]} does not fit", "bad-signature") from None
    return signer


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the key {path}: {error.strerror}") from None


def _signature(key: Ed25519PublicKey, value: bytes) -> bytes:
    return json_bytes(
        {
            "algorithm": ALGORITHM,
            "fingerprint": fingerprint(key),
            "public_key": base64.b64encode(key.public_bytes_raw()).decode(),
            "signature": base64.b64encode(value).decode(),
        }
    )


def _parse(raw: bytes) -> tuple[Ed25519PublicKey, bytes]:
    """Read key and signature; whatever else the bytes say is checked by writing them again."""
    try:
        found = json.loads(raw)
        if json_bytes(found) != raw or found["algorithm"] != ALGORITHM:
            raise ValueError
        key, value = (base64.b64decode(found[name], validate=True) for name in ("public_key", "signature"))
        return Ed25519PublicKey.from_public_bytes(key), value
    except (ValueError, TypeError, KeyError, RecursionError):  # binascii.Error is a ValueError
        raise ArtifactError("the signature is not as tocsin writes it", "signature-malformed") from None
