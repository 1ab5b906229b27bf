"""What the page asks of the server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Collection, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Modality
from anatomy_clip.describe.web.engine import EngineError
from anatomy_clip.describe.web.messages import Described, Pictures
from anatomy_clip.describe.web.protect import Protect
from anatomy_clip.describe.web.studies import RequestRefused, Studies, Study

_STATIC = Path(__file__).parent / "static"
_MOST_JSON = 20_000  # bytes of a question
_MOST_LETTERS = 1000  # of a caption
_SWEEP_SECONDS = 60.0


def make_app(studies: Studies, about: dict[str, Any], names: Collection[str], *, addresses: bool = False) -> Starlette:
    """Put the server together.

    Args:
        studies: what it serves.
        about: what the page says of the model and the limits.
        names: see `Protect`.
        addresses: see `Protect`.
    """
    api = _Api(studies, about)
    study = "/api/studies/{key}"
    routes = [
        Route("/api/about", api.about),
        Route("/api/studies", api.create, methods=["POST"]),
        Route(study, api.state),
        Route(study, api.forget, methods=["DELETE"]),
        Route(f"{study}/files", api.receive, methods=["PUT"]),
        Route(f"{study}/describe", api.describe, methods=["POST"]),
        Route(f"{study}/description.json", api.description),
        Route(f"{study}/series/{{series:int}}/slices/{{place:int}}.png", api.picture),
        Route(f"{study}/compare", api.compare, methods=["POST"]),
        Mount("/", StaticFiles(directory=_STATIC, html=True)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Protect, names=names, addresses=addresses)],
        exception_handlers={Refused: _refused, HTTPException: _not_served, ClientDisconnect: _hung_up},
        lifespan=api.lifespan,
    )


class _Api:
    def __init__(self, studies: Studies, about: dict[str, Any]) -> None:
        self._studies = studies
        self._about = about

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                self._studies.forget_idle()

        self._studies.engine.start()
        sweeping = asyncio.create_task(sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await self._studies.close()

    async def about(self, request: Request) -> Response:
        return JSONResponse(self._about)

    async def create(self, request: Request) -> Response:
        modality = (await _question(request)).get("modality") or None
        if modality not in (None, *Modality):
            raise Refused("the modality is unknown", f"give one of {', '.join(Modality)}, or none")
        return JSONResponse({"key": self._studies.create(modality).key}, HTTPStatus.CREATED)

    async def receive(self, request: Request) -> Response:
        study = self._study(request)
        size = request.headers.get("content-length", "")
        try:
            name = unquote(request.headers.get("x-name", ""))
            await self._studies.receive(study, name, int(size) if size.isdigit() else None, request.stream())
        except ClientDisconnect:
            self._studies.forget(study.key)
            raise
        return JSONResponse(study.plain())

    async def describe(self, request: Request) -> Response:
        study = self._study(request)
        self._studies.describe(study)
        return JSONResponse(study.plain(), HTTPStatus.ACCEPTED)

    async def state(self, request: Request) -> Response:
        return JSONResponse(self._study(request).plain())

    async def forget(self, request: Request) -> Response:
        self._studies.forget(request.path_params["key"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def description(self, request: Request) -> Response:
        described = self._described(request)
        headers = {"content-disposition": 'attachment; filename="description.json"'}
        shown = [{"burned_in": burned_in} for burned_in in described.burned_in]
        if "page" in request.query_params:
            return JSONResponse(described.plain | {"shown": shown})
        return Response(json.dumps(described.plain, indent=1), media_type="application/json", headers=headers)

    async def picture(self, request: Request) -> Response:
        described = self._described(request)
        series, place = request.path_params["series"], request.path_params["place"]
        if described.burned_in[_within(series, described.burned_in)]:
            raise RequestRefused(
                HTTPStatus.FORBIDDEN, "text is burned into this picture; it may show the patient's name"
            )
        return Response(_png(_picture(described, series, place)), media_type="image/png")

    async def compare(self, request: Request) -> Response:
        described = self._described(request)
        question = await _question(request)
        captions = _captions(question.get("captions"))
        picture = _picture(described, question.get("series"), question.get("slice"))
        try:
            found = await asyncio.to_thread(self._studies.engine.compare, picture, captions)
        except EngineError as error:
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        return JSONResponse({"cosines": found.cosines, "shares": found.shares})

    def _study(self, request: Request) -> Study:
        return self._studies.find(request.path_params["key"])

    def _described(self, request: Request) -> Described:
        study = self._study(request)
        if study.described is None:
            raise RequestRefused(HTTPStatus.CONFLICT, "this study isn't described yet", "wait until it is described")
        return study.described


async def _question(request: Request) -> dict[str, Any]:
    """A small JSON object.

    Raises:
        RequestRefused: it is too large, or isn't one.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_JSON:
            reason = f"a request may have at most {_MOST_JSON} bytes"
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, "shorten it")
    try:
        question = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the request is not JSON", "give a JSON object") from error
    if not isinstance(question, dict):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "the request is not a JSON object", "give one")
    return question


def _captions(given: Any) -> list[str]:
    fits = isinstance(given, list) and len(given) == 2 and all(isinstance(one, str) and one.strip() for one in given)
    if not fits:
        raise Refused("give two captions", "type both")
    if any(len(one) > _MOST_LETTERS for one in given):
        raise Refused(f"a caption may have at most {_MOST_LETTERS} letters", "shorten it")
    return [one.strip() for one in given]


def _picture(described: Described, series: Any, place: Any) -> Pictures:
    slices = described.pictures[_within(series, described.pictures)]
    picture: Pictures = slices[_within(place, slices)]
    return picture


def _within(place: Any, items: Sequence[Any] | Pictures) -> int:
    if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(items):
        raise RequestRefused(HTTPStatus.NOT_FOUND, "this series or slice does not exist", "count from 0")
    return place


def _png(picture: Pictures) -> bytes:
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, "PNG", compress_level=1)
        return file.getvalue()


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RequestRefused) else HTTPStatus.UNPROCESSABLE_ENTITY
    return JSONResponse({"error": str(error)}, status)


async def _not_served(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    return JSONResponse(
        {"error": f"{HTTPStatus(status).phrase.lower()}; open the address that the server printed"}, status
    )


async def _hung_up(request: Request, error: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it
