"""The compose file: its services, limits and networks, as Compose will read them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from selfplay.fleet.fleet import ROLES
from tests.deploy.files import DEPLOY, ROOT, compose, compose_command, program

OURS = (*ROLES, "serve", "tensorboard")


def test_the_services_are_there() -> None:
    services = compose()["services"]
    assert set(services) == {*OURS, "prometheus", "grafana"}
    # One command starts the loop; what it does not need has to be asked for.
    by_default = {name for name, service in services.items() if not service.get("profiles")}
    assert by_default == {*ROLES, "tensorboard"} - {"reanalyzer"}
    assert services["serve"]["profiles"] == ["board"]
    assert services["reanalyzer"]["profiles"] == ["reanalysis"]
    # Any number of workers: nothing that may be there only once.
    assert not {"container_name", "ports", "hostname"} & services["worker"].keys()


def test_the_specification_agrees() -> None:
    checker = program("check-jsonschema")
    if checker is None:
        pytest.skip("check-jsonschema is not installed")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", *sorted(DEPLOY.glob("compose*.yaml"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", OURS)
def test_processes_have_no_more_rights_than_they_need(service: str) -> None:
    found = compose()["services"][service]
    assert found["read_only"] is True
    assert found["tmpfs"] == ["/tmp"]
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert "memory" in found["deploy"]["resources"]["limits"]
    assert not {"privileged", "user", "network_mode", "pid", "ipc"} & found.keys()


@pytest.mark.parametrize("service", ROLES)
def test_all_share_the_run_and_nothing_else(service: str) -> None:
    found = compose({"RUN": "s3://bucket/run"})["services"][service]
    assert found["volumes"] == ["runs:/runs", "cache:/cache", "./games:/games:ro"]
    assert "depends_on" not in found, "the order of starting does not matter"
    assert found["environment"] == {"SELFPLAY_RUN": "s3://bucket/run"}
    # A finished run is not started over and over; a killed process is.
    assert found["restart"] == "on-failure"


def test_settings_are_for_the_trainer_alone_which_dictates_them() -> None:
    services = compose()["services"]
    files = {role: [one["path"] for one in services[role]["env_file"]] for role in ROLES}
    assert files == {
        "trainer": ["store.env", "settings.env"],
        "worker": ["store.env"],
        "evaluator": ["store.env"],
        "reanalyzer": ["store.env"],
    }
    # Neither has to be there, and neither gets into an image or the repository.
    assert not any(one["required"] for role in ROLES for one in services[role]["env_file"])


def test_ports_are_open_to_this_machine_only() -> None:
    services = compose()["services"]
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {
        "serve": ["127.0.0.1:8765:8765"],
        "tensorboard": ["127.0.0.1:6006:6006"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_what_is_named_exists() -> None:
    document = compose()
    for service in document["services"].values():
        if "build" in service:
            context = DEPLOY / service["build"]["context"]
            assert context.resolve() == ROOT
            assert (context / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists()
            else:
                assert source in document["volumes"]


def test_foreign_images_are_pinned() -> None:
    services = compose()["services"]
    services |= compose(file="compose.redis.yaml")["services"]
    foreign = [one["image"] for one in services.values() if "image" in one and "build" not in one]
    assert len(foreign) == 3
    for image in foreign:
        assert re.fullmatch(r"[a-z/]+:v?\d+(\.\d+)+(-\w+)?", image)


def test_everything_has_a_limit() -> None:
    services = compose()["services"]
    services["redis"] = compose(file="compose.redis.yaml")["services"]["redis"]
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert "memory" in limits
        # The trainer alone takes what there is.
        assert ("cpus" in limits) == (name != "trainer")


def test_every_service_is_asked_whether_it_works() -> None:
    services = compose()["services"]
    services["redis"] = compose(file="compose.redis.yaml")["services"]["redis"]
    for name, service in services.items():
        # Those of selfplay's own images are asked by the image: `selfplay health`.
        by_image = name in ROLES and "build" in service
        assert by_image or service["healthcheck"]["test"][0] == "CMD", name
    for name in ("Dockerfile.selfplay", "Dockerfile.trainer"):
        text = (Path(__file__).parents[2] / name).read_text()
        assert re.search(r"^HEALTHCHECK .*(\\\n.*)*health", text, re.MULTILINE)


def test_a_folder_of_games_is_at_the_same_place_everywhere() -> None:
    services = compose({"GAMES": "/home/me/games"})["services"]
    for role in ROLES:
        assert "/home/me/games:/games:ro" in services[role]["volumes"]


def test_the_run_stays_below_what_redis_may_hold() -> None:
    more = compose(file="compose.redis.yaml")["services"]
    assert more.keys() == {*OURS, "redis"}
    runs = {more[service]["environment"]["SELFPLAY_RUN"] for service in OURS}
    assert runs == {"redis://redis:6379/0/run"}
    command = more["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"
    most = float(options["--maxmemory"].removesuffix("gb")) * 2**30
    limit = (
        float(more["redis"]["deploy"]["resources"]["limits"]["memory"].removesuffix("G")) * 2**30
    )
    assert int(more["trainer"]["environment"]["SELFPLAY_STORAGE__MAX_BYTES"]) < 0.75 * most
    assert most < 0.75 * limit


def test_nobody_can_log_into_grafana() -> None:
    settings = compose()["services"]["grafana"]["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert settings["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert settings["GF_AUTH_BASIC_ENABLED"] == "false"
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_the_gpu_file_adds_to_what_is_there() -> None:
    more = compose(file="compose.gpu.yaml")["services"]
    assert more.keys() == {"trainer"}
    assert more["trainer"]["build"] == {"args": {"ACCELERATOR": "cuda12"}}


def test_prometheus_asks_every_process() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    (found,) = job["dns_sd_configs"]
    assert tuple(found["names"]) == tuple(ROLES)
    for role in ROLES:
        assert f"--metrics-port={found['port']}" in compose_command(role)
        assert "--metrics-host=0.0.0.0" in compose_command(role)


def test_grafana_finds_its_dashboard() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "selfplay.yaml").read_text())[
        "providers"
    ]
    mounts = compose()["services"]["grafana"]["volumes"]
    folder = Path(provider["options"]["path"])
    assert f"./grafana/selfplay.json:{folder}/selfplay.json:ro" in mounts
