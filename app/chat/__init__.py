"""The chat library is imported from here on, without the telemetry SDK that one of its dependencies imports.

That SDK costs half a second and 25 MB at every start, and is used only by a cloud service that we never call.
"""

import sys
from types import ModuleType


def _leave_out_telemetry() -> None:
    package, sdk = ModuleType("traceloop"), ModuleType("traceloop.sdk")
    sdk.Traceloop = type("Traceloop", (), {})  # type: ignore[attr-defined]  # what is imported by name
    package.sdk = sdk  # type: ignore[attr-defined]  # as an import would set it
    sys.modules.setdefault("traceloop", package)
    sys.modules.setdefault("traceloop.sdk", sdk)


_leave_out_telemetry()
