"""Fitting a branch into a token limit, with branches of every shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from conversations.context import Context, Entry, MessageTooLong, fit
from conversations.tokens import Tokenizer

pytestmark = pytest.mark.once("embedded")

WORDS = Tokenizer("words", per_message=4, per_request=3, count_piece=lambda text: len(text.split()))
NEW = Entry(role="user", content="a new question", tokens=3)


def entry(role: str, words: int, number: int = 0) -> Entry:
    content = " ".join([f"{role}{number}"] * words)
    return Entry(role=role, content=content, tokens=words)


def exchange(words: tuple[int, int], number: int = 0) -> list[Entry]:
    return [entry("user", words[0], number), entry("assistant", words[1], number)]


def fitted(branch: Iterable[Entry], *, limit: int, system_prompt: str = "", message: Entry = NEW) -> Context:
    """The context of a branch that is given oldest first."""
    entries = list(branch)
    return fit(
        system_prompt=system_prompt, newest_first=reversed(entries), message=message, depth=len(entries), limit=limit,
        tokenizer=WORDS,
    )  # fmt: skip


def tokens_of(entries: Iterable[Entry]) -> int:
    """What the entries weigh in a request, counted anew."""
    return WORDS.per_request + sum(WORDS.count(part.content) + WORDS.per_message for part in entries)


# An exchange is a question and its answer; an empty answer is one that failed or was stopped before it said anything.
exchanges = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=12)
branches = exchanges.map(lambda sizes: [part for number, words in enumerate(sizes) for part in exchange(words, number)])


@trials(deadline=None)
@given(branch=branches, limit=st.integers(0, 400), prompt=st.integers(0, 30), new=st.integers(1, 50))
def test_whatever_the_branch_the_limit_holds_and_exchanges_stay_whole(
    branch: list[Entry], limit: int, prompt: int, new: int
) -> None:
    system_prompt, message = " ".join(["prompt"] * prompt), entry("user", new, 99)
    start = [Entry(role="system", content=system_prompt, tokens=prompt)] if prompt else []
    least = tokens_of([*start, message])
    if least > limit:
        with pytest.raises(MessageTooLong) as refused:
            fitted(branch, limit=limit, system_prompt=system_prompt, message=message)
        assert refused.value.details == {"token_count": least, "limit": limit}
        return

    context = fitted(branch, limit=limit, system_prompt=system_prompt, message=message)

    assert context.prompt_tokens == tokens_of(context.entries) <= limit == context.limit
    assert list(context.entries[: len(start)]) == start
    assert context.entries[-1] == message
    window = list(context.entries[len(start) : -1])
    answered = [branch[at : at + 2] for at in range(0, len(branch), 2) if branch[at + 1].content]
    kept = len(window) // 2
    assert [part.role for part in window] == ["user", "assistant"] * kept
    assert window == [part for pair in answered[len(answered) - kept :] for part in pair], "the newest, and all of them"
    if kept < len(answered):  # the next older one would not have fitted
        assert tokens_of([*context.entries, *answered[len(answered) - kept - 1]]) > limit
    assert context.included == len(window) + 1
    assert context.dropped == len(branch) - len(window)


def test_the_provider_gets_the_system_prompt_first_and_the_new_message_last() -> None:
    context = fitted(exchange((1, 2)), limit=100, system_prompt="Be brief.")

    assert context.as_messages() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "user0"},
        {"role": "assistant", "content": "assistant0 assistant0"},
        {"role": "user", "content": "a new question"},
    ]
    assert context.as_json() == {
        "prompt_tokens": 3 + (2 + 4) + (1 + 4) + (2 + 4) + (3 + 4),
        "limit": 100,
        "included_messages": 3,
        "dropped_messages": 0,
    }


@pytest.mark.parametrize("room", [0, -1])
def test_a_message_that_fits_exactly_goes_and_one_token_more_does_not(room: int) -> None:
    limit = tokens_of([NEW]) + room
    if room == 0:
        assert fitted([], limit=limit).included == 1
        return
    with pytest.raises(MessageTooLong) as refused:
        fitted([], limit=limit)
    assert refused.value.details == {"token_count": limit + 1, "limit": limit}
    assert (refused.value.code, refused.value.status) == ("message_too_long", 400)


@pytest.mark.parametrize(("room", "included"), [(0, 3), (-1, 1)])
def test_an_exchange_that_fits_exactly_goes_and_one_token_more_does_not(room: int, included: int) -> None:
    branch = exchange((5, 6))
    limit = tokens_of([*branch, NEW]) + room
    context = fitted(branch, limit=limit)
    assert (context.included, context.dropped) == (included, 3 - included)


def test_an_exchange_without_an_answer_is_passed_over_and_older_ones_still_go() -> None:
    oldest, failed, newest = exchange((2, 2), 1), exchange((2, 0), 2), exchange((2, 2), 3)

    context = fitted([*oldest, *failed, *newest], limit=1000)

    assert list(context.entries) == [*oldest, *newest, NEW]
    assert (context.included, context.dropped) == (5, 2)


def test_a_question_that_was_never_answered_is_left_out() -> None:
    context = fitted([*exchange((1, 1), 1), entry("user", 1, 2)], limit=1000)
    assert list(context.entries) == [*exchange((1, 1), 1), NEW]
    assert context.dropped == 1


def test_nothing_older_goes_once_an_exchange_did_not_fit() -> None:
    small, big, newest = exchange((1, 1), 1), exchange((90, 90), 2), exchange((1, 1), 3)
    context = fitted([*small, *big, *newest], limit=60)
    assert list(context.entries) == [*newest, NEW]
    assert context.dropped == 4


@pytest.mark.parametrize("length", [10, 1_000_000])
def test_the_branch_is_read_no_further_than_the_window_reaches(length: int) -> None:
    read: list[int] = []

    def newest_first() -> Iterator[Entry]:
        for number in range(length):
            read.append(number)
            yield entry("user" if number % 2 else "assistant", 6, number)

    limit = tokens_of([NEW]) + 2 * 20  # two exchanges of 2 × (6 + 4) tokens
    context = fit(
        system_prompt="", newest_first=newest_first(), message=NEW, depth=length, limit=limit, tokenizer=WORDS
    )

    assert (context.included, context.dropped) == (5, length - 4)
    assert len(read) == 5  # two exchanges, and the answer of the one that did not fit


def test_answers_in_a_row_are_read_no_further_than_they_could_fit() -> None:
    read: list[int] = []

    def newest_first() -> Iterator[Entry]:
        for number in range(1000):
            read.append(number)
            yield entry("assistant", 10, number)

    context = fit(
        system_prompt="", newest_first=newest_first(), message=NEW, depth=1000, limit=100, tokenizer=WORDS
    )  # fmt: skip
    assert context.entries == (NEW,)
    assert len(read) < 10
