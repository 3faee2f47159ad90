"""TransferService: parse, call the engine, convert. Step 3 of an upload, and its last reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from ferryapi.daemon.v1 import transfer_service_pb2 as pb
from ferryd.core.model import Context, Limits
from ferryd.engine.engine import Engine
from ferryd.rpc import convert
from ferryd.rpc.server import asked_context

_DEFAULT_INTERVAL_S = 0.2
_LEAST_INTERVAL_S = 0.02


class TransferRpc:
    """The methods of TransferService; each name is the rpc's in snake_case."""

    service = pb.DESCRIPTOR.services_by_name["TransferService"]

    def __init__(self, engine: Engine, resolve: Callable[[str], Context]) -> None:
        """`resolve` gives the context of a name; the current one for an empty name."""
        self._engine = engine
        self._resolve = resolve

    async def create_upload(self, request: pb.CreateUploadRequest) -> pb.Transfer:
        transfer = await self._engine.create_upload(
            convert.upload_spec(request),
            client=request.client,
            priority=request.priority,
            request_id=request.request_id,
            context=self._resolve(asked_context()),
        )
        return convert.transfer_message(transfer)

    async def create_download(self, request: pb.CreateDownloadRequest) -> pb.Transfer:
        transfer = await self._engine.create_download(
            convert.download_spec(request),
            client=request.client,
            priority=request.priority,
            request_id=request.request_id,
            context=self._resolve(asked_context()),
        )
        return convert.transfer_message(transfer)

    async def get_transfer(self, request: pb.GetTransferRequest) -> pb.Transfer:
        return convert.transfer_message(await self._engine.get(request.transfer_id))

    async def list_transfers(self, request: pb.ListTransfersRequest) -> pb.ListTransfersResponse:
        page = await self._engine.list(
            page_size=request.page_size,
            page_token=request.page_token,
            states=convert.states(list(request.states)),
        )
        return pb.ListTransfersResponse(
            transfers=[convert.transfer_message(item) for item in page.items],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    async def list_transfer_files(self, request: pb.ListTransferFilesRequest) -> pb.ListTransferFilesResponse:
        page = await self._engine.list_files(
            request.transfer_id, page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListTransferFilesResponse(
            files=[convert.file_message(item) for item in page.items], next_page_token=page.next_page_token
        )

    async def watch_transfers(self, request: pb.WatchTransfersRequest) -> AsyncIterator[pb.WatchTransfersResponse]:
        interval_s = _DEFAULT_INTERVAL_S
        if request.HasField("min_interval"):
            interval_s = max(_LEAST_INTERVAL_S, request.min_interval.ToNanoseconds() / 1e9)
        async for transfer, initial in self._engine.subscribe(list(request.transfer_ids), interval_s):
            yield pb.WatchTransfersResponse(transfer=convert.transfer_message(transfer), initial=initial)

    async def pause_transfer(self, request: pb.PauseTransferRequest) -> pb.Transfer:
        return convert.transfer_message(await self._engine.pause(request.transfer_id))

    async def resume_transfer(self, request: pb.ResumeTransferRequest) -> pb.Transfer:
        return convert.transfer_message(await self._engine.resume(request.transfer_id))

    async def cancel_transfer(self, request: pb.CancelTransferRequest) -> pb.Transfer:
        return convert.transfer_message(await self._engine.cancel(request.transfer_id))

    async def retry_transfer(self, request: pb.RetryTransferRequest) -> pb.Transfer:
        return convert.transfer_message(await self._engine.retry(request.transfer_id))

    async def set_priority(self, request: pb.SetPriorityRequest) -> pb.Transfer:
        return convert.transfer_message(await self._engine.set_priority(request.transfer_id, request.priority))

    async def get_limits(self, _request: pb.GetLimitsRequest) -> pb.Limits:
        return _limits_message(await self._engine.limits())

    async def set_limits(self, request: pb.SetLimitsRequest) -> pb.Limits:
        named = {
            field: getattr(request, field)
            for field in ("bandwidth_bps", "running_transfers", "parts_in_flight")
            if request.HasField(field)
        }
        return _limits_message(await self._engine.set_limits(**named))


def _limits_message(limits: Limits) -> pb.Limits:
    return pb.Limits(
        bandwidth_bps=limits.bandwidth_bps,
        running_transfers=limits.running_transfers,
        parts_in_flight=limits.parts_in_flight,
    )
