"""Every error this project raises on purpose: one tree, families by fault, names by the caller's action.

ProjectOneError
    ContractError       the other side said something outside the agreement: do not retry
    ConsentError        no consent for this: ask the person
        KeyDestroyedError       the key went with a withdrawal: nobody reads these bytes again
    DataError           this clip or text cannot be used: skip it, say which and why
    TransportError      the wire failed: try later
        RefusedError        the server answered and said no: read why, do not retry as it is
    StorageError        the disk or the store failed: nothing was acknowledged
        KeyMissingError         a key is not in its store: restore that store from its backup
        KeyServiceError         the key service did not answer: try later
        KeyRenewedError         the key was replaced while something was sealed with it: seal it again
        SealError               sealed bytes were changed, or belong to another key or place
    ArtifactError       a model file is not what its release says: never install it
        DigestMismatchError     the bytes differ from the promised digest
        SignatureError          nobody we trust signed this
        RollbackError           older than what is installed
        ExpiredReleaseError     the release information is too old to act on
    LeaseError          someone else holds the lease, or our token is stale: stop, write nothing
    PostponedError      this is not the moment: nothing was decided, the same call goes on later
    StageError          a pipeline stage failed: quarantine, tell a human
        TrainingError, EvaluationError, ConversionError, RegistryError
        WithdrawnError          a sample was taken back: release nothing made from it
    AssistError         nobody could answer: ask the next one, or say so
    SettingsError       a setting is missing or wrong: fix it and start again
    UsageError          the command line makes no sense: read the usage
"""

from __future__ import annotations

import re


class ProjectOneError(Exception):
    """The root: catch this at a command's door and print it."""


class ContractError(ProjectOneError):
    """The other side said something outside the agreement. Do not retry; one of the two needs an update."""


class ConsentError(ProjectOneError):
    """There is no consent for this. Ask the person; never work around it."""


class KeyDestroyedError(ConsentError):
    """The key of these bytes was destroyed: a consent was withdrawn, or its last sample went. Let them go."""


class DataError(ProjectOneError):
    """This clip or text cannot be used. Skip it, and say which one and why.

    Attributes:
        reason: A short machine-readable code, such as ``"silence"``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TransportError(ProjectOneError):
    """The wire failed. Try again later; nothing is known to have happened."""


class RefusedError(TransportError):
    """The server answered, and the answer is no. Read why; the same request will be refused again.

    Attributes:
        status: The HTTP status of the answer.
        reason: The machine-readable code of the problem, such as ``"consent-missing"``.
    """

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class StorageError(ProjectOneError):
    """The disk or the store failed. Nothing was acknowledged; free space or repair, then repeat."""


class KeyMissingError(StorageError):
    """A key is not in its store, and was not destroyed either. Restore the store of keys from its newest backup."""


class KeyServiceError(StorageError):
    """The service that holds the master key did not answer, or not now. Nothing was lost; try again later."""


class KeyRenewedError(StorageError):
    """What was just sealed was sealed with a key that has been destroyed meanwhile. Seal it again with the new one."""


class SealError(StorageError):
    """Sealed bytes were changed, or belong to another key or another place. Treat them as damaged; use nothing."""


class ArtifactError(ProjectOneError):
    """A model file is not what it should be. Never install it; keep the model in use."""


class DigestMismatchError(ArtifactError):
    """The bytes differ from the promised digest. Discard them; a new download may help."""

    def __init__(self, name: str, *, expected: str, actual: str) -> None:
        super().__init__(f"{name!r}: expected sha256 {expected}, got {actual}")
        self.name = name
        self.expected = expected
        self.actual = actual


class GuardError(ArtifactError):
    """The safety classifier cannot be read, so nothing that it would have read is let through. Never go on without."""


class SignatureError(ArtifactError):
    """Nobody we trust signed these bytes. Refuse them and tell the operator."""


class RollbackError(ArtifactError):
    """This is older than what is installed. Keep what is installed."""


class ExpiredReleaseError(ArtifactError):
    """The release information is too old to act on. Updates stop; transcription goes on."""


class LeaseError(ProjectOneError):
    """Someone else holds the lease, or our token is stale. Stop, and write nothing."""


class PostponedError(ProjectOneError):
    """This is not the moment. Nothing was decided or lost; the same call goes on later."""


class StageError(ProjectOneError):
    """A stage of the pipeline failed. Quarantine its work and tell a human."""


class TrainingError(StageError):
    """Training could not finish: no data, numbers that are not finite, or a checkpoint that does not fit."""


class LostProcessError(TrainingError):
    """Another process of the same run has ended. What it said tells why; all of them must be started again."""


class EvaluationError(StageError):
    """The judgement could not be made: no golden set, an empty one, or one that overlaps the training data."""


class ConversionError(StageError):
    """The packaged model is not the model that was judged. Do not release it."""


class RegistryError(StageError):
    """The Hub did not take the model, or holds something else than what was sent."""


class WithdrawnError(StageError):
    """A sample was taken back while a run worked with it. Release nothing made from it; begin anew without it."""


class AssistError(ProjectOneError):
    """A small model or a language model has no answer. Ask the next one; a template always answers."""


class SettingsError(ProjectOneError):
    """A setting is missing or wrong. The message names it, what was expected and how to set it."""


class UsageError(ProjectOneError):
    """The command line makes no sense. Read the usage.

    Attributes:
        usage: How the command is called, in one or more lines.
    """

    def __init__(self, message: str, *, usage: str = "") -> None:
        super().__init__(message)
        self.usage = usage


def error_document(error: BaseException) -> dict[str, dict[str, str]]:
    """What `--json` prints where a command ends with an error: `{"error": {"kind": ..., "message": ...}}`.

    `kind` is the error's class without "Error", in lower case with hyphens (``"settings"``, ``"digest-mismatch"``);
    ``"interrupted"`` for Ctrl-C and ``"system"`` for what the operating system refused. `reason` is there where the
    error has a code of its own.
    """
    if isinstance(error, ProjectOneError):
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()
    else:
        kind = "interrupted" if isinstance(error, KeyboardInterrupt) else "system"
    reason = getattr(error, "reason", None)
    described = {"kind": kind, "message": str(error) or kind}
    return {"error": described | ({"reason": reason} if isinstance(reason, str) else {})}


def is_json_asked(argv: list[str]) -> bool:
    """Whether a command line asks for JSON, also where it cannot be parsed."""
    options = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in options
