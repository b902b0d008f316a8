"""What the server released, as its signed metadata says: which release is current, and how far it may go."""

from projectone.device.releases.checked import SignedReleases as SignedReleases
from projectone.device.releases.checked import TrustedReleases as TrustedReleases
