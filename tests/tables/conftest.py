"""Tables need pandas."""

import pytest

pytest.importorskip("pandas")
