"""An emulation of Google's object storage on this machine alone."""

import contextlib
import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

_UPLOAD = "multipart/related"


@contextlib.contextmanager
def gcs_emulator(bucket: str) -> Iterator[str]:
    """Serves one bucket from memory; yields its address, such as http://127.0.0.1:1234."""
    from gcp_storage_emulator import server as module

    _keep_promises(module)
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    server = module.create_server("127.0.0.1", 0, in_memory=True, default_bucket=bucket)
    server.start()
    listening = server._api._httpd
    # A sender that was killed does not read its answer: nothing to print a traceback for.
    listening.handle_error = lambda *_: None
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        server.stop()


def _keep_promises(module: Any) -> None:
    """Makes the emulator keep three promises of the real service that stores build upon.

    A body that is cut short, because its sender was killed, is no object; an object ends as it was
    sent, also in a carriage return, which the emulator takes for a part of the end of the line that
    follows; and a condition "if there is none yet" is checked. It answers one request at a time, so
    nobody comes in between.
    """
    read = module._read_raw_data
    insert = module.objects.insert

    def read_whole(handler: Any) -> Any:
        data = read(handler)
        if data is not None and len(data) < int(handler.headers.get("Content-Length") or 0):
            raise ConnectionError("the body was cut short")
        if data is not None and handler.headers.get("Content-Type", "").startswith(_UPLOAD):
            content, mark, end = data.rpartition(b"\n--")
            return content + b"\r" + mark + end
        return data

    def insert_if_absent(request: Any, response: Any, storage: Any, **more: Any) -> None:
        name = (request.data or {}).get("meta", {}).get("name")
        wanted = request.query.get("ifGenerationMatch")
        if wanted == ["0"] and name in storage.objects.get(request.params["bucket_name"], {}):
            response.status = HTTPStatus.PRECONDITION_FAILED
            return
        insert(request, response, storage, **more)

    module._read_raw_data = read_whole
    for _, handlers in module.HANDLERS:
        if handlers.get("POST") is insert:
            handlers["POST"] = insert_if_absent
