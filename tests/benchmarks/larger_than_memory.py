"""Train for an epoch on data of several times the memory that the process may use.

    python tests/benchmarks/larger_than_memory.py [--limit-mb 600] [--times 3] [--chunk-mb 20] [--kind parquet]

The data are written to a temporary folder, as Parquet files or as shards of NumPy. Then another process limits itself
(RLIMIT_DATA, which counts all private memory that it may write to), and trains. A control in a third process, with the
same limit, loads everything at once, and must fail.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

FEATURES = 20
_MB = 2**20


def write(folder: Path, kind: str, count: int, rows: int) -> int:
    """Write the files, and return how many bytes the arrays in them have."""
    total = 0
    for number in range(count):
        rng = np.random.default_rng(number)
        x = rng.standard_normal((rows, FEATURES), dtype=np.float32)
        labels = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
        if kind == "parquet":
            import pandas as pd

            frame = pd.DataFrame(x, columns=[f"f{column}" for column in range(FEATURES)])
            frame["labels"] = labels
            frame.to_parquet(folder / f"part.{number:04}.parquet", index=False, compression=None)
        else:
            np.savez(folder / f"part.{number:04}.npz", x=x, labels=labels)
        total += x.nbytes + labels.nbytes
    return total


def load(path: str) -> dict[str, Any]:
    """Return the arrays of a shard."""
    with np.load(path) as arrays:
        return {"x": arrays["x"], "labels": arrays["labels"]}


def train(folder: Path, kind: str, limit: int, at_once: bool) -> None:
    """Train for an epoch within the limit, and print loss, seconds and the most memory that was resident."""
    import resource

    import dask
    import dask.dataframe as dd
    import pyarrow

    import graphnn as gn
    from graphnn import nn

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    x = gn.Graph(dtype="float32").placeholder("x", ("batch", FEATURES))
    labels = x.graph.placeholder("labels", ("batch",), np.int64)
    rng = np.random.default_rng(0)
    scores = nn.Sequential(nn.Dense(32, rng=rng), nn.ReLU(), nn.Dense(2, rng=rng))(x)
    loss = nn.softmax_crossentropy(scores, labels)
    step = gn.compile(loss, nn.Adam(0.001).updates(loss))
    data: Any
    paths = sorted(map(str, folder.iterdir()))
    if kind == "parquet":
        frame = dd.read_parquet(paths)
        data = {x: frame[[f"f{column}" for column in range(FEATURES)]], labels: frame["labels"]}
    else:
        data = [dask.delayed(load)(path) for path in paths]
    with dask.config.set(scheduler="synchronous"):
        if at_once:
            loaded = [load(path) for path in paths] if kind != "parquet" else frame.compute()
            sys.stdout.write(f"loaded {len(loaded)}\n")
            return
        begun = perf_counter()
        history = nn.fit(step, data, epochs=1, batch_size=4096)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    sys.stdout.write(
        f"an epoch in {perf_counter() - begun:.1f} s, loss {history['loss'][0]:.4f}; "
        f"at most {peak / 1024:.0f} MB were resident\n"
    )


def main() -> None:
    """Write, train in a process that is limited, and let the control fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("limit-mb", 600), ("times", 3), ("chunk-mb", 20)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--kind", choices=("parquet", "shards"), default="parquet")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--at-once", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder is not None:
        train(args.folder, args.kind, args.limit_mb * _MB, args.at_once)
        return
    rows = args.chunk_mb * _MB // (4 * FEATURES + 8)
    with tempfile.TemporaryDirectory() as folder:
        total = write(Path(folder), args.kind, -(-args.limit_mb * args.times // args.chunk_mb), rows)
        sys.stdout.write(f"{total / _MB:,.0f} MB of arrays as {args.kind}; a process may use {args.limit_mb} MB\n")
        sys.stdout.flush()
        # What threads set aside for themselves counts, used or not.
        few = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
        alone = {**os.environ, **few}
        command = [sys.executable, __file__, "--folder", folder, "--kind", args.kind, "--limit-mb", str(args.limit_mb)]
        subprocess.run(command, check=True, env=alone)
        control = subprocess.run([*command, "--at-once"], check=False, capture_output=True, text=True, env=alone)
        if control.returncode == 0:
            raise SystemExit("the control loaded everything: the limit is none")
        sys.stdout.write(f"all at once: {control.stderr.strip().splitlines()[-1]}\n")


if __name__ == "__main__":
    main()
