ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS builder
ARG TORCH_INDEX=
WORKDIR /srv
COPY requirements.txt requirements-torch.txt ./
# pip compiles to bytecode, which the service cannot write, and goes once it has done its work.
RUN python -m venv .venv \
    && pip="python -m pip --disable-pip-version-check --no-input" \
    && .venv/bin/$pip install --only-binary :all: --require-hashes --no-deps -r requirements.txt \
    && .venv/bin/$pip install --only-binary :all: --require-hashes --no-deps -r requirements-torch.txt \
        ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    && .venv/bin/$pip uninstall --yes pip \
    && rm -rf .venv/lib/python3.11/site-packages/torch/include \
    && rm -f requirements*.txt
COPY LICENSE ./
COPY models models
COPY app app
# A model fresh from training is readable to its owner alone.
RUN python -m compileall -q --invalidation-mode unchecked-hash app && chmod -R a+rX app models LICENSE

FROM ${BASE_IMAGE}
RUN rm -rf /usr/local/lib/python3.11/site-packages/pip* /usr/local/bin/pip* /usr/local/lib/python3.11/ensurepip
COPY --from=builder /srv /srv
WORKDIR /srv
ARG BUILD_REVISION=unknown
ARG BUILD_DATE=
ARG VERSION=
LABEL org.opencontainers.image.title="event-extraction" \
      org.opencontainers.image.description="An HTTP service that turns news text into typed events." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${BUILD_REVISION}" \
      org.opencontainers.image.created="${BUILD_DATE}"
ENV PATH=/srv/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1 \
    EVENTS_HOST=0.0.0.0 \
    EVENTS_BUILD_REVISION=${BUILD_REVISION}
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('EVENTS_PORT', '8000') + '/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "app", "serve"]
