"""Who became known together: people of one network in one hour, without keeping what network that was.

Fifty accounts of one person are mostly made at once and from one place. A cluster is a keyed digest of the network (24
bits of an IPv4 address, 48 of an IPv6 one) under a salt that is drawn for the hour and destroyed with the first
enrolment after it: from then on nobody can say which network a cluster was, and the same network has another name in
every hour. Addresses that are not public are no network: behind a proxy that hides its callers everybody would be one.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from datetime import datetime

from sqlalchemy import Column, Engine, Integer, String, Table, delete, insert, select

from projectone.server.database import METADATA, reading, writing

CLUSTERS = Table(
    "enrolment_clusters",
    METADATA,
    Column("contributor_id", String(96), primary_key=True),
    Column("cluster", String(32), nullable=False),
)
SALTS = Table(
    "enrolment_salts",
    METADATA,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
)

_IPV4_BITS, _IPV6_BITS = 24, 48
_HOUR_S = 3600


class Clusters:
    """Which people were enrolled from one network within one hour."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, contributor_id: str, address: str, now: datetime) -> None:
        """Put a person who was just enrolled into a cluster; the first one stays."""
        network = network_of(address)
        if network is None:
            return
        salt = self._salt(int(now.timestamp()) // _HOUR_S)
        cluster = hmac.new(bytes.fromhex(salt), network.encode(), hashlib.sha256).hexdigest()[:32]
        known = select(CLUSTERS.c.cluster).where(CLUSTERS.c.contributor_id == contributor_id)
        with writing(self._engine) as connection:
            if connection.execute(known).scalar_one_or_none() is None:
                connection.execute(insert(CLUSTERS).values(contributor_id=contributor_id, cluster=cluster))

    def of_each(self) -> dict[str, str]:
        """Contributors to their clusters; who came from no public network has none."""
        with reading(self._engine) as connection:
            return {person: cluster for person, cluster in connection.execute(select(CLUSTERS))}

    def _salt(self, hour: int) -> str:
        """This hour's; those of other hours are gone with it."""
        query = select(SALTS.c.salt).where(SALTS.c.hour == hour)
        with writing(self._engine) as connection:
            known = connection.execute(query).scalar_one_or_none()
            if known is None:
                known = secrets.token_hex(32)
                connection.execute(delete(SALTS).where(SALTS.c.hour < hour))
                connection.execute(insert(SALTS).values(hour=hour, salt=known))
        return known


def network_of(address: str) -> str | None:
    """The network of a public address; None for any other, and for what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if not found.is_global:
        return None
    bits = _IPV4_BITS if found.version == 4 else _IPV6_BITS
    return str(ipaddress.ip_network((found, bits), strict=False))
