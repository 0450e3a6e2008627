"""A partitioned dataset that the processes of a Dask cluster write together, and that appears all at once.

    python examples/dask_dataset.py readings

Needs `pip install "dask[distributed]" pandas pyarrow`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
from dask.distributed import Client, LocalCluster

import atomik

MONTHS = range(1, 13)


def write_month(month: int, folder: str) -> int:
    """Write one partition, in a process of the cluster; a second try writes the same file again."""
    time.sleep(0.2)  # where the work would be
    table = pd.DataFrame({"day": range(1, 29), "degrees": [float(month)] * 28})
    partition = Path(folder, f"month={month:02}")
    partition.mkdir(exist_ok=True)
    table.to_parquet(partition / "readings.parquet")
    return len(table)


def publish(destination: Path, client: Client) -> int:
    """Publish the dataset at DESTINATION, in place of the one that is there; return how many rows it has."""
    with atomik.folder(destination, overwrite=True) as folder:
        # It is published only when all of them have finished. If one fails for good, gather() raises, and nothing is.
        return sum(client.gather(client.map(write_month, MONTHS, folder=str(folder), pure=False)))


if __name__ == "__main__":
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        print(f"{publish(Path(sys.argv[1]), client)} rows")
