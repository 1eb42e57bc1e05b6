"""Paste generated texts, good ones and poisoned ones, and look for what is wrongly accepted.

    scripts/fuzz                          100,000 texts
    scripts/fuzz --texts 10000000         so many
    scripts/fuzz --seconds 3600           for so long
    scripts/fuzz --seed 7                 the same texts once more
    scripts/fuzz --guided [OPTION...]     guided by coverage, where atheris is installed; options
                                          are libFuzzer's, and a folder of texts to begin with

A text is an answer in one to three of the shapes that copying gives it, or what must never be
taken, wrapped at any width, in a sentence or beside others. Wrong is a code that is not the
sign-in's, and any code out of what must never be taken. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from headless_login.errors import SignInRefused  # noqa: E402
from tests.support.generated import Case, generated, verdict  # noqa: E402
from tests.support.pastes import REQUEST  # noqa: E402

BATCH = 2000


def batch(seed: int) -> tuple[Counter[tuple[str, str]], list[Case]]:
    """Judge so many texts of a seed; returns the verdicts, and what was wrongly accepted."""
    source = random.Random(seed)  # noqa: S311  # texts of a test
    counts: Counter[tuple[str, str]] = Counter()
    wrong = []
    for _ in range(BATCH):
        case = generated(source)
        counts[case.kind, said := verdict(case)] += 1
        if said == "wrong":
            wrong.append(case)
    return counts, wrong


def guided(words: list[str]) -> int:
    """Let atheris look for texts that are wrongly accepted."""
    try:
        import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        print("Not run: atheris is not installed (pip install atheris).", file=sys.stderr)
        return 0

    def judge(data: bytes) -> None:
        with suppress(SignInRefused):
            text = data.decode(errors="replace")
            code = REQUEST.accept(text).code
            assert len(code) >= 20

    # The reader alone, which nothing has imported yet; to instrument everything takes minutes.
    with atheris.instrument_imports(include=["headless_login.oauth"]):
        import headless_login.oauth.answers  # noqa: F401
    atheris.Setup([sys.argv[0], *words], judge)
    atheris.Fuzz()
    return 0


def main() -> int:
    """Judge texts on all processors, and print a table of what became of them."""
    if sys.argv[1:2] == ["--guided"]:
        return guided(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    texts = options.texts if options.seconds is None else sys.maxsize
    seeds = range(options.seed, options.seed + -(-texts // BATCH))
    print(f"seeds from {options.seed}", flush=True)
    counts, wrong, started = Counter[tuple[str, str]](), 0, time.monotonic()
    # Ctrl-C ends it, and prints what there is.
    ignored = (signal.SIGINT, signal.SIG_IGN)
    with (
        multiprocessing.Pool(options.processes, signal.signal, ignored) as pool,
        suppress(KeyboardInterrupt),
    ):
        for found, cases in pool.imap_unordered(batch, seeds):
            counts += found
            wrong += len(cases)
            for case in cases[:3]:
                print(f"wrong, {case.kind}: {case.text!r}", file=sys.stderr, flush=True)
            if options.seconds is not None and time.monotonic() - started > options.seconds:
                pool.terminate()
                break
    print("| kind | texts | taken | refused | wrong |\n|---|---|---|---|---|")
    for kind in sorted({kind for kind, _ in counts}):
        row = [counts[kind, said] for said in ("taken", "refused", "wrong")]
        print(f"| {kind} | {sum(row)} | {row[0]} | {row[1]} | {row[2]} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
