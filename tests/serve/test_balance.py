"""The balance report of a run, as the training page asks for it."""

from pathlib import Path

from starlette.testclient import TestClient

from selfplay.registry import make
from selfplay.reports.balance.report import balance_report
from selfplay.reports.balance.stored import NAME, write_report
from selfplay.serve import Library, create_app
from tests.serve.conftest import new_run


def test_the_newest_report_is_part_of_the_training_page(tmp_path: Path) -> None:
    run = new_run(tmp_path / "noughts", files=4)
    report = balance_report(run, make("tic_tac_toe"))
    write_report(run, report)
    app = create_app(Library(runs=[run.url]))
    with TestClient(app, base_url="http://localhost") as client:
        address = "/api/v1/runs/noughts/training"
        assert client.get(address).json()["balance"] == report
        # A damaged report is none: the rest of the page must not be lost by it.
        run.store.write(NAME, b"{")
    with TestClient(create_app(Library(runs=[run.url])), base_url="http://localhost") as client:
        assert client.get(address).json()["balance"] is None
