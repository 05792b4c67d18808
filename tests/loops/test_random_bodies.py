"""Random loops against their iterations written out; `benchmarks/fuzz_loops.py` compares many more of them."""

import pytest
from random_bodies import loop_differences

from graphnn.execute.kept import Kept


@pytest.mark.filterwarnings("ignore::graphnn.errors.GraphnnWarning")
@pytest.mark.parametrize("part", range(3))
def test_random_loops_are_their_iterations_written_out(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "pays", lambda kept, sizes: True)
    for number in range(20 * part, 20 * (part + 1)):
        backends = {0: ["numpy"], 3: ["native"]}.get(number % 6, [])
        assert not loop_differences(0, number, 1 + (number % 4 == 0), backends), f"loop {number}"
