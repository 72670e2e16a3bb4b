from __future__ import annotations

from pathlib import Path

from support.jobs import Store, read, run
from support.jobs_stores import by_name

FLAGS = ("--detector", "none", "-j", 1, "--part-size", 4)


def test_job_reads_from_a_store_and_writes_to_one(
    store: Store, local: dict[str, tuple[object, ...]], tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    done = run("s3://photos/one", "-o", output, *FLAGS, env=store.env)
    assert done.returncode == 1, done.stderr
    assert by_name(read(output), "s3://photos/one") == local
    errors = [row["error"] for row in read(output).to_pylist() if row["error"]]
    assert len(errors) == 2
    assert "s3://photos/one/a/bad.jpg" in errors[0]
    target = "s3://photos/results.parquet"
    assert run("s3://photos/one", "-o", target, *FLAGS, env=store.env).returncode == 1
    again = run("s3://photos/one", "-o", target, *FLAGS, env=store.env)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    resumed = run("s3://photos/one", "-o", target, *FLAGS, "--resume", env=store.env)
    assert resumed.returncode == 1, resumed.stderr
    assert "14 were done before" in resumed.stdout


def test_lists_may_name_objects_and_a_missing_one_is_a_row(store: Store, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("s3://photos/one/b/02.png\ns3://photos/one/gone.png\n")
    done = run(listed, "-o", tmp_path / "out", "--engine", "local", *FLAGS, env=store.env)
    assert done.returncode == 1, done.stderr
    first, second = read(tmp_path / "out").to_pylist()
    assert (first["width"], first["error"]) == (48, None)
    assert "s3://photos/one/gone.png cannot be read" in second["error"]


def test_store_that_refuses_or_is_away_is_one_clear_error(store: Store, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    for env, words in (
        ({**store.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "check the endpoint"),
        ({**store.env, "AWS_ACCESS_KEY_ID": "AKIAWRONG"}, "Set credentials"),
    ):
        if "WRONG" in env["AWS_ACCESS_KEY_ID"]:
            store.check_keys(after=0)
        try:
            done = run("s3://photos/one", "-o", output, *FLAGS, env=env)
        finally:
            store.check_keys(after=10**9)
        assert done.returncode == 1
        assert words in done.stderr
        assert "s3://photos/one cannot be listed" in done.stderr
        assert "hush-hush" not in done.stderr + done.stdout
        assert len(done.stderr.splitlines()) == 1
    assert not list(output.glob("part-*"))
