"""The application and its lifespan."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import py3langid
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware

from app.api import docs, openapi, problems, routes
from app.api.middleware import RequestContext
from app.serving.cpus import available_cpus, number_type
from app.serving.keys import Keys
from app.serving.logs import configure_logging
from app.serving.memory import settle, tune_malloc
from app.serving.protocols import Extractor, Observe
from app.serving.server import LAST_ANSWERS_S, ProblemProtocol, Server
from app.serving.service import Load, Service
from app.settings import VERSION, Settings, shown

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 75  # longer than the 60 of common gateways, so that it is they who close an idle connection


def load_extractor(settings: Settings, observe: Observe) -> Extractor:
    """The model of ``settings.model_folder``; OSError or ValueError where it is missing or broken."""
    # Imported late: torch takes seconds, for which `/livez` and `--help` need not wait.
    with ThreadPoolExecutor(1) as beside:
        beside.submit(py3langid.classify, "")  # unpacks its model, meanwhile
        import torch

        from app.extraction.encode import Dtype, UnfitNumberTypeError
        from app.extraction.extractor import Extractor as ModelExtractor

        def load(dtype: Dtype) -> ModelExtractor:
            loaded = ModelExtractor.load(
                settings.model_folder, dtype, observe, settings.encoder_threads, settings.early_exit
            )
            torch.set_num_threads(1)  # from here on its threads are the parallelism
            settle()
            return loaded

        if settings.dtype != "auto":
            return load(settings.dtype)
        try:
            return load(number_type())
        except UnfitNumberTypeError as error:
            logger.warning("float32 is taken instead: %s", error)
            return load("float32")


def create_app(settings: Settings | None = None, load: Load = load_extractor) -> FastAPI:
    """The ASGI application, with its Service as ``app.state.service``; its lifespan loads the model meanwhile."""
    settings = settings or Settings()
    service = Service(settings, load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(service.start())
        yield
        loading.cancel()
        await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="Event extraction",
        version=VERSION,
        summary="News text in, typed events out.",
        description=openapi.DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
        middleware=[Middleware(RequestContext, service=service)],
        exception_handlers=problems.HANDLERS,
        docs_url=None,  # served by `docs`, with no foreign host
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        # Spans and records of the framework's own could carry what an article says.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    app.state.keys = Keys(settings.api_keys_file) if settings.api_keys_file else None
    app.include_router(routes.work)
    app.include_router(routes.probes)
    docs.add_to(app)
    openapi.add_to(app, settings)
    return app


def create_server(app: FastAPI, settings: Settings) -> Server:
    """The server of an application, not yet running."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=ProblemProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
    )
    return Server(config, app.state.service.lifecycle, settings.drain_grace_s)


def serve(settings: Settings, load: Load = load_extractor) -> int:
    """Serves until SIGTERM or SIGINT; the exit status: 0 after a drain, 1 where the model or the address failed."""
    configure_logging(settings.log_level)
    tune_malloc()
    logger.info(
        "starting",
        extra={
            "version": VERSION,
            "revision": settings.build_revision,
            "cpus": available_cpus(),
            "number_type": number_type(),
            "settings": shown(settings),
        },
    )
    app = create_app(settings, load)
    service: Service = app.state.service
    try:
        create_server(app, settings).run()
    except SystemExit:  # uvicorn could not listen, and has logged why
        return 1
    return 1 if service.lifecycle.state == "failed" else 0
