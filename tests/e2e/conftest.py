"""Servers for the tests, and the rule that nothing is left out."""

import faulthandler
import itertools
import os

import pytest

import independent
from broker import Broker
from cairn import TESTDATA, Cairn
from stores import Versitygw

faulthandler.enable()
# Nothing between a test and its own servers.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

# The account of the ActionTrail events, which name none.
ACTIONTRAIL_ACCOUNT = "5558349267652842"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """A test that was left out counts as one that failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    left_out = [r for kind in ("skipped", "xfailed", "xpassed") for r in reporter.stats.get(kind, [])]
    if left_out and exitstatus == 0:
        reporter.write_line(f"{len(left_out)} tests were left out: that is a failure here", red=True)
        session.exitstatus = 1


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """New folders for servers that outlive one test."""
    number = itertools.count(1)
    return lambda name: tmp_path_factory.mktemp(f"{name}{next(number)}") / "data"


@pytest.fixture
def cairn(tmp_path):
    """A server of this test's own, new and empty."""
    with Cairn(tmp_path / "data") as server:
        yield server
        server.stop()


@pytest.fixture(scope="module")
def shared(folders):
    """A server that the tests of one file share; they keep apart by event id and account."""
    with Cairn(folders("shared")) as server:
        yield server
        server.stop()


@pytest.fixture(scope="session")
def kafka(folders):
    """The broker that tests share which do it no harm: topics of their own, and nothing else."""
    with Broker(folders("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def secure_kafka(folders):
    """A shared broker that also has the listeners sasl, tls, mtls and sasl_tls."""
    with Broker(folders("secure-kafka"), secure=True) as broker:
        yield broker


@pytest.fixture
def own_kafka(folders):
    """A broker of this test's own, to stop, kill, pause and configure."""
    with Broker(folders("own-kafka")) as broker:
        yield broker


@pytest.fixture
def topic(kafka):
    """A new topic with one partition on the shared broker."""
    return kafka.create_topic()


@pytest.fixture
def versitygw(folders):
    """An S3 server of this test's own that keeps its objects over stop and kill, with one empty bucket."""
    with Versitygw(folders("versitygw")) as store:
        yield store


@pytest.fixture(scope="session")
def real_events():
    """Every event of testdata/cloudtrail and testdata/actiontrail, read without Cairn, repeats too."""
    return (independent.load(TESTDATA / "cloudtrail")
            + independent.load(TESTDATA / "actiontrail", account=ACTIONTRAIL_ACCOUNT))


# name -> (arguments of `cairn trail create`, the same filter for independent.takes)
REAL_TRAILS = {
    "everything": ([], {}),
    "writes": (["--rw", "Write"], {"rw": "Write"}),
    "reads_of_one": (
        ["--rw", "Read", "--accounts", "123837392027"],
        {"rw": "Read", "accounts": {"123837392027"}}),
    "two_accounts_one_region": (
        ["--accounts", "123837392027,123456789123", "--regions", "us-east-1"],
        {"accounts": {"123837392027", "123456789123"}, "regions": {"us-east-1"}}),
    "other_regions": (
        ["--regions", "cn-hangzhou,SAGOV-westsouth-1r"],
        {"regions": {"cn-hangzhou", "sagov-westsouth-1r"}}),
    "identity": (
        ["--select", "service=iam.amazonaws.com,sts.amazonaws.com,Ims"],
        {"fields": [("service", ("equals", "iam.amazonaws.com", "sts.amazonaws.com", "Ims"))]}),
    "changes_by_prefix": (
        ["--select", "event_name=Create*,Delete*,Put*", "--select", "service!=ec2*"],
        {"fields": [("event_name", ("starts", "Create", "Delete", "Put")),
                    ("service", ("not_starts", "ec2"))]}),
    "by_suffix": (
        ["--select", "event_name=*Policy", "--select", "user!=bert-jan"],
        {"fields": [("event_name", ("ends", "Policy")), ("user", ("not_equals", "bert-jan"))]}),
    "data_events": (["--category", "Data"], {"categories": {"Data"}}),
    "buckets": (
        ["--select", "resource_type=AWS::S3::Bucket", "--select", "resource!=*-not-there"],
        {"fields": [("resource_type", ("equals", "AWS::S3::Bucket")),
                    ("resource", ("not_ends", "-not-there"))]}),
}


@pytest.fixture(scope="session")
def real(folders):
    """A server that holds all the real data, with ten trails made before it came in.

    Nobody changes anything in it.
    """
    with Cairn(folders("real")) as server:
        for name, (arguments, _) in REAL_TRAILS.items():
            server.trail(name, *arguments)
        server.first_counts = [
            server.ingest(TESTDATA / "cloudtrail"),
            server.ingest(TESTDATA / "actiontrail", account=ACTIONTRAIL_ACCOUNT),
        ]
        server.flush()
        yield server
        server.stop()
