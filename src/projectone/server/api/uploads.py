"""A batch of samples in one ZIP: the design's `/upload-training-data`. Devices send single samples."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.uploads import BatchReceipt, UploadReceipt
from projectone.contracts.uploads import Refusal as ItemRefusal
from projectone.errors import ConsentError, ContractError, DataError
from projectone.server.api.answers import contract_response, raw_body
from projectone.server.api.auth import SIGNED_BATCH, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.samples import accept, read_sample
from projectone.server.api.services import Services, services_of
from projectone.server.corpus.archive import Pair, read_pairs
from projectone.server.devices.catalog import Device

router = APIRouter(tags=["samples"])


@router.post(
    endpoints.UPLOAD_TRAINING_DATA,
    response_model=BatchReceipt,
    openapi_extra=raw_body("application/zip"),
    summary="Send many samples in one archive",
)
def upload_training_data(request: Request, call: Annotated[Call, Depends(SIGNED_BATCH)]) -> Response:
    """Pairs of `<sample_id>.json` and its payload; each is kept, or refused with its reason.

    Beside a `Correction` lies `<sample_id>.wav`, beside an `IntentCorrection` `<sample_id>.txt`, its sentence in UTF-8.

    A hostile archive is refused as a whole (422, `archive-*`). Sending the same batch again is harmless.
    """
    services = services_of(request)
    stored: list[UploadReceipt] = []
    refused: list[ItemRefusal] = []
    for pair in read_pairs(call.body):
        try:
            stored.append(_accept_pair(services, pair, call.signer))
        except DataError as error:
            if error.reason.startswith("archive-"):
                raise
            refused.append(_refusal(pair, error.reason, error))
        except ConsentError as error:
            refused.append(_refusal(pair, "consent-missing", error))
        except ContractError as error:
            refused.append(_refusal(pair, "contract", error))
        except Refusal as error:
            refused.append(_refusal(pair, error.reason, error))
    return contract_response(BatchReceipt(stored=tuple(stored), refused=tuple(refused)))


def _accept_pair(services: Services, pair: Pair, device: Device) -> UploadReceipt:
    if pair.metadata is None or pair.payload is None:
        missing = "json" if pair.metadata is None else "wav or .txt"
        raise DataError("pair-incomplete", f"expected {pair.sample_id}.{missing} beside the other half")
    sample = read_sample(pair.metadata)
    if sample.sample_id != pair.sample_id:
        raise DataError("sample-id", f"expected sample {pair.sample_id}, the metadata names {sample.sample_id}")
    receipt, _ = accept(services, sample, pair.payload, device)
    return receipt


def _refusal(pair: Pair, reason: str, error: Exception) -> ItemRefusal:
    return ItemRefusal(item=str(pair.sample_id), reason=reason, detail=str(error).encode(errors="replace").decode())
