"""Who may ask: tokens, hosts, origins; and what every answer says to a browser."""

import pytest
from starlette.testclient import TestClient

from selfplay.serve import Library, create_app
from selfplay.serve.security import is_loopback


@pytest.fixture(scope="module")
def open_client(library: Library) -> TestClient:
    return TestClient(create_app(library), base_url="http://127.0.0.1:8765")


@pytest.fixture(scope="module")
def guarded(library: Library) -> TestClient:
    app = create_app(library, token="secret", hosts=["board.example"])
    return TestClient(app, base_url="http://board.example")


def test_every_answer_has_the_policy(open_client: TestClient) -> None:
    for path in ("/", "/healthz", "/api/v1/runs", "/nowhere", "/static/nothing.js"):
        headers = open_client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert not any(name.startswith("access-control-") for name in headers)
    assert open_client.get("/api/v1/runs").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8765", True),
        ("LOCALHOST", True),
        ("127.0.0.1:8765", True),
        ("[::1]:8765", True),
        ("192.168.1.7", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_the_host_must_be_one_of_ours(open_client: TestClient, host: str, known: bool) -> None:
    answer = open_client.get("/healthz", headers={"host": host})
    assert answer.status_code == (200 if known else 421)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8765"}, 200),
        ({"origin": "https://127.0.0.1:8765"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_no_other_site_can_drive_it(
    open_client: TestClient, headers: dict[str, str], status: int
) -> None:
    body = {"game": "tic_tac_toe"}
    answer = open_client.post("/api/v1/position", json=body, headers=headers)
    assert answer.status_code == status
    answer = open_client.options(
        "/api/v1/position", headers={**headers, "access-control-request-method": "POST"}
    )
    assert answer.status_code in (403, 405)


def test_a_link_from_another_site_leads_to_the_page(open_client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert open_client.get("/", headers=headers).status_code == 200
    assert open_client.get("/api/v1/runs", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic secret", 401),
        ("Bearer sécret", 401),
        ("Bearer secret", 200),
    ],
)
def test_a_token_is_asked_for(guarded: TestClient, header: str | None, status: int) -> None:
    sent = b"authorization", (header or "").encode("latin-1")
    answer = guarded.get("/api/v1/runs", headers=[] if header is None else [sent])
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "secret" not in answer.text


def test_the_page_and_probes_need_no_token(guarded: TestClient) -> None:
    for path in ("/", "/healthz", "/readyz"):
        assert guarded.get(path).status_code == 200
    assert guarded.get("/healthz", headers={"host": "other.example"}).status_code == 421


def test_which_addresses_are_of_this_machine_alone() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""):
        assert not is_loopback(host)
