"""The benchmark of shards refuses those that train otherwise than whole batches."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphnn import nn

HERE = Path(__file__).parents[2] / "benchmarks"


def test_shards_that_are_too_far_from_whole_batches_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    shards = runpy.run_path(str(HERE / "shards.py"))

    def trained(rate: float) -> Any:
        net = shards["Net"](4, 3, optimizer=nn.SGD(rate))
        data = nn.Loader({net.x: np.eye(4), net.y: np.zeros(4, int)}, shuffle=False)
        return shards["Trained"](net, data)

    whole = trained(0.1)
    assert max(trained(0.1).apart(whole)) == 0
    trained(0.1 + 1e-8).check_near(whole, "a little")
    with pytest.raises(SystemExit, match="too much: further than 1e-06"):
        trained(0.1 + 1e-4).check_near(whole, "too much")
    apart = trained(0.1 + 1e-4).apart(whole)
    assert apart.losses == 0 < apart.parameters < 1e-3, "the loss is that before the step"
    assert f"too much: losses 0.0e+00, parameters {apart.parameters:.1e}" in capsys.readouterr().out
