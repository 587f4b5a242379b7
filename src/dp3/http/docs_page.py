"""`/docs`: the page on which the API can be tried out, without anything from other servers."""

from importlib.metadata import distribution
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dp3.http.redirect import redirect

OWN = Path(__file__).parent / "static"

CARRIER = "fastapi-offline"
"""The package that brings the files of Swagger UI; its code is not used."""

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""`Content-Security-Policy`: own scripts and styles in files, small pictures inside of styles, requests to
the API, and nothing else."""


def docs_routes() -> list[Route]:
    """The page, what it loads, and the other address at which it used to be.

    The files are kept in memory, once for all who ask for them, however slowly they read."""
    swagger_ui = Path(str(distribution(CARRIER).locate_file("fastapi_offline/static")))
    html = (OWN / "docs.html").read_bytes()
    assets = {
        "swagger-ui.css": _asset(swagger_ui / "swagger-ui.css", "text/css"),
        "swagger-ui-bundle.js": _asset(swagger_ui / "swagger-ui-bundle.js", "text/javascript"),
        "docs.js": _asset(OWN / "docs.js", "text/javascript"),
    }

    async def page(_: Request) -> Response:
        return Response(html, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def asset(request: Request) -> Response:
        name = request.path_params["file"]
        if name not in assets:
            raise HTTPException(404)
        content, media_type = assets[name]
        return Response(content, media_type=media_type)

    async def other_page(request: Request) -> Response:
        return redirect(request.scope, "/docs")

    return [
        Route("/docs", page, include_in_schema=False),
        Route("/docs/{file}", asset, include_in_schema=False),
        Route("/redoc", other_page, include_in_schema=False),
    ]


def _asset(file: Path, media_type: str) -> tuple[bytes, str]:
    return file.read_bytes(), media_type
