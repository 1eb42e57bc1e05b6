"""Finding an answer in whatever was pasted: around this sign-in's own state, wherever it stands.

A sign-in knows its state, 128 random bits, and the place that the browser ends at. So the text is
searched, not parsed. What is found goes to the strict parser and the judge (`redirect`), which
alone decide; where another reader of the text could find something different, nothing is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import islice, pairwise
from typing import NamedTuple
from urllib.parse import parse_qs

from headless_login.errors import RejectedAnswer
from headless_login.oauth.decodings import BORDER, HARD, Text, views
from headless_login.oauth.naming import (
    Expected,
    address_to_open,
    cannot_tell,
    damaged,
    foreign,
    not_a_redirect,
    torn_state,
    unanchored,
)
from headless_login.oauth.redirect import Parameters, named_in, parse_query

LONGEST_ANSWER = 64 * 1024  # bytes
_MOST_ANCHORS = 64
_FARTHEST = 8192  # letters between a state and the beginning or end of its answer
_STATE_LENGTH = 22  # of every state that this program makes

_GOES_ON = "&;?#"
_SOFT = "'()[]*.,:!"  # may stand in an address, and close or end a sentence
_CLOSING = dict(zip("([<{>“„«‹「『【《（‘‚", ")]>}<”“»›」』】》）’‘", strict=True))
_OPENING = {*"\"'`*", *_CLOSING}
_AROUND = {*HARD, *"([", *_CLOSING, *_CLOSING.values()}
_BREAK = re.compile("[1-4]")
_CANDIDATE = re.compile(r"(?:state=|#)([A-Za-z0-9_-]+)")
_CODE_ALONE = re.compile(r"[A-Za-z0-9._~+%!*\-]+=*")
_CODE = re.compile(r"code=([^&]*)")
_CODE_AND_MORE = re.compile(r"(?:.*[&;?#])?code=([^&;?#]*)&[A-Za-z_]\w*=", re.A)
_SCHEME = re.compile(r"(?:(?:h?ttps?:)?//)?\Z", re.I | re.A)
_BARE = re.compile(
    r"(?:(?:/auth/)?callback\?|[?&])[A-Za-z_]\w*=|(?:code|scope|state|iss|error(?:_\w+)?|session_state)=",
    re.A,
)
_MARKS = r"[\[('*$~]*"
_SOME_MARKS = re.compile(_MARKS)
_LABEL = re.compile(
    rf"{_MARKS}(?:\+|[\w.;\-]+[=:(\]])?{_MARKS}", re.A
)  # URL=, view-source:, fetch('
_TIME = re.compile(r"\W*\d\d?(?::\d\d)+\W*")
_ENDS = re.compile(r'["<>\\^`{|}]|[^\x21-\x7e]|\]\(')  # what no address goes on behind
# Nor a state, whose end is known: a text in brackets, a closing tag, zsh's mark of a missing break.
_STATE_ENDS = re.compile(rf"{_ENDS.pattern}|\[|\](?=[\w\[])|%(?![0-9A-Fa-f])", re.A)
_ALONE = re.compile(r"[=%/$#:\-]+|:[a-z-]+:")  # a prompt, `name = value`, a comment, `:path: value`
_ENDS_IN_VALUE = re.compile(r"(?:^|[&;?#])(?:code|iss)(?:=[^&;?#]*)?\Z")
# Never in a form-urlencoded value; only `=` at its end, as base64 has it, is forgiven. Three dots
# or asterisks are a cut or a mask.
_DAMAGED_CODE = re.compile(
    r"(?:^|&)code=[^&#]*(?:[<>\"\\^`{|}]|[^\x21-\x7e]|\.{3}|\*{3}|=[^=&#]|%(?![0-9A-Fa-f]{2}))"
)


class Pasted:
    """A pasted text, decoded once; which sign-in it answers is judged by each one's own state."""

    def __init__(self, text: str) -> None:
        """A text of more than 64 KiB is no answer."""
        self.is_too_long = len(text.encode(errors="replace")) > LONGEST_ANSWER
        self._text = "" if self.is_too_long else text

    @cached_property
    def views(self) -> list[Text]:
        """What it says as it stands and decoded, most likely first."""
        return list(views(self._text))

    @cached_property
    def states(self) -> set[str]:
        """Every state that it carries, not judged yet: they tell whose answer this may be."""
        return {state for view in self.views for state in _states(view)}


def _states(view: Text) -> Iterator[str]:
    for found in _CANDIDATE.finditer(view.letters):
        start, end = found.span(1)
        cut = _BREAK.search(view.gaps, start + 1, end)
        yield view.letters[start : cut.start() if cut else end]
        if end - start >= _STATE_LENGTH and not _is_grown(view, start + _STATE_LENGTH):
            yield view.letters[start : start + _STATE_LENGTH]


def read_pasted(pasted: Pasted, sign_in: Expected) -> Parameters:
    """Return the response parameters around this sign-in's state in a pasted text.

    Raises:
        RejectedAnswer: it has none, or none that can be told for certain.
    """
    if pasted.is_too_long:
        raise not_a_redirect("That is longer than any answer (64 KiB).", sign_in)
    answers: list[Parameters] = []
    seen = 0
    *views, labelled = pasted.views
    for view in views:
        # What only decoding shows is an answer as well, and must not be a different one.
        spans = _spans(view, sign_in)
        if len(spans) > seen:
            answers, seen = _answers(view, sign_in, spans), len(spans)
    if not any(map(_says_something, answers)):
        answers = _answers(labelled, sign_in, _spans(labelled, sign_in)) or answers
    if not answers:
        raise unanchored(views[0], sign_in)
    return _only([*filter(_says_something, answers)] or answers)


def _says_something(answer: Parameters) -> bool:
    return bool({"code", "error"} & answer.keys())


def _answers(view: Text, sign_in: Expected, spans: list[tuple[int, int]]) -> list[Parameters]:
    """Return the answer at each place where the state stands; all of them have to be sound."""
    place = re.compile(_place(sign_in.redirect_uri), re.A)
    places = [found.span() for found in place.finditer(view.letters)]
    anchors = [_Anchor(view, sign_in, places, *span) for span in spans]
    return [each.parameters() for each in anchors if not each.is_in_address_to_open]


def _place(redirect_uri: str) -> str:
    """Return a pattern of the redirect URI behind its scheme, by each name of this machine."""
    port, _, path = redirect_uri.rpartition(":")[2].partition("/")
    return rf"(?:(?i:localhost)|127\.0\.0\.1|\[::1\]):0*{port}/{re.escape(path)}\?"


def _spans(view: Text, sign_in: Expected) -> list[tuple[int, int]]:
    """Return where `state=` or `#` and this state begin and end; raises RejectedAnswer."""
    matches = re.finditer(f"(?:state=|#){re.escape(sign_in.state)}", view.letters)
    found = [*islice(matches, _MOST_ANCHORS + 1)]
    if len(found) > _MOST_ANCHORS:
        raise cannot_tell(sign_in)
    return [each.span() for each in found if _is_parameter(view, each)]


def _is_parameter(view: Text, found: re.Match[str]) -> bool:
    start = found.start()
    word = view.word(start)
    if found[0][0] == "#":  # Behind a query it is the fragment, which is read with the query.
        return "=" not in view.letters[word:start].rstrip("=")
    return word == start or view.letters[start - 1] in "?&;#([{*'"  # else another name's end


def _only(answers: list[Parameters]) -> Parameters:
    """Return the one answer that all of them are."""
    told = [{name: each.get(name) for name in ("code", "error", "iss")} for each in answers]
    if any(each["code"] for each in told) and any(each["error"] for each in told):
        raise RejectedAnswer(
            "ambiguous_response", "The answer contains a code and an error together."
        )
    if any(each != told[0] for each in told):
        raise RejectedAnswer(
            "duplicate_parameter", "That holds different answers to this sign-in, not one."
        )
    return answers[0]


def _is_grown(view: Text, end: int) -> bool:
    """Return whether letters go on behind a state, which makes it another one."""
    for at in range(end, len(view.letters)):
        if view.gaps[at] != "0":
            return False
        letter = view.letters[at]
        if _STATE_ENDS.match(view.letters, at) or (at == end and letter in _GOES_ON):
            return False
        if letter not in f"{_SOFT}{_GOES_ON}~":
            return True
    return False


def _ends_before(before: str, marks: str) -> bool:
    """Return whether words before an address, and the marks that it stands behind, are no part."""
    if not _SOME_MARKS.fullmatch(marks):
        return not re.search(r"://|\?|/|@", before)
    if before[-1] == "?":  # of a sentence, not of an address
        return not re.search(r"[./:@=&]", before)
    if marks:
        return before[-1] not in "=&"
    return before[-1] not in "=&/@" and ("://" not in before or before[-1].isalnum())


class _Anchor(NamedTuple):
    """Where this sign-in's state stands, from which its answer is read outward."""

    view: Text
    sign_in: Expected
    places: list[tuple[int, int]]  # where this sign-in's own place stands
    start: int
    end: int

    @property
    def is_in_address_to_open(self) -> bool:
        """Whether the state is that of the authorization request, which answers nothing."""
        before = self.view.letters[max(0, self.start - _FARTHEST) : self.start]
        _, found, query = before.rpartition(f"{self.sign_in.authorization_endpoint}?")
        return bool(found) and "code_challenge=" in query and "://" not in query

    def parameters(self) -> Parameters:
        """Return the parameters of this answer; raises RejectedAnswer."""
        view = self.view
        if _is_grown(view, self.end):
            raise torn_state("does not end where it should")
        if view.letters[self.start] == "#":
            return self._code_and_state()
        begin, address = self._beginning()
        before = self._unquoted(view.letters[begin : self.start], address)
        behind = self._behind(address)
        query = f"{before}{view.letters[self.start : self.end]}{behind}"
        # Only iss and error_uri may hold an address.
        if re.search(r"://|\]\(", re.sub(r"(?:^|&)(?:iss|error_uri)=[^&]*", "", before)):
            raise foreign(before, self.sign_in)
        parameters = parse_query(query)
        if "code_challenge" in parameters:
            raise address_to_open(self.sign_in)
        if "?" in before:  # another query begins
            raise foreign(before, self.sign_in)
        end = self.end + len(behind)
        code = _CODE.search(view.letters, begin, end)
        is_mixed = code and self._is_mixed(begin, *code.span(1), end)
        if is_mixed or _DAMAGED_CODE.search(query):
            raise damaged(self.sign_in)
        return parameters

    def _beginning(self) -> tuple[int, int]:
        """Return where the query begins, and where the address does."""
        letters = self.view.letters
        nearest = [place for place in self.places if place[1] <= self.start][-1:]
        if nearest and self.start - nearest[0][1] <= _FARTHEST:
            start, query = nearest[0]
            scheme = _SCHEME.search(letters, max(0, start - 8), start)
            address = start - len(scheme[0]) if scheme else start
            if self._stands_free(address, has_scheme=address < start - 2):
                return query, address
            raise foreign(letters[start : self.start], self.sign_in)
        word = self.start
        while word >= max(0, self.start - _FARTHEST):
            marks = _SOME_MARKS.match(letters, word)
            at = marks.end() if marks else word
            bare = _BARE.match(letters, at)
            if bare and bare[0][0] == "&" and self.view.gaps[word] in "12" and word:
                bare = None  # in the middle of a query that is broken up
            if bare and self.view.gaps[word] != "4" and self._stands_free(at, has_scheme=False):
                return at + bare[0].find("?") + 1 + (bare[0][0] == "&"), at
            word = self.view.word(word - 1) if word else -1
        raise foreign(letters[max(0, self.start - _FARTHEST) : self.end], self.sign_in)

    def _stands_free(self, at: int, *, has_scheme: bool) -> bool:
        """Return whether nothing before an address makes it part of a longer one."""
        letters, gaps = self.view
        word = self.view.word(at)
        if not (_LABEL if has_scheme else _SOME_MARKS).fullmatch(letters, word, at):
            return False
        if word == 0 or gaps[word] == "3" or gaps[word] == "4":
            return True
        if gaps[word] == "0":  # behind a mark that no address has
            around = letters[self.view.word(word - 1) : word - 1]
            if not (has_scheme or letters[word - 1] in _AROUND):
                return False
            return not re.search(r"\?|://|@", around) or any(
                word - len(around) <= end <= word for _, end in self.places
            )
        before = self._lines_before(word)
        last = letters[self.view.blank(word - 1) : word]
        if before[-1] in '">' or (gaps[word] == "1" and _ALONE.fullmatch(last)):
            return True
        if has_scheme:
            return _ends_before(before, letters[word:at])
        return (
            last.startswith(f"{self.sign_in.authorization_endpoint}?")
            or not re.search(r"[./:@=&?%]\w|[/@=&?%#]\Z", before)
            or bool(_TIME.fullmatch(before))
        )

    def _lines_before(self, word: int) -> str:
        """Return the word before one, and the lines of one word before that."""
        first = word
        while first > max(0, word - _FARTHEST):
            first = self.view.blank(first - 1)
            if self.view.gaps[first] != "2" or self.view.gaps[word] != "2":
                break
        return self.view.letters[first:word]

    def _unquoted(self, query: str, address: int) -> str:
        """Undo what a shell's single quotes do to one inside them."""
        if self.view.letters[address - 1 : address] != "'" or "'" not in query:
            return query
        if self.view.letters[address - 2 : address] == "$'":
            return query  # \' it was
        bare = query.replace("'''", "\0")  # '\'' it was
        if "'" in bare:
            raise damaged(self.sign_in)
        return bare.replace("\0", "'")

    def _is_mixed(self, begin: int, start: int, end: int, stop: int) -> bool:
        """Return whether the lines of a code hold more: a neighbour's text, numbers, signs."""
        letters, gaps = self.view
        inside = gaps[start : end + 1]
        if "1" in inside and ("2" in inside or "3" in inside):
            return True
        signs = [letters[at] for at in range(begin + 1, stop) if gaps[at] == "2"]  # of a patch
        if len(signs) > 1 and {*signs} == {"-"}:
            return True
        breaks = [at for at in range(start + 1, min(end + 1, len(gaps))) if gaps[at] == "2"]
        return any(letters[at] == "+" or letters[at - 1] == "=" for at in breaks)

    def _code_and_state(self) -> Parameters:
        """Return what `code#state` says, in a sentence or alone."""
        view, start = self.view, self.start
        code = view.letters[:start].lstrip("".join(_OPENING))
        is_alone = not view.letters[self.end :].strip("".join(_CLOSING.values()) + "\"'`*.,")
        if (
            not is_alone
            or "1" in view.gaps[start - len(code) + 1 : start]
            or not _CODE_ALONE.fullmatch(code)
        ):
            word = view.word(start if view.gaps[start] == "0" else start - 1)
            code = view.letters[word:start].lstrip("'([*")
            before = view.letters[view.blank(word - 1) : word] if word else ""
            is_piece = re.search(r"[_~+%*-]|\w{16}|\d[A-Za-z]|[A-Za-z]\d", before, re.A)
            if is_piece or not self._stands_free(start - len(code), has_scheme=False):
                raise cannot_tell(self.sign_in)
        goes_on = view.letters[self.end : self.end + 1] in {*_GOES_ON}
        if goes_on or not _CODE_ALONE.fullmatch(code):
            raise foreign(code, self.sign_in)
        # Out of an address, escapes are undone; a `+` is its own: no code has blanks in it.
        return parse_query(f"code={code.replace('+', '%2B')}&state={self.sign_in.state}")

    def _behind(self, address: int) -> str:
        """Return what of the query stands behind the state."""
        letters, gaps = self.view
        if letters[self.end : self.end + 1] not in {*_GOES_ON}:
            return ""
        stop = self._stop()
        run_end = self.end if gaps[self.end] != "0" else self.view.word_end(self.end)
        run, joined = letters[self.end : min(stop, run_end)], letters[self.end : stop]
        names = named_in(joined)
        if not names.keys() & {"code", "iss", "error", "state"}:
            return run
        closed = self._closed(address, stop)
        if closed is not None:
            value, end = _ENDS_IN_VALUE.search(closed), self.end + len(closed)
            is_broken = value and gaps[self.end + value.start() + 1 : end].strip("0")
            if is_broken and not self._is_regular(address, end):
                raise cannot_tell(self.sign_in)
            return closed
        is_last = _ENDS_IN_VALUE.search(run)
        is_cut = _ENDS_IN_VALUE.search(joined) and self._is_cut(address, stop)
        if (joined == run or self._is_regular(address, stop)) and not is_cut:
            return joined
        if names == named_in(run) and not is_last:
            return run
        code = _CODE_AND_MORE.match(joined)
        if code:
            return code[0] if names == named_in(code[0]) else joined
        if "code" not in names and parse_qs(joined).get("iss") == [self.sign_in.issuer]:
            return joined
        raise cannot_tell(self.sign_in)

    def _is_cut(self, address: int, stop: int) -> bool:
        """Return whether a mark that no address has may stand within what ends before it."""
        letters, gaps = self.view
        if stop == len(letters) or gaps[stop] in "34":
            return letters[stop : stop + 1] == BORDER
        is_broken = gaps[address + 1 : stop].strip("0")
        return gaps[stop] != "1" or letters[stop] == "…" or bool(is_broken)

    def _stop(self) -> int:
        """Return where whatever stands behind the state can go on no longer."""
        letters, gaps = self.view
        ends = [start for start, _ in self.places if start > self.end]
        ends += [at for at in (gaps.find("3", self.end), gaps.find("4", self.end)) if at >= 0]
        if hard := _ENDS.search(letters, self.end):
            ends.append(hard.start())
        return min([*ends, len(letters), self.end + _FARTHEST])

    def _closed(self, address: int, stop: int) -> str | None:
        """Return what stands behind the state, if a mark closes that opened before the address."""
        letters, gaps = self.view
        mark = letters[address - 1] if address else ""
        closing = _CLOSING.get(mark, mark if mark in _OPENING else "")
        text = letters[self.end : stop]
        if not closing or closing in HARD or not closing.isascii() or text.count(closing) == 0:
            return text if self._is_closed_at(stop, mark, closing) else None
        count = address - len(letters[:address].rstrip(mark))
        one = re.escape(closing)
        found = [each.span() for each in re.finditer(f"{one}{{{count}}}(?!{one})", text)]
        is_one = len(found) == 1 and (mark == "*" or text.count(closing) == count)
        for at, after in ((self.end + start, self.end + end) for start, end in found):
            if letters[after : after + 2] == "\"'":  # '"'"', as shells quote a single quote
                break
            if is_one and (after >= stop or gaps[after] != "0" or letters[after] in _SOFT):
                return letters[self.end : at]
            # In a shell's line others may follow, but not where blanks break the address up.
            if gaps[after : after + 1] == "1" and "1" not in gaps[address + 1 : at]:
                return letters[self.end : at]
        if found:
            raise cannot_tell(self.sign_in)
        return None

    def _is_closed_at(self, stop: int, mark: str, closing: str) -> bool:
        """Return whether a mark that no address has closes there; raises if a code may go on."""
        letters, gaps = self.view
        if mark == "<" and re.match(r"\|[^>]*/[^>]*>", letters[stop : stop + 200]):
            return True  # Slack's source: the address, and what it shows of it
        if not closing or letters[stop : stop + 1] != closing:
            return False
        behind, gap = letters[stop + 1 : stop + 100], gaps[stop + 1 : stop + 2]
        is_glued = gap == "0" and re.match(r"[\w~%+-]", behind, re.A)
        if is_glued or (gap == "2" and re.match(r'[\w.~%+*-]{8,}["&]', behind)):
            raise cannot_tell(self.sign_in)
        return True

    def _is_regular(self, address: int, stop: int) -> bool:
        """Return whether lines of one length, and a shorter one, make up the address."""
        gaps = self.view.gaps
        breaks = [at for at in range(address + 1, stop) if gaps[at] != "0"]
        lengths = [after - at for at, after in pairwise([*breaks, stop])]
        last = self.view.letters[breaks[-1] : stop] if breaks else ""
        return (
            len(lengths) > 1
            and len({gaps[at] for at in breaks}) == 1
            and len({*lengths[:-1]}) == 1
            and max(lengths[-1], breaks[0] - address) <= lengths[0]
            and not re.fullmatch(r"[A-Za-z]+[.,:!]*|.{,3}", last)
        )
