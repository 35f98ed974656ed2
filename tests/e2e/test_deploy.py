"""The settings and the unit in deploy/ fit the binary. check_deploy says whether they are well formed."""

import re
import tomllib

import yaml

from cairn import ROOT, Cairn, event

UNIT = ROOT / "deploy/systemd/cairn.service"
SETTINGS = ROOT / "deploy/systemd/cairn.toml"
COMPOSE = ROOT / "deploy/compose/compose.yaml"


def test_the_settings_beside_the_unit_are_understood(tmp_path):
    """The data folder and the port alone are moved elsewhere, by flags."""
    with Cairn(tmp_path / "data", arguments=["--config", SETTINGS]) as cairn:
        assert cairn.post(event("one"))["accepted"] == 1
        assert cairn.stop() == 0


def test_the_unit_and_its_settings_speak_of_the_same_folder():
    unit = dict(line.split("=", 1) for line in UNIT.read_text().splitlines()
                if re.match(r"(ExecStart|StateDirectory|ConfigurationDirectory)=", line))
    settings = tomllib.loads(SETTINGS.read_text())
    assert settings["data"]["dir"] == f"/var/lib/{unit['StateDirectory']}"
    assert f"--config /etc/{unit['ConfigurationDirectory']}/{SETTINGS.name}" in unit["ExecStart"]


def test_compose_is_of_one_piece():
    """Cairn is told of the services, ports, topic and bucket that the others have."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    told = dict(flag.removeprefix("--").split("=", 1) for flag in services["cairn"]["command"] if "=" in flag)
    kafka = services["kafka"]["environment"]
    assert f"INSIDE://{told['kafka']}" in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"--topic={told['topic']}" in services["topic"]["command"]
    assert f"--bootstrap-server={told['kafka']}" in services["topic"]["command"]
    assert services["topic"]["image"] == services["kafka"]["image"]
    pom = (ROOT / "deploy/kafka/pom.xml").read_text()
    assert f"<kafka.version>{services['kafka']['image'].split(':')[1]}</kafka.version>" in pom
    store = (COMPOSE.parent / services["s3"]["build"]["dockerfile"]).read_text()
    assert f"/data/{told['store'].removeprefix('s3://').split('/')[0]} " in store
    version = re.search(r"^version=(.*)$", (ROOT / "deploy/scripts/s3server").read_text(), re.M).group(1)
    assert f"versitygw@{version}\n" in store
    port = services["cairn"]["environment"]["AWS_ENDPOINT_URL_S3"].rsplit(":", 1)[1]
    assert f"--port :{port} " in store
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert all(services["cairn"]["environment"][k] == services["s3"]["environment"][k] for k in keys)
    # Published on this machine alone: all of it is plain text.
    assert all(port.startswith("127.0.0.1:") for s in services.values() for port in s.get("ports", []))
