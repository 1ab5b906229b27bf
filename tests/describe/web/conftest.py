"""One server for all tests that need the real one."""

import pytest
from describe.web.serving import Client, served


@pytest.fixture(scope="session")
def server(bundle_folder, tmp_path_factory):
    with served(bundle=bundle_folder, temporary=tmp_path_factory.mktemp("serve") / "temporary") as started:
        yield started


@pytest.fixture
def client(server):
    return Client(server[0])
