"""What becomes of an address between a browser and the paste: some 300 kinds.

Each makes a text out of an answer's address; the right value of it is that answer's code.
"""

from __future__ import annotations

from tests.support.pastes import FORMS, WRAPS, Wrap
from tests.support.shapes_of_people import CHATS, COMPANY, MAILS, MARKUP
from tests.support.shapes_of_programs import BROWSERS, DATA, LOGS, SHELLS

# Nobody would have to know what these hold; refused, and named.
UNWANTED = {"browser: the payload, two lines each"}


PLAIN: dict[str, Wrap] = (
    {f"form: {name}": (lambda _, text=text: text) for name, text in FORMS.items()}
    | {f"way: {name}": wrap for name, wrap in WRAPS.items()}
    | {
        f"{kind}: {name}": wrap
        for kind, table in {
            "browser": BROWSERS,
            "log": LOGS,
            "data": DATA,
            "shell": SHELLS,
            "chat": CHATS,
            "markup": MARKUP,
            "mail": MAILS,
            "company": COMPANY,
        }.items()
        for name, wrap in table.items()
    }
)
