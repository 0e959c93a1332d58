"""The manifests: valid by Kubernetes' schemas, and in accord with each other and with the service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from conftest import running
from manifests import KUBERNETES, Manifest, base, build, env_file, files, load

from app.api.schemas import LONGEST_TEXT
from app.serving.engine import CLOSE_TIMEOUT_S
from app.serving.server import LAST_ANSWERS_S
from app.serving.tracing import CLOSE_TIMEOUT_S as TRACES_CLOSE_TIMEOUT_S
from app.settings import VERSION, Settings

SCHEMAS = kubernetes_validate.latest_version()
OF_THE_OPERATOR = ("ServiceMonitor", "PrometheusRule")  # whose schemas are not Kubernetes' own
BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
TOKEN_BYTES = 4000  # of vectors, as the setting of the queue's bound says
PROCESS_BYTES = 900 * 2**20  # for the interpreter, its libraries, the model and its passes: 848 MB were measured


def in_bytes(quantity: str) -> int:
    return int(quantity[:-2]) * BYTES[quantity[-2:]]


def pod(deployment: Manifest) -> dict[str, Any]:
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def container(deployment: Manifest) -> dict[str, Any]:
    [it] = pod(deployment)["containers"]
    assert isinstance(it, dict)
    return it


def settings_of(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    """As the service reads them; fails where a variable is none of a setting."""
    unknown = set(environment) - {f"EVENTS_{name.upper()}" for name in Settings.model_fields}
    assert not unknown
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def check_schema(manifest: Manifest) -> None:
    if manifest["kind"] not in OF_THE_OPERATOR:
        kubernetes_validate.validate(manifest, SCHEMAS, strict=True)


@pytest.mark.parametrize("path", files("resources"), ids=lambda path: str(path.relative_to(KUBERNETES)))
def test_file_is_valid(path: Path) -> None:
    documents = load(path)
    assert documents
    for document in documents:
        check_schema(document)


def test_every_file_is_used() -> None:
    used = {*files("resources"), *files("patches")}
    written = {path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert written == used


def test_settings_exist_and_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(monkeypatch, env_file())
    assert settings.host == "0.0.0.0"  # noqa: S104
    [port] = container(base("Deployment"))["ports"]
    assert port["containerPort"] == settings.port


async def _paths() -> dict[str, Any]:
    async with running() as service:
        paths: dict[str, Any] = service.app.openapi()["paths"]
        return paths


@pytest.mark.anyio
async def test_probes_and_scrapes_ask_paths_that_exist() -> None:
    paths = await _paths()
    probed = container(base("Deployment"))
    ports = {port["name"] for port in probed["ports"]}
    asked = {}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = probed[probe]["httpGet"]
        assert get["port"] in ports
        asked[probe] = get["path"]
    assert asked == {"startupProbe": "/readyz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    [endpoint] = base("ServiceMonitor")["spec"]["endpoints"]
    assert all("get" in paths[path] for path in (*asked.values(), endpoint["path"]))


def test_drain_ends_before_the_pod_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(monkeypatch, env_file())
    deployment = base("Deployment")
    sleep = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
    longest = sleep + settings.drain_grace_s + LAST_ANSWERS_S + CLOSE_TIMEOUT_S + TRACES_CLOSE_TIMEOUT_S
    assert longest < pod(deployment)["terminationGracePeriodSeconds"]


def test_what_the_bounds_allow_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(monkeypatch, env_file())
    resources = container(base("Deployment"))["resources"]
    assert resources["requests"] == resources["limits"]
    # One article is admitted by itself, however long; a sign or a letter may be a token.
    bounded = max(settings.max_queued_tokens, LONGEST_TEXT) * TOKEN_BYTES + settings.max_buffered_bytes
    assert bounded + PROCESS_BYTES < in_bytes(resources["limits"]["memory"])


def test_pod_meets_the_restricted_standard() -> None:
    deployment = base("Deployment")
    of_pod, of_container = pod(deployment)["securityContext"], container(deployment)["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["allowPrivilegeEscalation"] is False
    assert of_container["readOnlyRootFilesystem"] is True
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert pod(deployment)["automountServiceAccountToken"] is False
    dockerfile = (KUBERNETES.parents[1] / "Dockerfile").read_text()
    assert f"USER {of_pod['runAsUser']}:{of_pod['runAsGroup']}\n" in dockerfile


def check_references(manifests: list[Manifest]) -> None:
    """Names and labels by which manifests point at each other."""
    by_kind: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_kind.setdefault(manifest["kind"], []).append(manifest)
    [deployment] = by_kind["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = [service["spec"]["selector"] for service in by_kind["Service"]]
    selectors += [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [it["labelSelector"]["matchLabels"] for it in pod(deployment)["topologySpreadConstraints"]]
    selectors += [it["spec"]["selector"]["matchLabels"] for it in by_kind["PodDisruptionBudget"]]
    selectors += [it["spec"]["podSelector"]["matchLabels"] for it in by_kind["NetworkPolicy"]]
    assert all(selector and selector.items() <= labels for selector in selectors)
    [account] = by_kind["ServiceAccount"]
    assert pod(deployment)["serviceAccountName"] == account["metadata"]["name"]
    assert account["automountServiceAccountToken"] is False
    [autoscaler] = by_kind["HorizontalPodAutoscaler"]
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    # One of the Services, or each pod would be scraped twice.
    for monitor in by_kind.get("ServiceMonitor", []):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        [scraped] = [it for it in by_kind["Service"] if wanted <= it["metadata"].get("labels", {}).items()]
        assert {it["port"] for it in monitor["spec"]["endpoints"]} <= {it["name"] for it in scraped["spec"]["ports"]}
    if settings := by_kind.get("ConfigMap"):
        [source] = container(deployment)["envFrom"]
        assert source["configMapRef"]["name"] == settings[0]["metadata"]["name"]


def test_base_and_monitoring_agree() -> None:
    folders = (KUBERNETES / "base", KUBERNETES / "components" / "monitoring")
    check_references([document for path in files("resources") if path.parent in folders for document in load(path)])


@pytest.mark.parametrize("folder", ["base", "overlays/example"])
def test_built_manifests_are_valid_and_agree(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = build(KUBERNETES / folder)
    for manifest in manifests:
        check_schema(manifest)
    check_references(manifests)
    [config] = [manifest for manifest in manifests if manifest["kind"] == "ConfigMap"]
    assert config["data"].items() >= (env_file().items() if folder == "base" else {("EVENTS_ROOT_PATH", "/events")})
    settings_of(monkeypatch, config["data"])


def test_example_is_a_whole_installation() -> None:
    manifests = build(KUBERNETES / "overlays" / "example")
    [namespace] = [manifest["metadata"] for manifest in manifests if manifest["kind"] == "Namespace"]
    for manifest in manifests:
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == namespace["name"]
    [deployment] = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
    assert container(deployment)["image"].endswith(f"/event-extraction:{VERSION}")
    assert {manifest["kind"] for manifest in manifests} >= {*OF_THE_OPERATOR, "NetworkPolicy"}


def test_scaling_by_the_queue_builds(tmp_path: Path) -> None:
    [autoscaler] = [it for it in built_with("queue-depth", tmp_path) if it["kind"] == "HorizontalPodAutoscaler"]
    check_schema(autoscaler)
    spec = autoscaler["spec"]
    assert [metric["type"] for metric in spec["metrics"]] == ["Resource", "Pods"]
    assert spec["maxReplicas"] > spec["minReplicas"]


def built_with(component: str, folder: Path) -> list[Manifest]:
    """The base with a component."""

    def at(name: str) -> str:
        return os.path.relpath(KUBERNETES / name, folder.resolve())

    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [{at('base')}]\ncomponents: [{at(f'components/{component}')}]\n"
    )
    return build(folder)


def test_tracing_lets_out_to_the_collector_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = built_with("tracing", tmp_path)
    for manifest in manifests:
        check_schema(manifest)
    [config] = [it["data"] for it in manifests if it["kind"] == "ConfigMap"]
    collector = urlsplit(settings_of(monkeypatch, config).trace_endpoint)
    assert collector.hostname is not None
    assert config.items() >= env_file().items()
    [policy] = [it["spec"] for it in manifests if it["kind"] == "NetworkPolicy"]
    assert policy["ingress"] == base("NetworkPolicy")["spec"]["ingress"]
    dns, traces = policy["egress"]
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    [namespace] = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in traces["to"]]
    assert collector.hostname.endswith(f".{namespace}.svc.cluster.local")
    assert [port["port"] for port in traces["ports"]] == [collector.port]


def test_network_lets_in_and_out_only_what_is_named() -> None:
    spec = base("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == []
    [rule] = spec["ingress"]
    names = {peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in rule["from"]}
    assert names == {"gateway", "monitoring"}
    assert [port["port"] for port in rule["ports"]] == ["http"]
