"""Who made a model: OpenSSF model signatures over all of its files, with a key on an elliptic curve.

The signature lies among the files (``model.sig``), so that anybody with the public key can check a downloaded folder
with the library's own command: ``model_signing verify key FOLDER --signature FOLDER/model.sig --public_key KEY``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from projectone.errors import SettingsError, SignatureError
from projectone.server.registry.contents import LocalFile
from projectone.server.registry.protocol import SIGNATURE_NAME, WEIGHTS_NAME
from projectone.storage.files import write_atomically

PRIVATE_KEY, PUBLIC_KEY = "provenance.key", "provenance.pub"
"""Names in the folder of keys."""

_HOW_TO_INSTALL = "install the extra `provenance` (pip install 'projectone[provenance]')"


def is_available() -> bool:
    """Whether models can be signed here."""
    return all(importlib.util.find_spec(name) is not None for name in ("model_signing", "OpenSSL"))


def new_provenance_key() -> tuple[bytes, bytes]:
    """A fresh key on NIST P-256: its private and its public half, in PEM."""
    key = generate_private_key(SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(public_key: Path) -> str:
    """SHA-256 of a public key as the signatures name it.

    Raises:
        SettingsError: if there is no such key.
    """
    try:
        key = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"provenance key: expected a public key in PEM at {str(public_key)!r}: {error}") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise SettingsError(f"provenance key {public_key.name!r}: expected one on an elliptic curve")
    return sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def make_provenance_key(folder: Path) -> None:
    """Put a key into `folder`, unless there is one; the private half, for which `open_provenance` looks, comes last.

    Raises:
        StorageError: if the disk refused.
    """
    if (folder / PRIVATE_KEY).exists():
        return
    private, public = new_provenance_key()
    for name, content in ((PUBLIC_KEY, public), (PRIVATE_KEY, private)):
        write_atomically(folder / name, content)
        (folder / name).chmod(0o600)


def open_provenance(folder: Path) -> Provenance | None:
    """What signs with the key in `folder`; None if there is none, so that models are published without a signature."""
    if not (folder / PRIVATE_KEY).exists():
        return None
    return Provenance(folder / PRIVATE_KEY, folder / PUBLIC_KEY)


class Provenance:
    """Signs with a key of the server, and checks what bears its signature.

    Args:
        private_key: In PEM, not encrypted.
        public_key: Its other half.
    """

    def __init__(self, private_key: Path, public_key: Path) -> None:
        self._private_key = private_key
        self.public_key = public_key

    def sign(self, files: Mapping[str, LocalFile]) -> bytes:
        """A signature over these files and no others.

        Raises:
            SettingsError: if the library or the key is not there.
        """
        _require_library()
        from model_signing.signing import Config

        with _laid_out(files) as folder, tempfile.TemporaryDirectory() as elsewhere:
            signature = Path(elsewhere) / SIGNATURE_NAME
            try:
                signer: Any = Config()  # type: ignore[no-untyped-call]
                signer.use_elliptic_key_signer(private_key=self._private_key)
                signer.set_hashing_config(_hashing()).sign(folder, signature)
            except (OSError, ValueError) as error:
                raise SettingsError(f"provenance key {self._private_key.name!r}: {error}") from error
            return signature.read_bytes()

    def check(self, files: Mapping[str, LocalFile], signature: bytes) -> None:
        """That `signature` is ours and is over these files and no others.

        Raises:
            SignatureError: if it is not.
            SettingsError: if the library or the key is not there.
        """
        with _laid_out(files) as folder:
            (folder / SIGNATURE_NAME).write_bytes(signature)
            verify_folder(folder, self.public_key)


def verify_folder(folder: Path, public_key: Path) -> None:
    """That a model's folder holds exactly what was signed with this key, and the signature.

    Raises:
        SignatureError: if a file was changed, is missing or is one too many, or somebody else signed.
        SettingsError: if the library or the key is not there.
    """
    _require_library()
    fingerprint(public_key)
    from model_signing.verifying import Config

    signature = folder / SIGNATURE_NAME
    if not signature.is_file():
        raise SignatureError(f"the model has no {SIGNATURE_NAME}: nobody says who made it")
    try:
        verifier: Any = Config()  # type: ignore[no-untyped-call]
        verifier.use_elliptic_key_verifier(public_key=public_key)
        verifier.set_hashing_config(_hashing(SIGNATURE_NAME)).verify(folder, signature)
    except Exception as error:  # the library lets out whatever its parsers raise
        raise SignatureError(f"{SIGNATURE_NAME}: is not a signature of this key over these files: {error}") from error


def _hashing(*passed_over: str) -> Any:  # noqa: ANN401 - loaded only where models are signed: it takes a second
    from model_signing.hashing import Config

    # `.gitattributes` is the Hub's own file; the other names of git, which the library passes over, are looked at.
    return Config().set_ignored_paths(  # type: ignore[no-untyped-call]
        paths=[".gitattributes", *passed_over], ignore_git_paths=False
    )


def _require_library() -> None:
    if not is_available():
        raise SettingsError(f"signatures of models: {_HOW_TO_INSTALL}")


@contextlib.contextmanager
def _laid_out(files: Mapping[str, LocalFile]) -> Iterator[Path]:
    """The files as a folder, as they will be downloaded: links beside the model's own, so nothing is copied."""
    weights = files[WEIGHTS_NAME].source
    beside = weights.parents[1] if isinstance(weights, Path) else None
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=beside) as place:
        folder = Path(place) / "model"  # the signature names it, for people
        folder.mkdir()
        for name, item in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(item.source, bytes):
                path.write_bytes(item.source)
            else:
                try:
                    os.link(item.source, path)
                except OSError:
                    shutil.copyfile(item.source, path)
        yield folder
