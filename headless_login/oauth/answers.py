"""Finding an answer in whatever was pasted: around this sign-in's own state, wherever it stands.

A sign-in knows its state, 128 random bits, and the place that the browser ends at. So the text is
searched, not parsed. What is found goes to the strict parser and the judge (`redirect`), which
alone decide; where another reader of the text could find something different, nothing is taken.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import islice, pairwise
from typing import NamedTuple
from urllib.parse import parse_qs

from headless_login.errors import RejectedAnswer
from headless_login.oauth.decodings import BORDER, HARD, Text, views
from headless_login.oauth.naming import CANNOT_TELL, DAMAGED, TOO_LONG, Expected
from headless_login.oauth.redirect import Parameters, named_in, parse_query

LONGEST_ANSWER = 64 * 1024  # bytes
_MOST_ANCHORS = 64
_FARTHEST = 8192  # letters between a state and the beginning or end of its answer
_STATE_LENGTH = 22  # of every state that this program makes

_GOES_ON = (*"&;?#",)
_CLOSING = dict(zip("([<{>“„«‹「『【《（‘‚", ")]>}<”“»›」』】》）’‘", strict=True))
_OPENING = "\"'`*" + "".join(_CLOSING)
_AROUND = {*HARD, *_OPENING, *_CLOSING.values()} - {*"'*"}
_CANDIDATE = re.compile(r"(?:state=|#)([A-Za-z0-9_-]+)")
_CODE_ALONE = re.compile(r"[A-Za-z0-9._~+%!*\-]+=*")
_PIECE = re.compile(r"[_~+%*-]|\w{16}|\d[A-Za-z]|[A-Za-z]\d", re.A)  # of a code
_CODE = re.compile(r"code=([^&]*)")
_CODE_AND_MORE = re.compile(r"(?:.*[&;?#])?code=([^&;?#]*)&[A-Za-z_]\w*=", re.A)
_ENDS_IN_VALUE = re.compile(r"(?:^|[&;?#])(?:code|iss)(?:=[^&;?#]*)?\Z")
_SCHEME = re.compile(r"(?:(?:h?ttps?:)?//)?\Z", re.I | re.A)
_BARE = re.compile(
    r"(?:(?:/auth/)?callback\?|[?&])[A-Za-z_]\w*=|(?:code|scope|state|iss|error(?:_\w+)?|session_state)=",
    re.A,
)
_MARKS = re.compile(r"[\[('*$~]*")
# URL=, view-source:, fetch('
_LABEL = re.compile(rf"{_MARKS.pattern}(?:\+|[\w.;\-]+[=:(\]])?{_MARKS.pattern}", re.A)
_TIME = re.compile(r"\W*\d\d?(?::\d\d)+\W*")
_ALONE = re.compile(r"[=%/$#:\-]+|:[a-z-]+:")  # a prompt, `name = value`, a comment, `:path: value`
_ENDS = re.compile(r'["<>\\^`{|}]|[^\x21-\x7e]|\]\(')  # what no address goes on behind
_SHOWN = re.compile(
    r"\|[^>]{,200}/[^>]{,200}>"
)  # Slack's source: the address, and what it shows of it
# Nor a state, whose end is known: a text in brackets, a closing tag, zsh's mark of a missing break.
_STATE_ENDS = re.compile(rf"{_ENDS.pattern}|\[|\](?=[\w\[])|%(?![0-9A-Fa-f])", re.A)
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
        breaks = view.breaks(start, end)
        yield view.letters[start : breaks[0] if breaks else end]
        if end - start >= _STATE_LENGTH and not _is_grown(view, start + _STATE_LENGTH):
            yield view.letters[start : start + _STATE_LENGTH]


def read_pasted(pasted: Pasted, sign_in: Expected) -> Parameters:
    """Return the response parameters around this sign-in's state in a pasted text.

    Raises:
        RejectedAnswer: it has none, or none that can be told for certain.
    """
    if pasted.is_too_long:
        raise sign_in.rejection(TOO_LONG)
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
        raise sign_in.unanchored(views[0])
    return _only([*filter(_says_something, answers)] or answers)


def _says_something(answer: Parameters) -> bool:
    return bool({"code", "error"} & answer.keys())


def _answers(view: Text, sign_in: Expected, spans: list[tuple[int, int]]) -> list[Parameters]:
    """Return the answer at each place where the state stands; all of them have to be sound."""
    port, _, path = sign_in.redirect_uri.rpartition(":")[2].partition("/")
    names = r"(?:(?i:localhost)|127\.0\.0\.1|\[::1\])"
    place = re.compile(rf"{names}:0*{port}/{re.escape(path)}\?", re.A)
    places = [found.span() for found in place.finditer(view.letters)]
    anchors = [_Anchor(view, sign_in, places, *span) for span in spans]
    return [each.parameters() for each in anchors if not each.is_in_address_to_open]


def _spans(view: Text, sign_in: Expected) -> list[tuple[int, int]]:
    """Return where `state=` or `#` and this state begin and end; raises RejectedAnswer."""
    matches = re.finditer(f"(?:state=|#){re.escape(sign_in.state)}", view.letters)
    found = [*islice(matches, _MOST_ANCHORS + 1)]
    if len(found) > _MOST_ANCHORS:
        raise sign_in.rejection(CANNOT_TELL)
    return [each.span() for each in found if _is_parameter(view, each)]


def _is_parameter(view: Text, found: re.Match[str]) -> bool:
    start = found.start()
    word = view.word(start)
    if found[0][0] == "#":  # Behind a query it is the fragment, which is read with the query.
        return "=" not in view.letters[word:start].rstrip("=")
    return word == start or view.letters[start - 1] in "?&;#([{*'"  # else another name's end


def _only(answers: list[Parameters]) -> Parameters:
    """Return the one answer that all of them are."""
    told = [tuple(each.get(name) for name in ("code", "error", "iss")) for each in answers]
    if any(code for code, _, _ in told) and any(error for _, error, _ in told):
        fault = "The answer contains a code and an error together."
        raise RejectedAnswer("ambiguous_response", fault)
    if len({*told}) > 1:
        fault = "That holds different answers to this sign-in, not one."
        raise RejectedAnswer("duplicate_parameter", fault)
    return answers[0]


def _is_grown(view: Text, end: int) -> bool:
    """Return whether letters go on behind a state, which makes it another one."""
    for at in range(end, len(view.letters)):
        letter = view.letters[at]
        if view.gaps[at] != "0" or _STATE_ENDS.match(view.letters, at):
            return False
        if at == end and letter in _GOES_ON:
            return False
        if letter not in "'()[]*.,:!~&;?#":  # a sentence's
            return True
    return False


def _ends_before(before: str, marks: str) -> bool:
    """Return whether words before an address, and the marks that it stands behind, are no part."""
    if not _MARKS.fullmatch(marks):
        return not re.search(r"://|[?/@]", before)
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
        letters = self.view.letters
        if _is_grown(self.view, self.end):
            raise self.sign_in.torn("does not end where it should")
        if letters[self.start] == "#":
            return self._code_and_state()
        begin, address = self._beginning()
        behind = self._behind(address)
        query = f"{letters[begin : self.end]}{behind}"
        # Only iss and error_uri may hold an address.
        before = re.sub(r"(?:^|&)(?:iss|error_uri)=[^&]*", "", letters[begin : self.start])
        if re.search(r"://|\]\(", before):
            raise self.sign_in.foreign(before)
        parameters = parse_query(query)
        if "code_challenge" in parameters or "?" in before:  # another query begins
            raise self.sign_in.foreign(query)
        end = self.end + len(behind)
        code = _CODE.search(letters, begin, end)
        is_mixed = code and self._is_mixed(begin, *code.span(1), end)
        if is_mixed or _DAMAGED_CODE.search(query):
            raise self.sign_in.rejection(DAMAGED)
        return parameters

    def _beginning(self) -> tuple[int, int]:
        """Return where the query begins, and where the address does."""
        letters, starts = self.view.letters, self.view.starts
        farthest = max(0, self.start - _FARTHEST)
        nearest = [place for place in self.places if farthest <= place[1] <= self.start][-1:]
        for start, query in nearest:
            scheme = _SCHEME.search(letters, max(0, start - 8), start)
            address = start - len(scheme[0]) if scheme else start
            if self._stands_free(address, has_scheme=address < start - 2):
                return query, address
            raise self.sign_in.foreign(letters[start : self.start])
        for word in reversed(
            starts[bisect_right(starts, farthest - 1) : bisect_right(starts, self.start)]
        ):
            marks = _MARKS.match(letters, word)
            at = marks.end() if marks else word
            bare = _BARE.match(letters, at)
            # A break before & is in the middle of a query that is broken up.
            if not bare or (bare[0][0] == "&" and word and self.view.gaps[word] in "12"):
                continue
            if self.view.gaps[word] != "4" and self._stands_free(at, has_scheme=False):
                return at + bare[0].find("?") + 1 + (bare[0][0] == "&"), at
        raise self.sign_in.foreign(letters[farthest : self.end])

    def _stands_free(self, at: int, *, has_scheme: bool) -> bool:
        """Return whether nothing before an address makes it part of a longer one."""
        letters, gaps = self.view.letters, self.view.gaps
        word = self.view.word(at)
        marks = letters[word:at]
        if not (_LABEL if has_scheme else _MARKS).fullmatch(marks):
            return False
        if word == 0 or gaps[word] in "34":
            return True
        if gaps[word] == "0":  # behind a mark that no address has
            first = self.view.word(word - 1)
            if not has_scheme and letters[word - 1] not in _AROUND:
                return False
            is_own = any(first <= end <= word for _, end in self.places)
            return is_own or not re.search(r"\?|://|@", letters[first : word - 1])
        before = self.view.lines_before(word, _FARTHEST)
        last = letters[self.view.blank(word - 1) : word]
        if before[-1] in '">' or (gaps[word] == "1" and _ALONE.fullmatch(last)):
            return True
        if has_scheme:
            return _ends_before(before, marks)
        opens = last.startswith(f"{self.sign_in.authorization_endpoint}?")
        is_open = re.search(r"[./:@=&?%]\w|[/@=&?%#]\Z", before)
        return opens or not is_open or bool(_TIME.fullmatch(before))

    def _is_mixed(self, begin: int, start: int, end: int, stop: int) -> bool:
        """Return whether the lines of a code hold more: a neighbour's text, numbers, signs."""
        letters, gaps = self.view.letters, self.view.gaps
        inside = gaps[start : end + 1]
        if "1" in inside and ("2" in inside or "3" in inside):
            return True
        signs = [letters[at] for at in range(begin + 1, stop) if gaps[at] == "2"]  # of a patch
        if len(signs) > 1 and {*signs} == {"-"}:
            return True
        breaks = [at for at in self.view.breaks(start, end + 1) if gaps[at] == "2"]
        return any(letters[at] == "+" or letters[at - 1] == "=" for at in breaks)

    def _code_and_state(self) -> Parameters:
        """Return what `code#state` says, in a sentence or alone."""
        view, start = self.view, self.start
        code, behind = view.letters[:start].lstrip(_OPENING), view.letters[self.end :]
        breaks = view.breaks(start - len(code), start)
        is_code = _CODE_ALONE.fullmatch(code) and "1" not in {view.gaps[at] for at in breaks}
        # The only word of the first line is a greeting, not a part of the code.
        is_word = breaks and view.letters[: breaks[0]].isalpha()
        if not is_code or is_word or behind.strip("".join(_CLOSING.values()) + "\"'`*.,"):
            word = view.word(start if view.gaps[start] == "0" else start - 1)
            code = view.letters[word:start].lstrip("'([*")
            before = view.letters[view.blank(word - 1) : word] if word else ""
            is_free = self._stands_free(start - len(code), has_scheme=False)
            if not is_free or _PIECE.search(before):
                raise self.sign_in.rejection(CANNOT_TELL)
            if behind.startswith(_GOES_ON) or not _CODE_ALONE.fullmatch(code):
                raise self.sign_in.foreign(code)
        # Out of an address, escapes are undone; a `+` is its own: no code has blanks in it.
        return parse_query(f"code={code.replace('+', '%2B')}&state={self.sign_in.state}")

    def _behind(self, address: int) -> str:
        """Return what of the query stands behind the state."""
        view = self.view
        if not view.letters.startswith(_GOES_ON, self.end):
            return ""
        stop, is_closed = self._stop(address)
        joined = view.letters[self.end : stop]
        run = joined[: next(iter(view.breaks(self.end - 1, stop)), stop) - self.end]
        names = named_in(joined)
        is_told = names == named_in(run) and not _ENDS_IN_VALUE.search(run)
        if is_told or not names.keys() & {"code", "iss", "error", "state"}:
            return run
        if code := _CODE_AND_MORE.match(joined):
            return code[0] if names == named_in(code[0]) else joined
        if "code" not in names:
            is_whole = joined == run or parse_qs(joined).get("iss") == [self.sign_in.issuer]
        else:
            value = _ENDS_IN_VALUE.search(joined)
            is_broken = view.breaks(self.end + (value.start() if value else 0), stop)
            is_whole = is_closed and (not is_broken or self._is_regular(address, stop))
        if not is_whole:
            raise self.sign_in.rejection(CANNOT_TELL)
        return joined

    def _stop(self, address: int) -> tuple[int, bool]:
        """Return where the query can go on no longer, and whether it certainly ends there."""
        letters, gaps = self.view.letters, self.view.gaps
        ends = [start for start, _ in self.places if start > self.end]
        ends += [at for at in (gaps.find("3", self.end), gaps.find("4", self.end)) if at >= 0]
        hard = _ENDS.search(letters, self.end)
        stop = min([*ends, *([hard.start()] if hard else []), len(letters), self.end + _FARTHEST])
        mark = letters[address - 1] if address else ""
        closing = _CLOSING.get(mark, mark if mark in _OPENING else "")
        if closing in {*"'*)]"}:  # which an address may hold, too
            one, count = re.escape(closing), address - len(letters[:address].rstrip(mark))
            marks = re.compile(f"{one}{{{count}}}(?!{one})")
            found = [each.span() for each in marks.finditer(letters, self.end, stop + 1)]
            is_only = mark == "*" or letters.count(closing, self.end, stop + 1) == count
            for closed, after in found:
                # In a shell's line others may follow, but not where blanks break the address up.
                if gaps.startswith("1", after) and "1" not in gaps[address + 1 : closed]:
                    return closed, True
                if is_only and len(found) == 1 and not self._goes_on_at(after):
                    return closed, True
            if found:
                return stop, False
        elif mark == "<" and _SHOWN.match(letters, stop):
            return stop, True
        elif closing and letters.startswith(closing, stop):
            return stop, not self._goes_on_at(stop + 1)
        is_free = stop == len(letters) or gaps[stop] in "34"
        if is_free:
            return stop, not letters.startswith(BORDER, stop)
        is_unbroken = gaps[stop] == "1" and not self.view.breaks(address, stop)
        return stop, is_unbroken and letters[stop] != "…"

    def _goes_on_at(self, at: int) -> bool:
        """Return whether the address may go on behind a mark that seems to close it."""
        gap = self.view.gaps[at : at + 1]
        pattern = {"0": r"[\w~%+&=\-]", "2": r'[\w.~%+*\-]{8,}["&]'}.get(gap)
        return bool(pattern and re.compile(pattern, re.A).match(self.view.letters, at))

    def _is_regular(self, address: int, stop: int) -> bool:
        """Return whether lines of one length, and a shorter one, make up the address."""
        breaks = self.view.breaks(address, stop)
        lengths = [end - start for start, end in pairwise([*breaks, stop])]
        last = self.view.letters[breaks[-1] : stop]
        return (
            len(lengths) > 1
            and len({self.view.gaps[at] for at in breaks}) == 1
            and len({*lengths[:-1]}) == 1
            and max(lengths[-1], breaks[0] - address) <= lengths[0]
            and not re.fullmatch(r"[A-Za-z]+[.,:!]*|.{,3}", last)
        )
