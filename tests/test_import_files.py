"""Files that are broken, hostile or huge: a clear sentence, and bounded work."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from conversations.transfer import reading, stream, upload
from conversations.transfer.reading import Skipped
from conversations.transfer.tree import Tree
from conversations.transfer.upload import Unreadable
from tests.pace import paces
from tests.test_import_readers import NOW, chatgpt, node

pytestmark = pytest.mark.once("embedded")

GOOD = chatgpt(node("u", None, "user", "Q"))


def zipped(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def read(tmp_path: Path, content: bytes) -> list[Tree | Skipped]:
    file = tmp_path / "file"
    file.write_bytes(content)
    return list(reading.conversations(file, now=NOW))


def refusal(tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        list(reading.check(file, now=NOW))
    return str(caught.value)


def test_a_zip_gives_its_shards_in_order_and_nothing_else(tmp_path: Path) -> None:
    shards = {f"conversations-00{n}.json": json.dumps([{**GOOD, "title": str(n)}]).encode() for n in (1, 0)}
    other = {
        "user.json": b"{}",
        "chat.html": b"x",
        "export_manifest.json": b"[",
        "__MACOSX/._conversations.json": b"\0",
    }
    found = read(tmp_path, zipped({**shards, **other}))
    assert [item.title for item in found] == ["0", "1"]


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \n"])
def test_json_alone_is_an_array_or_one_conversation(tmp_path: Path, before: bytes) -> None:
    for content in ([GOOD, GOOD], {"conversations": [GOOD, GOOD]}, {"other": [1], "conversations": [GOOD, GOOD]}):
        assert len(read(tmp_path, before + json.dumps(content).encode())) == 2
    (found,) = read(tmp_path, before + json.dumps(GOOD).encode())
    assert isinstance(found, Tree)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[", "breaks off"),
        (b" ", "breaks off"),
        (json.dumps([GOOD]).encode()[:-9], "breaks off"),
        (b"nonsense", "no export of ChatGPT"),
        (b"[nonsense]", "no valid JSON"),
        (b'{"a": 1,}', "no valid JSON"),
        (b"{1: 2}", "no valid JSON"),
        (b'{"a" 1}', "no valid JSON"),
        (b"[1 2]", "no valid JSON"),
        (b"[1}", "no valid JSON"),
        (b'[{"a": [}]]', "no valid JSON"),
        (b'["\x01"]', "no valid JSON"),
        (b'["\\"', "breaks off"),
        (b'{"a"', "breaks off"),
        (b"[1,]", "no valid JSON"),
        (b"[] []", "no valid JSON"),
        (b'["\xff"]', "no valid JSON"),
        (json.dumps([GOOD]).encode("utf-16"), "no export of ChatGPT"),
        (json.dumps([GOOD]).encode("utf-16-le"), "no valid JSON"),
        (b"[1e999]", "no export of ChatGPT"),
        (b"[" + b"9" * 5000 + b"]", "no export of ChatGPT"),
        (b'"text"', "no export of ChatGPT"),
        (b"[1, 2]", "no export of ChatGPT"),
        (b'{"title": "x"}', "no export of ChatGPT"),
        (b"PK\x03\x04nonsense", "damaged"),
        (zipped({"conversations.json": b"[]"})[:-10], "damaged"),
        (zipped({"chat.html": b"x"}), "no conversations.json"),
        (zipped({"conversations.json": b"[" * 9}), "breaks off"),
    ],
)
def test_a_broken_file_is_refused_with_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refusal(tmp_path, content)


def test_a_zip_that_was_changed_on_the_way_is_damaged(tmp_path: Path) -> None:
    whole = bytearray(zipped({"conversations.json": json.dumps([GOOD] * 50).encode()}, method=zipfile.ZIP_STORED))
    whole[whole.index(b"Title")] ^= 1
    assert "damaged" in refusal(tmp_path, bytes(whole))


def test_a_locked_zip_says_so(tmp_path: Path) -> None:
    locked = bytearray(zipped({"conversations.json": b"[]"}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    assert "password" in refusal(tmp_path, bytes(locked))


def test_a_zip_bomb_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "LARGEST_JSON", 1_000_000)
    bomb = zipped({f"conversations-{n}.json": b"[" + b" " * 400_000 + b"]" for n in range(3)})
    assert len(bomb) < 5000
    assert "more than 1,000,000 bytes" in refusal(tmp_path, bomb)
    assert "more than 1,000,000 bytes" in refusal(tmp_path, b"[" + b" " * 1_000_000 + b"]")


def test_a_zip_with_a_table_of_contents_too_long_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "LARGEST_DIRECTORY", 1000)
    assert "too many files" in refusal(tmp_path, zipped({f"{n}.json": b"" for n in range(100)}))


def test_endless_nesting_costs_time_but_no_memory(tmp_path: Path) -> None:
    nested = b"[" + b'{"mapping":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}," + json.dumps(GOOD).encode() + b"]"
    tracemalloc.start()
    found = read(tmp_path, nested)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert paces(lambda: read(tmp_path, nested)) < 40
    assert isinstance(found[0], Skipped)
    assert "nested too deeply" in found[0].reason
    assert isinstance(found[1], Tree)


def test_a_conversation_of_too_many_values_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_VALUES", 1000)
    monkeypatch.setattr(stream, "MOST_BYTES", 10_000)
    many, long = {**GOOD, "x": list(range(1000))}, {**GOOD, "x": "y" * 10_001}
    first, second, third = read(tmp_path, json.dumps([many, long, GOOD]).encode())
    assert isinstance(first, Skipped)
    assert isinstance(second, Skipped)
    assert "too large" in first.reason
    assert isinstance(third, Tree)


def test_a_text_without_an_end_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_BYTES", 1_000_000)
    endless = b'{"title": "' + rb"a\"\\" * 5_000_000 + b'"}'
    for content in (b"[%b, %b]", b'{"conversations": [%b, %b]}'):
        packed = zipped({"conversations.json": content % (endless, json.dumps(GOOD).encode())})
        tracemalloc.start()
        first, second = read(tmp_path, packed)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12_000_000
        assert isinstance(first, Skipped)
        assert "too large" in first.reason
        assert isinstance(second, Tree)


ODD = {
    "an integer of 65 bits": b"18446744073709551616",
    "an integer without end": b"-" + b"9" * 5000,
    "a number beyond a float": b"1e400",
    "one below": b"-1e400",
    "no number": b"NaN",
    "half a character": rb'"\ud800"',
    "its other half": rb'"\udc00"',
    "two first halves": rb'"\ud83d\ud83d"',
    "a NUL": rb'"\u0000"',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_value_keeps_nothing_from_coming_in(tmp_path: Path, odd: bytes) -> None:
    fields = ("create_time", "update_time", "conversation_id", "title", "current_node", "x")
    strange = [
        chatgpt(node("u", None, "user", "Q", create_time="ODD", weight="ODD"), **{name: "ODD"}) for name in fields
    ]
    content = json.dumps([GOOD, *strange, GOOD]).encode().replace(b'"ODD"', odd)
    for found in read(tmp_path, content):
        assert isinstance(found, Tree), found
        assert [entry.content for entry in found.entries] == ["Q"]
        (found.title + found.source_id).encode()


def test_half_a_character_is_marked_and_what_stands_by_it_is_kept(tmp_path: Path) -> None:
    (found,) = read(tmp_path, json.dumps([chatgpt(node("u", None, "user", "a\ud83dA\udc00\ud83d\ude00"))]).encode())
    assert isinstance(found, Tree)
    assert found.entries[0].content == "a\ufffdA\ufffd\U0001f600"


def test_values_lie_across_the_pieces_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = chatgpt(
        node("u", None, "user", 'a "quote" \\ and \\" {[,]} \u00e4\U0001f600'), x=[[], {}, 1.5e3, None, True]
    )
    content = json.dumps({"conversations": [item, GOOD], "x": [1, {"y": "z"}]}, indent=1).encode()
    whole = read(tmp_path, content)
    assert len(whole) == 2
    for piece in range(1, 40):
        monkeypatch.setattr(stream, "PIECE", piece)
        assert read(tmp_path, content) == whole


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_whose_pieces_unpack_a_thousandfold_is_not_opened(tmp_path: Path, method: int) -> None:
    bomb = zipped({"conversations.json": b"[" + b" " * 40_000_000 + b"]"}, method=method)
    assert len(bomb) < 100_000
    tracemalloc.start()
    assert "packed in an unusual way" in refusal(tmp_path, bomb)
    with pytest.raises(Unreadable):
        upload.is_small(io.BytesIO(bomb), size=len(bomb))
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_zip_changed_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    whole = zipped({f"conversations-{n}.json": json.dumps([GOOD] * 3).encode() for n in range(3)})
    chance = random.Random(7)
    for _ in range(1000):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(4, len(changed))] = chance.choice([0, 1, 0x50, 0xFF, chance.randrange(256)])
        (tmp_path / "file").write_bytes(changed)
        try:
            upload.is_small(io.BytesIO(changed), size=len(changed))
            assert list(reading.check(tmp_path / "file", now=NOW))
        except Unreadable:
            pass


def test_what_no_conversation_can_be_is_not_read_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_VALUES", 1000)
    monkeypatch.setattr(stream, "HOPELESS", 9000)
    for many in (b"[]," * 20_000 + b"[]", b"[" * 20_000 + b"]" * 20_000, b"1," * 20_000 + b"1"):
        assert "far too large" in refusal(tmp_path, b"[[" + many + b"]," + json.dumps(GOOD).encode() + b"]")


def test_an_object_of_many_parts_has_no_more_room_than_a_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_VALUES", 10_000)
    part = b"[" + b"[]," * 8_000 + b"[]]"
    content = b"{" + b",".join(b'"%d":%b' % (number, part) for number in range(50)) + b"}"
    tracemalloc.start()
    (found,) = read(tmp_path, content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found, Skipped)
    assert "too large" in found.reason
    assert peak < 5_000_000, "and not that of 400,000 values"


def test_an_object_may_have_many_names(tmp_path: Path) -> None:
    many = {f"name {number}": {"x": [number]} for number in range(1500)}
    (found,) = read(tmp_path, json.dumps({**many, **GOOD}).encode())
    assert isinstance(found, Tree)


def test_more_conversations_than_the_limit_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_CONVERSATIONS", 3)
    assert "more than 3 conversations" in refusal(tmp_path, json.dumps([GOOD] * 4).encode())


def test_memory_holds_one_conversation_and_not_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    item = json.dumps({**GOOD, "filler": "x" * 50_000}).encode()
    with file.open("wb") as out:
        out.write(b"[" + b",".join([item] * 400) + b"]")
    tracemalloc.start()
    assert sum(isinstance(found, Tree) for found in reading.conversations(file, now=NOW)) == 400
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize(("size", "small"), [(10, True), (upload.SMALL + 1, False)])
def test_small_is_what_comes_out_and_not_what_is_sent(size: int, small: bool) -> None:
    content = b"[" + b" " * (size - 2) + b"]"
    packed = zipped({"conversations.json": content})
    assert upload.is_small(io.BytesIO(content), size=len(content)) is small
    assert upload.is_small(io.BytesIO(packed), size=len(packed)) is small
