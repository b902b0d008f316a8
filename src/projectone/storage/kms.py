"""Master keys in AWS KMS: they never leave it, and who may wrap or unwrap is for its policies to say."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from projectone.errors import KeyMissingError, KeyServiceError, SealError, SettingsError

_TIMEOUT_S = 5
_ATTEMPTS = 2
# The shortest that the service allows: until then a key that was retired could be called back.
PENDING_DAYS: Final = 7
_GONE = {"NotFoundException", "KMSInvalidStateException", "DisabledException"}
_CHANGED = {"InvalidCiphertextException", "IncorrectKeyException"}
_NOT_ALLOWED = {"AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId"}


class KmsKeys:
    """`MasterKeys` that are keys of AWS KMS. Each wrap and each unwrap is a request to it.

    What is wrapped is bound to its context by KMS's own encryption context. Credentials come from where boto3 looks
    for them (role of the machine, profile, environment); `serve` needs `kms:Encrypt` alone.

    Args:
        region: Such as `eu-central-1`.
        endpoint: Instead of the region's own, as inside a private network.
        can_unwrap: Whether this process may ask to unwrap.

    Raises:
        SettingsError: if the extra `kms` is not installed, or the region is none.
    """

    kind = "kms-"

    def __init__(self, region: str, *, endpoint: str | None = None, can_unwrap: bool = True) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise SettingsError("master keys in AWS KMS need pip install 'projectone[kms]'") from error
        config = Config(
            connect_timeout=_TIMEOUT_S,
            read_timeout=_TIMEOUT_S,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        )
        try:
            self._client = boto3.client("kms", region_name=region, endpoint_url=endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise SettingsError(f"AWS KMS: {error}") from error
        self._can_unwrap = can_unwrap

    def create(self) -> str:
        """A new symmetric key; gives its id.

        Raises:
            KeyServiceError: if KMS is out of reach; nothing was made that anything depends on.
        """
        made = self._ask("create_key", Description="ProjectOne: wraps the keys of consents")
        return f"{self.kind}{made['KeyMetadata']['KeyId']}"

    def wrap(self, master_id: str, secret: bytes, *, context: bytes) -> bytes:
        """A secret that only `unwrap` with the same key and context gives back.

        Raises:
            KeyMissingError: if KMS has no such key, or it is to be deleted.
            KeyServiceError: if KMS is out of reach; try again.
        """
        answer = self._ask("encrypt", master_id, Plaintext=secret, EncryptionContext=_bound(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, master_id: str, wrapped: bytes, *, context: bytes) -> bytes:
        """The secret again.

        Raises:
            SealError: if `wrapped` is not what this key wrapped under this context.
            SettingsError: if this process may not.
            KeyMissingError, KeyServiceError: as `wrap`.
        """
        if not self._can_unwrap:
            raise SettingsError("this process wraps keys and opens none; ask the worker or a command")
        answer = self._ask("decrypt", master_id, CiphertextBlob=wrapped, EncryptionContext=_bound(context))
        return bytes(answer["Plaintext"])

    def destroy(self, master_id: str) -> None:
        """Have KMS delete a key: from now on it wraps and unwraps nothing, and in seven days it is gone for good.

        Raises:
            KeyServiceError: if KMS is out of reach; try again.
        """
        try:
            self._ask("schedule_key_deletion", master_id, PendingWindowInDays=PENDING_DAYS)
        except KeyMissingError:
            return  # gone, or on its way

    def _ask(self, operation: str, master_id: str | None = None, **values: object) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        if master_id is not None:
            values["KeyId"] = master_id.removeprefix(self.kind)
        what = f"master key {master_id}" if master_id else "AWS KMS"
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**values)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _GONE:
                raise KeyMissingError(f"{what}: KMS has no such key in use ({code})") from error
            if code in _CHANGED:
                raise SealError(f"{what}: these bytes are not what it wrapped in this place ({code})") from error
            if code in _NOT_ALLOWED:
                raise SettingsError(
                    f"{what}: KMS lets this process not {operation} ({code}): see its policies"
                ) from error
            raise KeyServiceError(f"{what}: KMS refused for now ({code}); nothing was lost, try again") from error
        except BotoCoreError as error:  # no route, no answer in time, no credentials
            told = f"{what}: KMS is out of reach ({type(error).__name__}); nothing was lost, try again"
            raise KeyServiceError(told) from error
        return answer


def _bound(context: bytes) -> dict[str, str]:
    """KMS writes the encryption context into its log, so it gets a digest: no log is to name a consent."""
    return {"projectone": base64.b64encode(hashlib.sha256(context).digest()).decode()}
