"""Why an artifact was refused: one line for people, one code for programs."""

from typing import Literal

from tocsin.core.errors import InputError

Code = Literal[
    "not-a-folder",
    "too-many-files",
    "too-large",
    "link",
    "special-file",
    "unreadable",
    "no-manifest",
    "manifest-not-json",
    "duplicate-key",
    "manifest-not-canonical",
    "manifest-changed",
    "schema-version",
    "manifest-invalid",
    "no-key",
    "unsigned",
    "signature-malformed",
    "wrong-identity",
    "revoked-key",
    "wrong-key",
    "bad-signature",
    "name-absolute",
    "name-traversal",
    "name-invalid",
    "name-reserved",
    "name-collision",
    "missing-file",
    "extra-file",
    "renamed-file",
    "file-too-large",
    "file-changed",
    "no-model",
    "model-malformed",
    "external-data",
    "alias-changed",
]


class ArtifactError(InputError):
    """An artifact that is not what was sealed. Nothing in it was used."""

    def __init__(self, message: str, code: Code = "not-a-folder") -> None:
        super().__init__(message)
        self.code: Code = code
