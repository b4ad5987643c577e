"""``python -m gdnp.paper.claims [PAGE]``: measure every claim, record the numbers, write the page."""

import sys
from pathlib import Path

from gdnp.paper.claims.verdicts import MARK, record, verdicts_markdown

if __name__ == "__main__":
    record()
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/verdicts.md")
    head, mark, _ = (page.read_text(encoding="utf-8") if page.is_file() else MARK).partition(MARK)
    if not mark:
        sys.exit(f"{page} should hold the line {MARK.strip()!r}. Got none: name another page, or put it in.")
    page.write_text(head + MARK + verdicts_markdown(), encoding="utf-8")
    print(page)
