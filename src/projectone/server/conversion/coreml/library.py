"""coremltools, as far as it is used here: untyped, and quiet about what it cannot do on Linux."""

from __future__ import annotations

import logging
from typing import Any

# It warns at import that it cannot run models here; nobody asks it to.
logging.getLogger("coremltools").setLevel(logging.ERROR)
import coremltools  # noqa: E402
from coremltools.converters.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402

__all__ = ["TARGET", "DecodeError", "Program", "Proto", "Value", "coremltools", "mb", "types"]

TARGET = coremltools.target.iOS16
Value = Any  # of a graph that is being written
Program = Any  # a graph, or coremltools' model of one
Proto = Any  # a message of Core ML's format
