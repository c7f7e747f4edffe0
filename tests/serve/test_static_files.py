"""The files of the page: compressed for whoever understands it, and cached."""

import gzip

import pytest
from starlette.testclient import TestClient

from selfplay.serve.pages import accepts_gzip


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/style.css"])
def test_files_are_sent_compressed_to_clients_that_understand_it(
    client: TestClient, path: str
) -> None:
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert plain.status_code == 200 and "content-encoding" not in plain.headers
    with client.stream("GET", path, headers={"Accept-Encoding": "gzip, br"}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-length"] == str(len(sent))
    assert gzip.decompress(sent) == plain.content
    assert len(sent) < 0.7 * len(plain.content)
    for one in (plain, answer):
        assert one.headers["vary"] == "Accept-Encoding"
        assert one.headers["content-security-policy"]
    assert plain.headers["content-type"] == answer.headers["content-type"]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_file_that_has_not_changed_is_not_sent_again(client: TestClient, encoding: str) -> None:
    headers = {"Accept-Encoding": encoding}
    tag = client.get("/static/app.js", headers=headers).headers["etag"]
    again = client.get("/static/app.js", headers={**headers, "If-None-Match": tag})
    assert again.status_code == 304 and not again.content
    assert again.headers["etag"] == tag
    other = client.get("/static/board.js", headers={**headers, "If-None-Match": tag})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("*;q=0.1, br", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("x-gzip-like", False),
        (";;,q=,=;", False),
    ],
)
def test_a_client_says_whether_it_understands_gzip(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
