"""Search trees as people see them: expected lines, documents, text and pictures."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jax
import pytest
from typer.testing import CliRunner

from selfplay.arena import SearchAgent, mcts_agent
from selfplay.arena.agents import Analysis, analyse_one
from selfplay.cli.main import app
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import LiveMatch, expected_lines, play_text, read_tree, tree_svg, tree_text
from selfplay.registry import make

SIMULATIONS = 64


def agent_of(name: str) -> SearchAgent:
    return mcts_agent(make(name), SIMULATIONS, batch_size=1).resized(batch_size=1, keep_trees=True)


@pytest.fixture(scope="module", params=["tic_tac_toe", "einstein_wuerfelt_nicht"])
def searched(request: pytest.FixtureRequest) -> tuple[LiveMatch, Analysis]:
    """A position and its analysis."""
    agent = agent_of(request.param)
    match = LiveMatch(agent.game)
    return match, analyse_one(agent, match.position, key=jax.random.key(1))


def test_the_tree_agrees_with_the_result(searched: tuple[LiveMatch, Analysis]) -> None:
    match, found = searched
    assert found.tree is not None and found.visits is not None and found.qvalues is not None
    root = read_tree(match, found.tree, depth=1, most_nodes=10_000)
    visits: dict[int, int] = {}
    total: dict[int, float] = {}
    for child in root["children"]:
        action = child["action"]
        visits[action] = visits.get(action, 0) + child["visits"]
        total[action] = total.get(action, 0.0) + child["visits"] * child["value"]
        assert abs(child["prior"] - 1 / len(match.legal)) < 1e-5
    assert visits == {a: int(n) for a, n in enumerate(found.visits) if n}
    if match.game.name == "tic_tac_toe":
        # With chance a value is an expectation, not the mean of what was visited.
        for action, count in visits.items():
            assert abs(total[action] / count - found.qvalues[action]) < 1e-4


def test_depth_and_number_of_nodes_are_kept(searched: tuple[LiveMatch, Analysis]) -> None:
    match, found = searched
    assert found.tree is not None

    def count(node: dict[str, Any]) -> int:
        return 1 + sum(count(child) for child in node["children"])

    def depth(node: dict[str, Any]) -> int:
        return 1 + max((depth(child) for child in node["children"]), default=-1)

    whole = read_tree(match, found.tree, depth=50, most_nodes=10_000)
    assert count(whole) == SIMULATIONS + 1
    for limit in (0, 1, 2):
        assert depth(read_tree(match, found.tree, depth=limit)) == limit
    small = read_tree(match, found.tree, depth=50, most_nodes=7)
    assert count(small) == 7
    least = min(child["visits"] for child in small["children"])
    assert least >= sorted((c["visits"] for c in whole["children"]), reverse=True)[6 - 1]


def test_expected_lines_can_be_played(searched: tuple[LiveMatch, Analysis]) -> None:
    match, found = searched
    assert found.tree is not None and found.visits is not None
    lines = expected_lines(match, found.tree, length=3)
    assert set(lines) == {a for a, n in enumerate(found.visits) if n}
    for action, line in lines.items():
        assert line[0]["action"] == action and len(line) <= 3
        at = match.fork()
        for move in line:
            assert move["name"] == at.name(move["action"])
            at.play(move["action"], move.get("outcome", -1))
            rolled = at.outcome_name(len(at.outcomes) - 1)
            assert move.get("outcome_name") == rolled


def test_values_are_for_the_player_to_move_at_the_root() -> None:
    agent = agent_of("tic_tac_toe")
    # b1 wins at once, after anything else a1 a2 a3 is lost or drawn.
    match = play_text(TicTacToe(), "4 0 1 3")
    found = analyse_one(agent, match.position, key=jax.random.key(0))
    assert found.tree is not None and found.action == 7
    children = {
        child["action"]: child for child in read_tree(match, found.tree, depth=2)["children"]
    }
    assert children[7]["value"] == 1.0 and children[7]["children"] == []
    # The search is random: it does not look at the refutation a1 a2 a3 of each of the other moves.
    refuted = [
        reply["value"]
        for action in (2, 5, 8)
        for reply in children[action]["children"]
        if reply["action"] == 6
    ]
    assert refuted and set(refuted) == {-1.0}


def test_pictures_are_xml_and_text_is_indented() -> None:
    leaf = {"visits": 3, "value": -0.5, "prior": 0.25, "children": []}
    root = {"action": None, "name": None, "visits": 4, "value": None, "prior": None}
    tree = {**root, "children": [{**leaf, "action": 1, "name": "<b>&"}]}
    drawn = ElementTree.fromstring(tree_svg(tree))
    assert {node.text for node in drawn.iter() if node.tag.endswith("text")} == {
        "4 visits",
        "<b>&  3  -0.50",
    }
    assert tree_text(tree).splitlines()[1] == "  <b>&  3 visits  value -0.50  prior 25.0 %"
    assert ElementTree.fromstring(tree_svg({**root, "children": []})) is not None


def test_no_line_of_a_picture_crosses_a_label() -> None:
    def node(name: str, *children: dict[str, Any]) -> dict[str, Any]:
        visits = 1 + sum(child["visits"] for child in children)
        facts = {"action": 1, "name": name, "visits": visits, "value": 0.5, "prior": 0.1}
        return {**facts, "children": list(children)}

    long = "a move with a very long name"
    tree = node(
        "",
        node("a", node("b"), node(long, node("c"), node("d"), node("e"))),
        node(long, node("f"), node("g"), node("h")),
        node("i", node("j"), node("k"), node("l"), node("m")),
    )
    tree["name"] = None
    drawn = ElementTree.fromstring(tree_svg(tree))
    texts = [one for one in drawn.iter() if one.tag.endswith("text")]
    paths = [one for one in drawn.iter() if one.tag.endswith("path")]
    # Half the size of the font is the least that a letter takes on average.
    labels = [
        (float(one.get("x", "")), float(one.get("x", "")) + 5.5 * len(one.text or ""))
        for one in texts
    ]
    bends = []
    for one in paths:
        start, level, *curve = re.findall(r"[A-Z][^A-Z]*", one.get("d", ""))
        x, y = start[1:].split()
        assert level[0] == "H" and float(level[1:]) > float(x) and curve[0].split()[1] == y
        bends.append((float(level[1:]), float(curve[0].split()[-2])))
    assert len(bends) == 15
    for left, right in labels:
        assert not any(begin < right and left < end for begin, end in bends)


def run(*arguments: str) -> Any:
    words = ["analyze", *arguments]
    return CliRunner().invoke(app, words, prog_name="selfplay")


def test_the_command_draws_the_tree(tmp_path: Path) -> None:
    picture = tmp_path / "tree.svg"
    game = ["--game", "tic_tac_toe"]
    told = run("mcts:64", *game, "--tree", "2", "--picture", str(picture))
    assert told.exit_code == 0, told.stderr
    assert "expected: " in told.stdout and "visits; values are for" in told.stdout
    assert ElementTree.fromstring(picture.read_text()) is not None
    document = json.loads(run("mcts:64", *game, "--tree", "2", "--json").stdout)
    assert document["tree"]["children"][0]["children"]
    assert document["principal_variation"] == document["variations"][str(document["action"])]
    for wrong in (
        ["mcts:64", "--tree", "21"],
        ["mcts:64", "--picture", "x.svg"],
        ["solver", "--tree", "2"],
        ["mcts:64", "--tree", "2", "--positions", "-"],
        ["mcts:64", "--tree", "2", "--picture", str(tmp_path)],
    ):
        assert run(*wrong, *game).exit_code == 2, wrong
