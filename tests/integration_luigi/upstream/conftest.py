"""`test_drop_in.py` runs these; pytest does not collect them by itself."""

from __future__ import annotations

collect_ignore_glob = ["*_test.py"]
