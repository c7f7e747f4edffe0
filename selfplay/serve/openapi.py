"""The description of the HTTP API in OpenAPI 3.1; docs/web-protocol.md says the same in prose."""

import importlib.metadata
from typing import Any

_Schema = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_WHOLE: _Schema = {"type": "integer"}
_FLAG: _Schema = {"type": "boolean"}
_BY_ACTION: _Schema = {"type": "object", "additionalProperties": _NUMBER}


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _maybe(schema: _Schema) -> _Schema:
    return {"oneOf": [schema, {"type": "null"}]}


def _object(required: tuple[str, ...] = (), **properties: _Schema) -> _Schema:
    # More keys may come: clients ignore those they do not know.
    return {"type": "object", "required": list(required or properties), "properties": properties}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_LINE: dict[str, _Schema] = {
    "game": {**_TEXT, "description": "identifier of the game; the first one without it"},
    "start": {
        "description": "the seed of the first position, or the key of a recorded match",
        "oneOf": [
            _object(seed={**_WHOLE, "minimum": 0}),
            _object(key={**_list(_WHOLE), "minItems": 2, "maxItems": 2}),
        ],
    },
    "moves": {
        **_list({"oneOf": [_WHOLE, _TEXT]}),
        "description": "from the start: action numbers, or text as the game writes moves",
    },
    "outcomes": {
        **_list({"oneOf": [_WHOLE, {"type": "null"}]}),
        "description": "in a game of chance what followed each move, -1 for nothing",
    },
}
_QUESTION: dict[str, _Schema] = {
    **_LINE,
    "agent": {**_TEXT, "description": "who thinks; the default of the game without it"},
    "simulations": {**_WHOLE, "minimum": 0, "description": "rounded up to a fixed number"},
    "milliseconds": {**_WHOLE, "minimum": 1, "description": "instead of simulations"},
    "line_length": {**_WHOLE, "minimum": 0, "description": "of expected lines; 8 by default"},
    "tree": {**_WHOLE, "minimum": 0, "description": "depth of the search tree to return"},
    "seed": {**_WHOLE, "minimum": 0, "description": "of the agent's random choices"},
}
_MOVE = _object(("action", "name"), action=_WHOLE, name=_TEXT)

_SCHEMAS: dict[str, _Schema] = {
    "Error": _object(error=_TEXT, hint=_TEXT, place=_maybe(_TEXT)),
    "Line": {**_object((), **_LINE), "required": []},
    "Question": {**_object((), **_QUESTION), "required": []},
    "Position": _object(
        game=_TEXT,
        start={"type": "object"},
        moves=_list(_WHOLE),
        outcomes=_list(_WHOLE),
        ply=_WHOLE,
        player=_maybe(_WHOLE),
        over=_FLAG,
        truncated=_FLAG,
        returns=_maybe(_list(_NUMBER)),
        legal=_list(_object(action=_WHOLE, name=_TEXT, clicks=_list(_list(_WHOLE)))),
        forced=_FLAG,
        again=_FLAG,
        last=_maybe({"type": "object"}),
        view=_maybe({"type": "object"}),
        text=_TEXT,
    ),
    "Analysis": _object(
        (
            *("game", "moves", "outcomes", "player", "legal", "action", "action_name", "value"),
            *("policy", "visits", "variations", "principal_variation"),
            *("simulations", "milliseconds", "agent", "title"),
        ),
        game=_TEXT,
        moves=_list(_WHOLE),
        outcomes=_list(_WHOLE),
        player=_WHOLE,
        legal=_list(_WHOLE),
        action=_WHOLE,
        action_name=_TEXT,
        value={**_maybe(_NUMBER), "description": "in [-1, 1], for the player to move"},
        policy=_BY_ACTION,
        visits=_BY_ACTION,
        qvalues=_BY_ACTION,
        raw_value=_NUMBER,
        raw_policy=_BY_ACTION,
        proven=_FLAG,
        variations={"type": "object", "additionalProperties": _list(_MOVE)},
        principal_variation=_list(_MOVE),
        simulations=_maybe(_WHOLE),
        milliseconds=_NUMBER,
        tree=_ref("Node"),
        agent=_TEXT,
        title=_TEXT,
    ),
    "Node": _object(
        action=_maybe(_WHOLE),
        name=_maybe(_TEXT),
        visits=_WHOLE,
        value=_maybe(_NUMBER),
        prior=_maybe(_NUMBER),
        children=_list(_ref("Node")),
    ),
    "Played": _object(analysis=_maybe(_ref("Analysis")), position=_ref("Position"), resigned=_FLAG),
    "Game": _object(
        game=_TEXT,
        name=_TEXT,
        title=_TEXT,
        problem={**_TEXT, "description": "why its rules cannot be loaded; empty if they can"},
        num_actions=_maybe(_WHOLE),
        max_plies=_maybe(_WHOLE),
        chance=_FLAG,
        board=_FLAG,
        hidden_information=_TEXT,
        limits={"type": "object", "additionalProperties": _maybe(_WHOLE)},
        default_agent=_TEXT,
        shared={**_FLAG, "description": "whether agents share the requests that name none"},
        run=_maybe(_TEXT),
        docs=_maybe(_TEXT),
    ),
    "Agent": _object(
        agent=_TEXT,
        title=_TEXT,
        kind={"enum": ["checkpoint", "mcts", "solver", "random", "engine"]},
        run=_maybe(_TEXT),
        update=_maybe(_WHOLE),
        analyses=_FLAG,
        simulations=_maybe(_WHOLE),
    ),
    "Run": _object(
        run=_TEXT,
        title=_TEXT,
        game=_maybe(_TEXT),
        update=_maybe(_WHOLE),
        matches=_maybe(_WHOLE),
        alive=_FLAG,
        problem={**_TEXT, "description": "why it cannot be read; empty if it can"},
    ),
    "About": _object(
        version=_TEXT,
        title=_TEXT,
        games=_list(_ref("Game")),
        runs=_list(_ref("Run")),
        allow_control=_FLAG,
        default_game=_maybe(_TEXT),
        default_run=_maybe(_TEXT),
    ),
    "Checkpoint": _object(update=_WHOLE, time=_maybe(_TEXT), agent=_maybe(_TEXT)),
    "Summary": _object(
        match=_TEXT,
        kind={"enum": ["selfplay", "evaluation"]},
        game=_TEXT,
        plies=_WHOLE,
        returns=_list(_NUMBER),
        truncated=_FLAG,
        worker=_maybe(_TEXT),
        first_checkpoint=_maybe(_WHOLE),
        last_checkpoint=_maybe(_WHOLE),
        opponent=_maybe(_TEXT),
        players=_list(_TEXT),
        time=_maybe(_TEXT),
    ),
    "Matches": _object(matches=_list(_ref("Summary")), next=_maybe(_TEXT), total=_maybe(_WHOLE)),
    "Match": _object(
        format=_TEXT,
        version=_WHOLE,
        game=_TEXT,
        fingerprint=_maybe(_TEXT),
        start={"type": "object"},
        moves=_list(_WHOLE),
        outcomes=_list(_WHOLE),
        names=_list(_TEXT),
        players=_list(_TEXT),
        returns=_maybe(_list(_NUMBER)),
        ending={"enum": ["finished", "resigned", "left"]},
        time=_maybe(_TEXT),
        plies=_list(_maybe({"type": "object"})),
        pending={**_FLAG, "description": "whether the network's opinions will be there later"},
    ),
    "Training": _object(
        run=_TEXT,
        title=_TEXT,
        game=_TEXT,
        series={
            "type": "object",
            "additionalProperties": _object(x=_list(_NUMBER), y=_list(_NUMBER)),
        },
        strength=_list({"type": "object"}),
        ratings=_list({"type": "object"}),
        mistakes=_list({"type": "object"}),
        balance=_maybe({"type": "object"}),
    ),
    "Status": {"type": "object", "description": "the document of `selfplay status --json`"},
    "Results": _list(
        _object(
            agent=_TEXT,
            requests=_WHOLE,
            wins=_WHOLE,
            draws=_WHOLE,
            losses=_WHOLE,
            score=_maybe(_NUMBER),
            interval=_maybe(_list(_NUMBER)),
        )
    ),
    "Result": {
        **_object(
            (),
            **_LINE,
            agent=_TEXT,
            seat=_WHOLE,
            resigned={**_maybe(_WHOLE), "description": "the player who gave the match up"},
        ),
        "required": ["moves", "agent", "seat"],
    },
    "Process": _object(role={"enum": ["trainer", "worker", "evaluator", "reanalyzer"]}, id=_TEXT),
    "Asked": _object(role=_TEXT, id=_TEXT, pid=_WHOLE, host=_TEXT),
    "Health": _object(state=_TEXT, waiting_searches=_WHOLE, compiling=_WHOLE),
}

_FILTERS: dict[str, _Schema] = {
    "limit": {**_WHOLE, "minimum": 1, "maximum": 200},
    "cursor": _TEXT,
    "kind": {"enum": ["selfplay", "evaluation"]},
    "first_checkpoint": _WHOLE,
    "last_checkpoint": _WHOLE,
    "result": {"enum": ["first", "second", "draw"]},
    "min_plies": _WHOLE,
    "max_plies": _WHOLE,
    "worker": _TEXT,
    "opponent": _TEXT,
}

# Method, address, what it does, document asked with, document answered.
_OPERATIONS: tuple[tuple[str, str, str, str, _Schema], ...] = (
    ("get", "/about", "all that a page needs first", "", _ref("About")),
    ("get", "/health", "what the server does now", "", _ref("Health")),
    ("get", "/games", "the games", "", _list(_ref("Game"))),
    ("get", "/games/{game}", "one game", "", _ref("Game")),
    ("get", "/games/{game}/agents", "who can play it", "", _list(_ref("Agent"))),
    ("post", "/position", "what a page shows of a position", "Line", _ref("Position")),
    ("post", "/analyze", "what an agent thinks of a position", "Question", _ref("Analysis")),
    ("post", "/move", "the position after an agent's move", "Question", _ref("Played")),
    ("get", "/results", "results of the agents against visitors", "", _ref("Results")),
    ("post", "/results", "counts a match that is over", "Result", _ref("Results")),
    ("get", "/runs", "the runs", "", _list(_ref("Run"))),
    ("get", "/runs/{run}/checkpoints", "newest first", "", _list(_ref("Checkpoint"))),
    ("get", "/runs/{run}/matches", "a page of matches, newest first", "", _ref("Matches")),
    ("get", "/runs/{run}/matches/{match}", "one match", "", _ref("Match")),
    ("get", "/runs/{run}/status", "how a run is doing", "", _ref("Status")),
    ("get", "/runs/{run}/training", "what can be drawn of a run", "", _ref("Training")),
    ("post", "/runs/{run}/stop", "asks a process to save and end", "Process", _ref("Asked")),
    (
        "get",
        "/runs/{run}/events",
        "events of a run: its status, new matches and checkpoints (server-sent events)",
        "",
        _TEXT,
    ),
)


def openapi_document() -> dict[str, Any]:
    """Returns the description."""
    paths: dict[str, dict[str, Any]] = {}
    for method, address, summary, asked, answered in _OPERATIONS:
        operation = _operation(method, address, summary, asked, answered)
        paths.setdefault(f"/api/v1{address}", {})[method] = operation
    paths["/healthz"] = {"get": _operation("get", "/healthz", "a sign of life", "", _ref("Health"))}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "selfplay",
            "version": importlib.metadata.version("selfplay-jax"),
            "description": "Games, positions, analyses, matches and training of selfplay.",
        },
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # The token is optional where the server listens on this machine alone.
        "security": [{}, {"token": []}],
    }


def _operation(
    method: str, address: str, summary: str, asked: str, answered: _Schema
) -> dict[str, Any]:
    names = [part[1:-1] for part in address.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names
    ]
    if address.endswith("/matches"):
        parameters += [
            {"name": name, "in": "query", "schema": schema} for name, schema in _FILTERS.items()
        ]
    kind = "text/event-stream" if address.endswith("/events") else "application/json"
    content = {kind: {"schema": answered}}
    if asked == "Question" and address == "/analyze":
        content["text/event-stream"] = {"schema": _TEXT}
    refused = {
        "description": "refused; the document says why",
        "content": {"application/json": {"schema": _ref("Error")}},
    }
    statuses = ["401", "403", "404"] + (["413", "422", "429"] if asked else [])
    operation: dict[str, Any] = {
        "summary": summary,
        "operationId": method + address.title().translate(str.maketrans("", "", "/{}")),
        "responses": {
            "200": {"description": "the answer", "content": content},
            **dict.fromkeys(statuses, refused),
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if asked:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(asked)}},
        }
    return operation
