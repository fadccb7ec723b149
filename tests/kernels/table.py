"""The rows of the table that `run` prints, for the documents."""

import pages

COLUMNS = ["case", "kernel", "page size", "kept at `-d 31`", "free", "cache", "private", "user", "poisoned", "offline",
           "makedumpfile, 32 levels", "log lines", "result"]
USES = [pages.FREE, pages.CACHE, pages.PRIVATE, pages.USER, pages.POISONED, pages.OFFLINE]


def line(cells):
    return f"| {' | '.join(map(str, cells))} |"


def head():
    return [line(COLUMNS), line(["---"] * len(COLUMNS))]


def ranges(numbers):
    """Numbers in ascending order as a text: 0-2, 5."""
    parts = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


class Findings:
    """What is found at dump levels: what is found at many is said once."""

    def __init__(self):
        self.found = {}

    def add(self, subject, level, text):
        self.found.setdefault((subject, text), []).append(level)

    def texts(self):
        return [
            f"{subject}, level{'s' if len(levels) > 1 else ''} {ranges(levels)}: {text}"
            for (subject, text), levels in self.found.items()
        ]


def differences(theirs, expected, uses):
    """Where another program's page sets, one for each level, differ from the expected ones: a text for each kind."""
    found = {}
    for kept, wanted in zip(theirs, expected):
        for pfn in pages.members(kept ^ wanted):
            verb = "keeps" if kept >> pfn & 1 else "excludes"
            found.setdefault((verb, uses.get(pfn)), set()).add(pfn)
    texts = []
    for (verb, use), pfns in sorted(found.items(), key=lambda item: str(item[0])):
        word = "page" if len(pfns) == 1 else "pages"
        what = f"{word} without a struct page" if use is None else f"{use} {word}"
        texts.append(f"{verb} {len(pfns)} {what}")
    return texts


def row(name, release, page_size, present, kept, count, theirs, lines, passed):
    """One row; `count` has the pages of each use."""
    cells = [name, release, f"{page_size // 1024} KiB", f"{kept} of {present}"]
    cells += [count.get(use, 0) for use in USES]
    return line([*cells, theirs, lines, "passed" if passed else "FAILED"])
