"""Finding an answer in whatever was pasted: around this sign-in's own state, wherever it stands.

The text is searched, not parsed. What is found goes to the strict parser and the judge
(`redirect`), which alone decide; where another reader could find something else, nothing is taken.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import islice
from urllib.parse import parse_qs

from headless_login.oauth.decodings import BORDER, HARD, UNKNOWN, Pasted, Text
from headless_login.oauth.naming import CANNOT_TELL, DAMAGED, DIFFERENT, TOO_LONG, Expected
from headless_login.oauth.redirect import Parameters, named_in, parse_query
from headless_login.typed import NamedTuple

_MOST_ANCHORS = 64
_FARTHEST = 8192  # letters between a state and the beginning or end of its answer
_GOES_ON = (*"&;?#",)
_CLOSING = dict(zip("([<{>“„«‹「『【《（‘‚", ")]>}<”“»›」』】》）’‘", strict=True))
_OPENING = "\"'`*" + "".join(_CLOSING)
_AROUND = {*HARD, *_OPENING, *_CLOSING.values()} - {*"'*"}
_CODE_ALONE = re.compile(r"[A-Za-z0-9._~+%!*\-]+=*")
# Of a code, or of an address.
_PIECE = re.compile(r"(?a)[_~+%*-]|\w{16}|\d[A-Za-z]|[A-Za-z]\d|[./:@=&?][A-Za-z/]|[/@=&?%#\\]\Z")
_CODE = re.compile(r"code=([^&]*)")
_CODE_AND_MORE = re.compile(r"(?:.*[&;?#])?code=([^&;?#]*)&[A-Za-z_]\w*=", re.A)
_ENDS_IN_VALUE = re.compile(r"(?:^|[&;?#])(?:code|iss)(?:=[^&;?#]*)?\Z")
_SCHEME = re.compile(r"(?:(?:h?ttps?:)?//)?\Z", re.I | re.A)
_MARKS = re.compile(r"[\[('*$~]*")
_BARE = re.compile(  # where a query begins, behind the path or alone
    rf"{_MARKS.pattern}((?:(?:/auth/)?callback\?|[?&])(?=[A-Za-z_]\w*=)"
    r"|(?=(?:code|scope|state|iss|error(?:_\w+)?|session_state)=))",
    re.A,
)
# URL=, view-source:, fetch('
_LABEL = re.compile(rf"{_MARKS.pattern}(?:\+|[\w.;\-]+[=:(\]])?{_MARKS.pattern}", re.A)
_TIME = re.compile(r"\W*\d\d?(?::\d\d)+\W*")
_ALONE = re.compile(r"[=%/$#:\-]+|:[a-z-]+:")  # a prompt, `name = value`, a comment, `:path: value`
_ENDS = re.compile(r'["<>\\^`{|}]|[^\x21-\x7e]|\]\(')  # what no address goes on behind
# What goes on behind a mark that seems to close an address, at once or on the next line.
_GOING_ON = {"0": r"[\w~%+&=\-]", "2": r'[\w.~%+*\-]{8,}["&]'}
# Nor a state, whose end is known: a text in brackets, a closing tag, zsh's mark of a missing break.
# What else stands behind it, but for marks of a sentence, makes it grow.
_STATE_ENDS = rf"{_ENDS.pattern}|\[|\](?=[\w\[])|%(?![0-9A-Fa-f])"
_FOLLOWS = r"['()*.,:!~&;?#\]]"
_GROWN = re.compile(
    rf"(?![&;?#])(?:(?!{_STATE_ENDS}){_FOLLOWS})*(?!{_STATE_ENDS}|{_FOLLOWS}).", re.A | re.S
)
# Never in a form-urlencoded value; only `=` at its end, as base64 has it, is forgiven. Three dots
# or asterisks are a cut or a mask.
_DAMAGED_CODE = re.compile(
    r"(?:^|&)code=[^&#]*(?:[<>\"\\^`{|}]|[^\x21-\x7e]|\.{3}|\*{3}|=[^=&#]|%(?![0-9A-Fa-f]{2}))"
)


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
        anchors = _anchors(view, sign_in)
        if len(anchors) > seen:
            answers, seen = [each.parameters() for each in anchors], len(anchors)
    if not any({"code", "error"} & each.keys() for each in answers):
        answers = [each.parameters() for each in _anchors(labelled, sign_in)] or answers
    if not answers:
        raise sign_in.unanchored(views[0])
    answers = [each for each in answers if {"code", "error"} & each.keys()] or answers
    if len({tuple(map(each.get, ("code", "error", "iss"))) for each in answers}) > 1:
        raise sign_in.rejection(DIFFERENT, "duplicate_parameter")
    return answers[0]


def _anchors(view: Text, sign_in: Expected) -> list[_Anchor]:
    """Return where `state=` or `#` and this state stand in an answer; raises RejectedAnswer."""
    matches = re.finditer(f"(?:state=|#){re.escape(sign_in.state)}", view.letters)
    found = [each.span() for each in islice(matches, _MOST_ANCHORS + 1)]
    if len(found) > _MOST_ANCHORS:
        raise sign_in.rejection(CANNOT_TELL)
    port, _, path = sign_in.redirect_uri.rpartition(":")[2].partition("/")
    names = r"(?:(?i:localhost)|127\.0\.0\.1|\[::1\])"
    place = re.compile(rf"{names}:0*{port}/{re.escape(path)}\?", re.A)
    places = [each.span() for each in place.finditer(view.letters)] if found else []
    anchors = [_Anchor(view, sign_in, places, *span) for span in found]
    return [each for each in anchors if not each.is_in_address_to_open]


def _ends_before(before: str, marks: str) -> bool:
    """Return whether words before an address, and the marks that it stands behind, are no part."""
    if not _MARKS.fullmatch(marks):
        return not re.search(r"://|[?/@]", before)
    if marks:
        return before[-1] not in "=&"
    is_open = before[-1] in "=&/@" or ("://" in before and not before[-1].isalnum())
    return not is_open and not re.search(r"/[^/]*\?\Z", before)


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
        if _GROWN.match(letters[self.end : self.view.word_end(self.end)]):
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
        if is_mixed or BORDER in query or _DAMAGED_CODE.search(query):
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
        for word in reversed(starts[: bisect_right(starts, self.start)]):
            bare = _BARE.match(letters, word)
            if word < farthest:
                break
            # A break before & is in the middle of a query that is broken up.
            if not bare or self.view.gaps[word] in ("124" if bare[1] == "&" else "4"):
                continue
            address, query = bare.span(1)
            if self._stands_free(address, has_scheme=False):
                return query, address
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
        is_scheme = before[-1] == ":" and letters.startswith("//", at)
        return opens or bool(_TIME.fullmatch(before)) or not (is_open or is_scheme)

    def _is_mixed(self, begin: int, start: int, end: int, stop: int) -> bool:
        """Return whether the lines of a code hold more: a neighbour's text, numbers, signs."""
        letters, gaps = self.view.letters, self.view.gaps
        inside = {*gaps[start : end + 1]}
        signs = [letters[at] for at in range(begin + 1, stop) if gaps[at] == "2"]  # of a patch
        breaks = [at for at in self.view.breaks(start, end + 1) if gaps[at] in "23"]
        return "4" in inside or (
            ("1" in inside and bool(inside & {"2", "3"}))
            or (len(signs) > 1 and {*signs} == {"-"})
            or any(letters[at] == "+" or letters[at - 1] == "=" for at in breaks)
        )

    def _code_and_state(self) -> Parameters:
        """Return what `code#state` says, in a sentence or alone."""
        letters, gaps = self.view.letters, self.view.gaps
        first = max(0, *(gaps.rfind(gap, 0, self.start) for gap in "13"))
        if "2" not in gaps[first : self.start]:
            first = max(first, self.view.word(self.start - 1))
        code = letters[first : self.start].lstrip(_OPENING)
        before = letters[self.view.blank(first - 1) : first].strip(_OPENING) if first else ""
        behind = letters[self.end :].strip("".join(_CLOSING.values()) + "\"'`*.,")
        is_code = _CODE_ALONE.fullmatch(code) and self.sign_in.state not in code
        if behind.startswith(_GOES_ON) or not is_code:
            raise self.sign_in.foreign(code)
        breaks = self.view.breaks(self.start - len(code), self.start)
        # Lines that are not alone, or of which the first is a word, may be no part of it.
        is_text = breaks and (first or behind or letters[: breaks[0]].isalpha())
        if is_text or UNKNOWN in before or _PIECE.search(before):
            raise self.sign_in.rejection(CANNOT_TELL)
        # Out of an address, escapes are undone; a `+` is its own: no code has blanks in it.
        return parse_query(f"code={code.replace('+', '%2B')}&state={self.sign_in.state}")

    def _behind(self, address: int) -> str:
        """Return what of the query stands behind the state."""
        view = self.view
        if not view.letters.startswith(_GOES_ON, self.end):
            return ""
        stop, is_closed = self._stop(address)
        joined = view.letters[self.end : stop]
        run = view.letters[self.end : min(stop, view.word_end(self.end))]
        names = named_in(joined)
        is_told = names == named_in(run) and not _ENDS_IN_VALUE.search(run)
        if is_told or not names.keys() & {"code", "iss", "error", "state"}:
            return run
        if code := _CODE_AND_MORE.match(joined):
            return code[0] if names == named_in(code[0]) else joined
        is_known = "code" not in names and parse_qs(joined).get("iss") == [self.sign_in.issuer]
        if is_known or (joined == run and (is_closed or "code" not in names)):
            return joined
        raise self.sign_in.rejection(CANNOT_TELL)

    def _stop(self, address: int) -> tuple[int, bool]:
        """Return where the query can go on no longer, and whether a code certainly ends there."""
        letters, gaps = self.view.letters, self.view.gaps
        ends = [start for start, _ in self.places if start > self.end]
        ends += [at for at in (gaps.find("3", self.end), gaps.find("4", self.end)) if at >= 0]
        ends += [hard.start() for hard in islice(_ENDS.finditer(letters, self.end), 1)]
        stop = min([*ends, len(letters), self.end + _FARTHEST])
        mark = letters[address - 1 : address]
        closing = _CLOSING.get(mark, mark)
        if mark not in HARD:
            closing *= address - len(letters[:address].rstrip(mark))
        if mark and mark in _OPENING and closing in letters[self.end : stop + len(closing)]:
            closed = letters.index(closing, self.end)
            after = closed + len(closing)
            gap = gaps[after : after + 1]
            is_only = letters.count(closing[0], self.end, max(stop, after)) == len(closing)
            is_glued = re.compile(_GOING_ON.get(gap, r"\A")).match(letters, after)
            is_closed = gap == "1" or (is_only and not is_glued)
            return (closed if is_closed else stop), is_closed
        if stop == len(letters) or gaps[stop] in "34":
            return stop, not letters.startswith(BORDER, stop)
        return stop, gaps[stop] == "1" and letters[stop] != "…"
