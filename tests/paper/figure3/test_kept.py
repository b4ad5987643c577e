"""What is said of kept curves is what was said of the run that they are of."""

import json

from gdnp.paper.figure3.kept import kept_summary
from gdnp.store import plain
from paper_problems import FIGURE3, saved


def test_the_summary_is_that_of_the_run(figure3, tmp_path):
    settings, results = saved(FIGURE3, figure3)
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"settings": settings, "results": results}), encoding="utf-8")
    assert plain(kept_summary(path)) == figure3.summary
