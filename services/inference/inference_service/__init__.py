"""What is in a picture."""

from __future__ import annotations

import os

# onnxruntime reports to its makers over the network, with an id that it leaves on the disk, unless
# this stands when it is loaded: in workers, in the process of the models, wherever that comes first
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
