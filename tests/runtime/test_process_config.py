"""What computes the network is the choice of each process."""

import pytest

from selfplay.inference import onnx_backend
from selfplay.runtime.process_config import process_config
from selfplay.settings import Config


def test_a_process_that_asks_for_a_backend_gets_it_or_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    asked = {"search": {"inference": "onnx"}}
    config = Config().updated({"search": {"num_simulations": 7}})
    found = process_config(config, asked, named="xla", say=said.append)
    assert (found.search.inference, found.search.num_simulations) == ("onnx", 7)
    assert process_config(config, {}, named="onnx").search.inference == "onnx"
    monkeypatch.setattr(onnx_backend, "_PACKAGES", ("no_such_package",))
    assert process_config(config, asked, named="xla", say=said.append) == found
    assert said == []
    assert process_config(config, {}, named="onnx", say=said.append).search.inference == "auto"
    (text,) = said
    assert text.startswith("the run has search.inference = onnx, but here ONNX Runtime is not in")
