"""``python -m gdnp.paper.claims [PAGE]``: measure every claim, record the numbers, write the page."""

import sys
from pathlib import Path

from gdnp.paper.claims import record, verdicts_markdown

if __name__ == "__main__":
    record()
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/verdicts.md")
    page.write_text(verdicts_markdown(), encoding="utf-8")
    print(page)
