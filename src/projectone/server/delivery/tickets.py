"""Tickets: a device's right to report on a release, given to a device that is known, and spent by nobody known.

The key of each release lies in a file of its own below the keys. The table says that a device has had its ticket; what
it said with it cannot be found from there (`contracts/blind_signatures`).
"""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy import Column, Engine, Integer, String, Table, delete, insert, select

from projectone.contracts.base import canonical_json, is_name, sha256_hex
from projectone.contracts.blind_signatures import rsa_key_text, sign_blinded
from projectone.contracts.health import TicketAnswer, TicketRequest
from projectone.errors import DataError, SettingsError
from projectone.server.database import METADATA, writing
from projectone.storage.files import make_folder, write_atomically

HEALTH_TICKETS = Table(
    "health_tickets",
    METADATA,
    Column("channel", String(96), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("side", String(8), primary_key=True),  # who is compared with others first may have its own turn later
    Column("device_sha256", String(64), primary_key=True),
    # The same request again gets the same answer: the first may have been lost on its way.
    Column("blinded_sha256", String(64), nullable=False),
    # A row's hidden number would tell who asked first, second, ...; reports stand in that order, too.
    sqlite_with_rowid=False,
)

FOLDER = "tickets"
"""Below the folder of keys."""

_N_BITS = 2048


class TicketKeys:
    """The private halves, each named after its public one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, rsa.RSAPrivateKey] = {}

    def new(self) -> str:
        """Make a key; gives its public half, as it stands in a release's plan."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=_N_BITS)
        public = rsa_key_text(key.public_key())
        make_folder(self._folder)
        self._folder.chmod(0o700)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomically(self._path(public), pem)
        self._path(public).chmod(0o600)
        return public

    def find(self, public: str) -> rsa.RSAPrivateKey:
        """The private half.

        Raises:
            SettingsError: if it is not here.
        """
        try:
            key = load_pem_private_key(self._path(public).read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise SettingsError(
                "tickets: the key of this release is not below keys/; nobody can report on it"
            ) from error
        assert isinstance(key, rsa.RSAPrivateKey), "no other kind is written here"
        return key

    def sign(self, public: str, blinded: str) -> str:
        """The signature over what somebody blinded, by the private half (base64).

        Raises:
            ContractError: if it is no number that can be signed.
            SettingsError: if the key is not here.
        """
        key = self._loaded.get(public) or self.find(public)
        self._loaded = {public: key}  # only the newest one is asked for again and again
        return sign_blinded(key, blinded)

    def remove(self, public: str) -> None:
        """Destroy a private half that nobody asks for any more; nothing if it is gone."""
        self._path(public).unlink(missing_ok=True)

    def _path(self, public: str) -> Path:
        return self._folder / f"{sha256_hex(base64.b64decode(public))[:32]}.pem"


class Tickets:
    """Gives each device one ticket for a release, and one as a control."""

    def __init__(self, engine: Engine, keys: TicketKeys) -> None:
        self._engine = engine
        self._keys = keys

    def give(self, request: TicketRequest, device_id: str, ticket_key: str) -> TicketAnswer:
        """Sign what a device blinded.

        Raises:
            DataError: `ticket-given` if it had another one signed before, for the same side.
            ContractError: if it is no number that can be signed.
            SettingsError: if the key is not here.
        """
        assert is_name(device_id), "the policy lets in only devices that are known"
        answer = TicketAnswer(blind_signature=self._keys.sign(ticket_key, request.blinded))
        row, where = HEALTH_TICKETS.c, canonical_json([request.channel, request.seq, device_id])
        device, blinded = sha256_hex(where), sha256_hex(request.blinded.encode())
        with writing(self._engine) as connection:
            release = (row.channel == request.channel) & (row.seq == request.seq)
            mine = release & (row.side == request.side) & (row.device_sha256 == device)
            known = connection.execute(select(row.blinded_sha256).where(mine)).scalar()
            if known is None:
                values = {"channel": request.channel, "seq": request.seq, "side": request.side}
                connection.execute(
                    insert(HEALTH_TICKETS).values(**values, device_sha256=device, blinded_sha256=blinded)
                )
            elif known != blinded:
                raise DataError("ticket-given", f"release {request.seq}: this device has had its ticket")
        return answer

    def forget(self, channel: str, below_seq: int) -> None:
        """Drop who had tickets for releases before this one."""
        with writing(self._engine) as connection:
            old = (HEALTH_TICKETS.c.channel == channel) & (HEALTH_TICKETS.c.seq < below_seq)
            connection.execute(delete(HEALTH_TICKETS).where(old))
