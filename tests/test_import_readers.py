"""What other products' exports become: every branch, time and role, and nothing that people did not see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations.transfer import openwebui, reading
from conversations.transfer.reading import Skipped
from conversations.transfer.tree import Entry, Tree

pytestmark = pytest.mark.once("embedded")

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def node(name: str, parent: str | None, role: str | None = None, content: Any = None, **fields: Any) -> dict[str, Any]:
    if isinstance(content, str):
        content = {"content_type": "text", "parts": [content]}
    message = None
    if role:
        message = {"id": name, "author": {"role": role}, "content": content, "recipient": "all", **fields}
    return {"id": name, "parent": parent, "children": [], "message": message}


def chatgpt(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "title": "Title",
        "create_time": 1_700_000_000.5,
        "update_time": 1_700_000_100.25,
        "conversation_id": "c-1",
        "default_model_slug": "gpt-4o",
        "current_node": nodes[-1]["id"] if nodes else None,
        "mapping": {node["id"]: node for node in nodes},
        **fields,
    }


def webui(*messages: dict[str, Any], current: Any = "a1", **fields: Any) -> dict[str, Any]:
    history = {"messages": {message["id"]: message for message in messages}, "currentId": current}
    return {
        "id": "w-1", "title": "Title", "created_at": 1_700_000_000, "updated_at": 1_700_000_100,
        "chat": {"title": "Inner", "history": history, "timestamp": 1_700_000_000_000}, **fields,
    }  # fmt: skip


def read(tmp_path: Path, *items: Any) -> list[Tree | Skipped]:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(list(items)))
    return list(reading.conversations(file, now=NOW))


def tree(tmp_path: Path, item: Any) -> Tree:
    (found,) = read(tmp_path, item)
    assert isinstance(found, Tree), found
    return found


def shape(found: Tree) -> list[tuple[str, str | None, str, str]]:
    return [(entry.id, entry.parent, entry.role, entry.content) for entry in found.entries]


def test_chatgpt_keeps_branches_times_roles_and_models(tmp_path: Path) -> None:
    found = tree(
        tmp_path,
        chatgpt(
            node("root", None),
            node("sys", "root", "system", ""),
            node("u", "sys", "user", "Why?", create_time=1_700_000_001.5),
            node("a1", "u", "assistant", "Because.", create_time=1_700_000_002, metadata={"model_slug": "o3"}),
            node("a2", "u", "assistant", "So.", create_time=None, metadata=None),
            current_node="a1",
        ),
    )
    assert shape(found) == [
        ("u", None, "user", "Why?"), ("a1", "u", "assistant", "Because."), ("a2", "u", "assistant", "So."),
    ]  # fmt: skip
    assert [entry.created_at for entry in found.entries] == [
        at(1_700_000_001.5),
        at(1_700_000_002),
        at(1_700_000_001.5),
    ]
    assert [entry.model for entry in found.entries] == ["", "o3", "gpt-4o"]
    assert (found.source, found.source_id, found.current) == ("chatgpt", "c-1", "a1")
    assert (found.created_at, found.updated_at) == (at(1_700_000_000.5), at(1_700_000_100.25))


def test_chatgpt_leaves_out_what_nobody_saw_and_keeps_the_thread(tmp_path: Path) -> None:
    hidden = {"is_visually_hidden_from_conversation": True}
    found = tree(
        tmp_path,
        chatgpt(
            node("root", None),
            node("profile", "root", "user", {"content_type": "user_editable_context", "user_profile": "secret"}),
            node("u", "profile", "user", "Q"),
            node("thoughts", "u", "assistant", {"content_type": "thoughts", "thoughts": []}),
            node("code", "thoughts", "assistant", {"content_type": "code", "text": "x"}, recipient="python"),
            node("tool", "code", "tool", {"content_type": "execution_output", "text": "1"}),
            node("hid", "tool", "assistant", "hidden", metadata=hidden),
            node("light", "hid", "assistant", "hidden too", weight=0),
            node("a", "light", "assistant", "A"),
            node("end", "a", "tool", "after"),
        ),
    )
    assert shape(found) == [("u", None, "user", "Q"), ("a", "u", "assistant", "A")]
    assert found.current == "a"


def test_chatgpt_parts_are_all_kept_and_citations_are_links(tmp_path: Path) -> None:
    parts = ["Look", {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}, "here"]
    cited = "One \u30101\u2020src\u3011 two \ue200cite\ue202turn0\ue201 \ue200other\ue201."
    citations = [
        {"start_ix": 4, "end_ix": 11, "metadata": {"url": "https://e.example/a", "title": "A [b]"}},
        {"start_ix": 0, "end_ix": 3, "metadata": {"url": "https://e.example/b", "title": "not at a mark"}},
        {"start_ix": 99, "end_ix": 999},
    ]
    references = [{"start_idx": 16, "end_idx": 28, "alt": "([c](https://e.example/c))"}]
    found = tree(
        tmp_path,
        chatgpt(
            node("u", None, "user", {"content_type": "multimodal_text", "parts": parts}),
            node("a", "u", "assistant", cited, metadata={"citations": citations, "content_references": references}),
        ),
    )
    assert found.entries[0].content == "Look\n\n[Image]\n\nhere"
    assert found.entries[1].content == "One  [A b](<https://e.example/a>) two ([c](https://e.example/c)) ."


def test_open_webui_keeps_branches_times_roles_and_models(tmp_path: Path) -> None:
    working = '<details type="reasoning" done="true">\n<summary>x</summary>\nhm\n</details>\nAnswer'
    found = tree(
        tmp_path,
        webui(
            {"id": "u", "parentId": None, "role": "user", "content": "Q", "timestamp": 1_700_000_001},
            {"id": "a1", "parentId": "u", "role": "assistant", "content": working, "timestamp": 1_700_000_002,
             "model": "m1"},
            {"id": "a2", "parentId": "u", "role": "assistant", "content": [{"type": "text", "text": "B"}],
             "timestamp": 1_700_000_003_000},
            {"id": "u2", "parentId": "a2", "role": "user", "content": "More"},
            pinned=True, archived=True,
        ),
    )  # fmt: skip
    assert shape(found) == [
        ("u", None, "user", "Q"), ("a1", "u", "assistant", "Answer"), ("a2", "u", "assistant", "B"),
        ("u2", "a2", "user", "More"),
    ]  # fmt: skip
    assert [entry.created_at for entry in found.entries] == [at(1_700_000_000 + n) for n in (1, 2, 3, 3)]
    assert (found.source_id, found.current, found.pinned, found.archived) == ("w-1", "a1", True, True)
    assert found.entries[1].model == "m1"


def test_open_webui_without_a_history_is_its_flat_list(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Q"},
        {
            "role": "assistant",
            "content": "",
            "output": [
                {"type": "reasoning", "content": []},
                {"type": "message", "content": [{"type": "output_text", "text": "A"}]},
            ],
        },
    ]
    found = tree(tmp_path, {"id": "w", "chat": {"messages": messages, "params": {"system": "Be brief."}}})
    assert shape(found) == [("0", None, "user", "Q"), ("1", "0", "assistant", "A")]
    assert found.system_prompt == "Be brief."
    assert found.created_at == NOW


@pytest.mark.parametrize("current", [None, "gone", 7, ["x"]])
def test_without_a_current_message_the_newest_leaf_is_it(tmp_path: Path, current: Any) -> None:
    messages = [
        {"id": "u", "parentId": None, "role": "user", "content": "Q", "timestamp": 1_700_000_001},
        {"id": "new", "parentId": "u", "role": "assistant", "content": "N", "timestamp": 1_700_000_009},
        {"id": "old", "parentId": "u", "role": "assistant", "content": "O", "timestamp": 1_700_000_003},
    ]
    assert tree(tmp_path, webui(*messages, current=current)).current == "new"


def test_circles_and_parents_that_do_not_exist_make_roots(tmp_path: Path) -> None:
    found = tree(
        tmp_path,
        chatgpt(
            node("a", "b", "user", "A"), node("b", "a", "assistant", "B"), node("c", "c", "user", "C"),
            node("d", "gone", "user", "D"), node("e", "d", "assistant", "E"), current_node="b",
        ),
    )  # fmt: skip
    parents = {entry.id: entry.parent for entry in found.entries}
    assert parents["d"] is None
    assert parents["e"] == "d"
    assert parents["c"] is None
    assert sorted(str(parents[name]) for name in "ab") in (["None", "a"], ["None", "b"])


def test_what_no_database_stores_is_taken_out(tmp_path: Path) -> None:
    found = tree(tmp_path, chatgpt(node("u", None, "user", "a\x00b\ud800c"), title="T\x00\nt", conversation_id="x\x00"))
    assert found.entries[0].content.encode() == found.entries[0].content.encode("utf-8", "strict")
    assert "\x00" not in found.entries[0].content + found.title + found.source_id
    assert found.title == "T t"


def test_a_long_thread_is_no_deep_one(tmp_path: Path) -> None:
    nodes = [node(str(n), str(n - 1) if n else None, "assistant" if n % 2 else "user", f"m{n}") for n in range(15_000)]
    found = tree(tmp_path, chatgpt(*reversed(nodes)))
    assert [entry.content for entry in found.entries] == [f"m{n}" for n in range(15_000)]


def test_a_broken_conversation_is_skipped_with_its_reason(tmp_path: Path) -> None:
    good = chatgpt(node("u", None, "user", "Q"))
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    found = read(
        tmp_path, good, chatgpt(title="Empty"), {"title": "Foreign"}, 7, None, [], {"title": "Deep", "mapping": deep},
        chatgpt(node("u", None, "user", "x" * 1_000_001), title="Long"),
    )  # fmt: skip
    assert isinstance(found[0], Tree)
    assert all(isinstance(item, Skipped) for item in found[1:])
    reasons = [item.reason for item in found[1:] if isinstance(item, Skipped)]
    assert reasons[0] == "It holds no message of a person or an assistant."
    assert reasons[1].startswith("It is no conversation of ChatGPT")
    assert "nested too deeply" in reasons[5]
    assert "longer than 1,000,000 characters" in reasons[6]


def test_a_system_prompt_longer_than_one_may_write_here_is_no_part_of_a_conversation(tmp_path: Path) -> None:
    message = {"id": "a1", "parentId": None, "role": "user", "content": "Q"}
    found = [
        *read(
            tmp_path, *({"id": "w", "chat": {**webui(message)["chat"], "system": "x" * n}} for n in (20_000, 20_001))
        ),
        *read(
            tmp_path,
            *({"id": "o", "current": None, "messages": [], "system_prompt": "x" * n} for n in (20_000, 20_001)),
        ),
    ]
    assert [isinstance(item, Tree) for item in found] == [True, False, True, False]
    assert all("longer than 20,000" in item.reason for item in found if isinstance(item, Skipped))


def test_our_own_messages_are_seen_also_where_nobody_says_which_are_current(tmp_path: Path) -> None:
    messages = [
        {"id": 1, "parent": None, "role": "user", "content": "Q"},
        {"id": 2, "parent": 1, "role": "assistant", "content": "A"},
    ]
    found = tree(tmp_path, {"id": "o", "current": None, "system_prompt": "", "messages": messages})
    assert shape(found) == [("1", None, "user", "Q"), ("2", "1", "assistant", "A")]
    assert found.current == "2"


def test_the_same_conversation_without_an_id_gets_the_same_id(tmp_path: Path) -> None:
    item = chatgpt(node("u", None, "user", "Q"), conversation_id=None)
    assert tree(tmp_path, item).source_id == tree(tmp_path, item).source_id
    other = chatgpt(node("u", None, "user", "R"), conversation_id={"no": "id"})
    assert tree(tmp_path, item).source_id != tree(tmp_path, other).source_id


@pytest.mark.parametrize(
    "value", [0, -1, 1e300, 99_999_999_999_999_999, "x", "2100-01-01", True, [], {}, 4_102_444_800]
)
def test_a_time_that_is_none_is_replaced(tmp_path: Path, value: Any) -> None:
    item = chatgpt(node("u", None, "user", "Q", create_time=value), create_time=value, update_time=value)
    found = tree(tmp_path, item)
    assert found.created_at == found.updated_at == found.entries[0].created_at == NOW


def test_boxes_of_reasoning_are_taken_out_whole() -> None:
    box = '<details type="tool_calls" a="1"><summary>s</summary><details>inner</details></details>'
    assert openwebui.without_workings(f"{box}\nText\n{box}") == "Text"
    assert (
        openwebui.without_workings("<details><summary>kept</summary></details>")
        == "<details><summary>kept</summary></details>"
    )
    assert openwebui.without_workings('<details type="reasoning">open') == '<details type="reasoning">open'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([2**63, -(2**64), 10**400, 10**17]) | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.sampled_from(["user", "assistant", "text", "all", "u", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["u", "a", "author", "role", "content", "content_type", "parts", "metadata", "message",
                         "parent",
                         "parentId", "citations", "text", "type", "output", "create_time", "timestamp", "id", "history",
                         "messages", "currentId", "current", "system_prompt", "chat", "mapping", "title", "source",
                         "error",
                         "context", "source_id", "conversation_id", "model", "tier", "status"]),
        inner, max_size=6,
    ),
    max_leaves=30,
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(mapping=st.dictionaries(st.sampled_from("abcd"), json_values), rest=json_values)
def test_nothing_that_json_can_say_breaks_the_readers(tmp_path_factory: Any, mapping: Any, rest: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    extra = rest if isinstance(rest, dict) else {"title": rest}
    items = [
        {**extra, "mapping": mapping},
        {**extra, "chat": {**extra, "history": {"messages": mapping, "currentId": rest}}},
        {**extra, "chat": {"messages": [*mapping.values(), rest]}},
        {**extra, "current": rest, "system_prompt": rest, "messages": list(mapping.values())},
        rest,
    ]
    for found in read(folder, *items):
        if isinstance(found, Tree):
            seen: set[str] = set()
            for entry in found.entries:
                assert isinstance(entry, Entry)
                assert entry.parent is None or entry.parent in seen
                seen.add(entry.id)
            assert found.current is None or found.current in seen
