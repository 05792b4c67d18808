"""Pages of traces that have kept digests."""

from __future__ import annotations

import numpy as np
import pytest
from test_digests import digests, first_of, network

import graphnn as gn


def test_digests_beside_values_and_beside_a_run() -> None:
    loss, feed = network()
    kept, whole = digests(loss, feed), gn.trace(loss, feed)
    assert gn.compare(kept, whole)
    assert gn.compare(whole, kept)
    assert gn.compare(kept, gn.trace(loss, feed, keep=100))
    assert gn.compare(loss, kept, feed)
    assert gn.compare(kept, loss, feed)
    assert gn.compare(kept, {"tanh": whole["tanh"].value})
    other = feed | {"x": feed["x"] + np.float32(0.5)}
    found = first_of(gn.compare(kept, loss, other))
    assert (found.name, found.outside > 0) == ("x", True)
    with pytest.raises(gn.UsageError, match="has kept digests"):
        gn.compare(loss, kept)
    page = kept.to_html(beside=digests(loss, other))
    assert "x" in page.data["pair"]["says"]
