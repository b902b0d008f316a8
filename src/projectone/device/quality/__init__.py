"""How well the models do here: counted in classes on this device, and one drawn class a week for who allows it."""

from projectone.device.quality.counts import M012_QUALITY as M012_QUALITY
from projectone.device.quality.counts import Counts as Counts
from projectone.device.quality.counts import WeekCounts as WeekCounts
from projectone.device.quality.quality import Payload as Payload
from projectone.device.quality.quality import Quality as Quality
from projectone.device.quality.understanding import Understanding as Understanding
