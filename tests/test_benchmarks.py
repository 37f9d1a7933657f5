"""The benchmarks work. What they measure is nobody's business here: machines are shared and noisy."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent / "benchmarks"


def test_a_benchmark_prints_its_table_and_writes_its_numbers(tmp_path):
    kept = tmp_path / "numbers.json"
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS), "p2", "p11", "--json", str(kept)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    rows = json.loads(kept.read_text())["rows"]
    assert [row["code"] for row in rows] == ["P2", "P2", "P11", "P11"]
    assert all(sample > 0 for row in rows for sample in row["samples"])
    assert all(row["name"].split()[0] in done.stdout for row in rows)


SMALL = """
import json, sys
sys.path.insert(0, sys.argv[1])
import growth
growth.HISTORY, growth.PIPELINES, growth.TIMES, growth.REPEATS = (0, 200), (1, 2), 1, 1
print(json.dumps([[row.name, row.samples] for row in growth.growth("sqlite")]))
"""


def test_what_is_put_beside_a_benchmark_fits_the_tables(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SMALL, str(BENCHMARKS)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    rows = dict(json.loads(done.stdout))
    assert {"a chain, 0 old rows", "a chain, 200 old rows", "hot questions, 2 pipelines"} <= rows.keys()
    assert all(sample > 0 for samples in rows.values() for sample in samples)


def test_a_benchmark_that_is_not_there_is_a_mistake_of_the_caller(tmp_path):
    done = subprocess.run([sys.executable, str(BENCHMARKS), "p99"], check=False, capture_output=True, cwd=tmp_path)
    assert done.returncode == 2
