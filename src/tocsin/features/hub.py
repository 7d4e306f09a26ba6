"""Pretrained models: a folder on this machine, or what the Hugging Face hub keeps under an id."""

from collections.abc import Sequence
from pathlib import Path

from tocsin.core.errors import InputError


def find_folder(where: str, files: Sequence[str]) -> Path:
    """Return a folder itself, or the local copy of a hub id, or of `id@revision`, with such files, globs of names.

    What the copy lacks is fetched, unless HF_HUB_OFFLINE is set. Whether the files are there is the caller's to look.

    Errors: InputError where there is neither such a folder nor such an id.
    """
    if Path(where).is_dir():
        return Path(where)
    from huggingface_hub import snapshot_download  # the library `tokenizers` brings it

    name, _, revision = where.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(files)))
    except Exception as error:  # noqa: BLE001 - whatever the network and the hub answer
        raise InputError(
            f"{where!r} is no folder, and the hub gives nothing of it: {reason(error)}"
        ) from None


def reason(error: Exception) -> str:
    """Return what a library says of an error, as one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
