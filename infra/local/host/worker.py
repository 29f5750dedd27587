"""Microsoft's worker library, driven in this process: it indexes the app and invokes its functions.

The library reads attributes only, so plain namespaces stand in for the protobuf messages that it was written for.
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
    """The app could not be indexed; the message is the worker's."""


class FunctionFailedError(RuntimeError):
    """A function raised, or ran into its time limit; both are in the log already."""


@dataclass(frozen=True, slots=True)
class Function:
    """One indexed function: its name, the worker's id for it, and the binding that triggers it."""

    name: str
    identity: str
    trigger: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What triggers it, such as `httpTrigger`."""
        return str(self.trigger["type"])

    @property
    def disabled(self) -> bool:
        """Whether a setting switches it off (https://learn.microsoft.com/azure/azure-functions/disable-function)."""
        return os.environ.get(f"AzureWebJobs.{self.name}.Disabled", "").lower() in {"1", "true"}


@dataclass(frozen=True, slots=True)
class Worker:
    """The loaded app; `time_limit` in seconds is for each invocation, None for no limit."""

    functions: tuple[Function, ...]
    time_limit: float | None

    def each[T](self, kind: str, build: Callable[[Function], T]) -> dict[str, T]:
        """Make something of each function of this kind, by name.

        A function that is in error is logged and left out, and the others run, as in the real host.
        """
        made: dict[str, T] = {}
        for function in self.functions:
            if function.kind == kind:
                try:
                    made[function.name] = build(function)
                except FunctionInError as error:
                    log.error("function in error", extra={"function": function.name, "reason": str(error)})  # noqa: TRY400 - the reason is the whole story
        return made

    async def invoke(
        self, function: Function, argument: Datum, metadata: Mapping[str, Datum] | None = None
    ) -> Datum | None:
        """Run a function with its trigger's argument and what is known about that. Raises FunctionFailedError."""
        invocation = str(uuid.uuid4())
        inputs = [(function.trigger["name"], argument)]
        ids = {"function": function.name, "invocation_id": invocation}
        try:
            # A synchronous function that ran out of time goes on in its thread: only the real host, which ends the
            # whole process, can stop that.
            async with asyncio.timeout(self.time_limit):
                ok, result, _outputs, _error, _trace = await invocation_request_native(
                    invocation, function.identity, inputs, dict(metadata or {})
                )
        except TimeoutError:
            log.error("function timed out", extra={**ids, "seconds": self.time_limit})  # noqa: TRY400 - no stack to show
            raise FunctionFailedError(function.name) from None
        if not ok:
            log.error("function failed", extra=ids)
            raise FunctionFailedError(function.name)
        return result


async def load(app: Path, time_limit: float | None) -> Worker:
    """Index the app in this folder, on the running loop and for the life of this process. Raises IndexingError.

    The library keeps one registry for the process, so there is one app in a process.
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
    answer = await runtime.worker_init_request(request)
    if answer.result.status != PROTOS.StatusResult.Success:
        raise IndexingError(answer.result.exception.message)
    listing = await runtime.functions_metadata_request(None)
    found = map(_function, listing.function_metadata_results or ())
    # The order of .NET's `StringComparer.OrdinalIgnoreCase`, in which an underscore comes after every letter.
    return Worker(tuple(sorted(found, key=lambda one: one.name.upper())), time_limit)


def unload() -> None:
    """Wait for synchronous functions that still run, and give their threads back."""
    runtime.stop_threadpool_executor()


def _function(metadata: SimpleNamespace) -> Function:
    bindings = [json.loads(row) for row in metadata.raw_bindings]
    trigger = next(row for row in bindings if row["type"].endswith("Trigger"))
    return Function(metadata.name, metadata.function_id, trigger)
