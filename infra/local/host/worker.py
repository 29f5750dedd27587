"""Microsoft's worker library, called in this process: it indexes the app and invokes its functions.

The library expects protobuf messages but only reads their attributes, so it is given plain namespaces.
"""

import asyncio
import json
import logging
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

from infra.local.host.settings import FunctionInError

log = logging.getLogger(__name__)

MESSAGES = (
    "WorkerInitResponse",
    "WorkerMetadata",
    "FunctionMetadataResponse",
    "RpcFunctionMetadata",
    "RpcRetryOptions",
    "RpcException",
    "NullableString",
    "NullableBool",
    "NullableDouble",
    "NullableTimestamp",
    "Timestamp",
)


def _message(name: str, **constants: object) -> type[SimpleNamespace]:
    return type(name, (SimpleNamespace,), constants)


SAME_SITE = {name: name for name in ("None", "Lax", "Strict", "ExplicitNone")}
PROTOS = SimpleNamespace(
    **{name: _message(name) for name in MESSAGES},
    StatusResult=_message("StatusResult", Failure=0, Success=1, Cancelled=2),
    RpcHttpCookie=_message("RpcHttpCookie", SameSite=SimpleNamespace(**SAME_SITE)),
    BindingInfo=_message("BindingInfo", **{"in": 0, "out": 1, "inout": 2, "undefined": 0}),
)


class IndexingError(RuntimeError):
    """The app could not be indexed. The message is the worker's."""


class FunctionFailedError(RuntimeError):
    """A function raised or timed out. Both have been logged."""


@dataclass(frozen=True, slots=True)
class Function:
    """An indexed function: its name, the worker's id for it, and its trigger binding."""

    name: str
    id: str
    trigger: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The trigger's type, such as `httpTrigger`."""
        return str(self.trigger["type"])

    @property
    def disabled(self) -> bool:
        """Whether a setting disables the function.

        https://learn.microsoft.com/azure/azure-functions/disable-function
        """
        return os.environ.get(f"AzureWebJobs.{self.name}.Disabled", "").lower() in {"1", "true"}


@dataclass(frozen=True, slots=True)
class Worker:
    """The loaded app. `timeout_seconds` is for each invocation; None means unlimited."""

    functions: tuple[Function, ...]
    timeout_seconds: float | None

    def each[T](self, kind: str, build: Callable[[Function], T]) -> dict[str, T]:
        """Call `build` for each function of this kind; the results by function name.

        As in the real host, a function in error is logged and left out, and the others run.
        """
        triggers: dict[str, T] = {}
        for function in self.functions:
            if function.kind == kind:
                try:
                    triggers[function.name] = build(function)
                except FunctionInError as error:
                    log.error("function in error", extra={"function": function.name, "reason": str(error)})  # noqa: TRY400 - the reason says everything
        return triggers

    async def invoke(
        self, function: Function, argument: Datum, metadata: Mapping[str, Datum] | None = None
    ) -> Datum | None:
        """Run a function with its trigger's argument and metadata. Raises FunctionFailedError."""
        invocation = str(uuid.uuid4())
        inputs = [(function.trigger["name"], argument)]
        ids = {"function": function.name, "invocation_id": invocation}
        try:
            # A synchronous function that times out continues in its thread. The real host ends the whole process.
            async with asyncio.timeout(self.timeout_seconds):
                succeeded, result, _outputs, _error, _trace = await invocation_request_native(
                    invocation, function.id, inputs, dict(metadata or {})
                )
        except TimeoutError:
            log.error("function timed out", extra={**ids, "seconds": self.timeout_seconds})  # noqa: TRY400 - there is no traceback
            raise FunctionFailedError(function.name) from None
        if not succeeded:
            log.error("function failed", extra=ids)
            raise FunctionFailedError(function.name)
        return result


async def load(app: Path, timeout_seconds: float | None) -> Worker:
    """Index the app in this folder, on the running event loop. Raises IndexingError.

    The library has one registry for the process, so a process can load one app only.
    """
    sys.path.insert(0, str(app))
    os.chdir(app)
    runtime.start_threadpool_executor()
    request = SimpleNamespace(
        request=SimpleNamespace(
            worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(app)),
        ),
        properties={"protos": PROTOS, "host": "127.0.0.1"},
    )
    response = await runtime.worker_init_request(request)
    if response.result.status != PROTOS.StatusResult.Success:
        raise IndexingError(response.result.exception.message)
    listing = await runtime.functions_metadata_request(None)
    functions = map(_function, listing.function_metadata_results or ())
    # The order of .NET's `StringComparer.OrdinalIgnoreCase`, in which an underscore follows every letter.
    return Worker(tuple(sorted(functions, key=lambda function: function.name.upper())), timeout_seconds)


def unload() -> None:
    """Wait for running synchronous functions, and end their threads."""
    runtime.stop_threadpool_executor()


def _function(metadata: SimpleNamespace) -> Function:
    bindings = [json.loads(row) for row in metadata.raw_bindings]
    trigger = next(row for row in bindings if row["type"].endswith("Trigger"))
    return Function(metadata.name, metadata.function_id, trigger)
