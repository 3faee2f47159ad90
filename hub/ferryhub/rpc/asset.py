"""AssetService at the edge: parse, call the catalogue, convert. No decision and no SQL here."""

from __future__ import annotations

from typing import Any

from ferryapi.hub.v1 import asset_service_pb2 as pb
from ferryhub.catalogue import assets
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.paging import PageSeal
from ferryhub.rpc import convert
from ferryhub.rpc.caller import caller


class AssetService:
    """Serves `ferryapi.hub.v1.AssetService`."""

    def __init__(self, database: Database, pages: PageSeal) -> None:
        self._database = database
        self._pages = pages

    async def get_asset(self, request: pb.GetAssetRequest, _ctx: Any) -> pb.Asset:
        """Gets an asset."""
        return convert.asset(await self._database.ask(assets.get, caller(), request.asset_id))

    async def list_assets(self, request: pb.ListAssetsRequest, _ctx: Any) -> pb.ListAssetsResponse:
        """Lists ready assets."""
        actor, query = caller(), ("ListAssets", request.project_id, request.collection_id)
        page = self._pages.page(request.page_size, request.page_token, actor, *query)
        rows, after = await self._database.read(
            assets.listing, actor, page, project_id=request.project_id, collection_id=request.collection_id
        )
        token = self._pages.token(after, actor, *query)
        return pb.ListAssetsResponse(assets=map(convert.asset, rows), next_page_token=token)

    async def update_asset(self, request: pb.UpdateAssetRequest, _ctx: Any) -> pb.Asset:
        """Changes what is known about an asset."""
        changes = _changes(request.asset, request.update_mask.paths)
        row = await self._database.write(
            assets.update_asset, caller(), request.asset.asset_id, changes, etag=request.asset.etag
        )
        return convert.asset(row)


def _changes(asset: pb.Asset, paths: Any) -> dict[str, Any]:
    """The named fields with their new values; a name that no asset has goes along for the domain to refuse."""
    values: dict[str, Any] = {path: getattr(asset, path, None) for path in paths}
    if "tags" in values:
        values["tags"] = list(asset.tags)
    if "metadata" in values:
        values["metadata"] = convert.plain(asset.metadata)
    return values
