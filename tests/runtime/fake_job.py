"""A stand-in for the engine's tuning process; the init_text says how it goes: fail, crash, slow, or well."""

import json
import sys
import time
from pathlib import Path


def work(folder: Path) -> int:
    job = json.loads((folder / "job.json").read_text())
    settings = job["settings"]
    what = str(settings["init_text"])
    if what == "fail":
        (folder / "failure.json").write_text(json.dumps({"code": "tuning_failed", "message": "It failed on purpose."}))
        return 1
    if what == "crash":
        sys.stderr.write("out of luck\n")
        return 7
    steps = 2 * settings["num_epochs"]
    metrics = folder / "metrics.jsonl"
    done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    with metrics.open("a") as file:
        for step in range(done, steps):
            record = {"timestamp": f"2026-01-01T00:00:{step % 60:02d}.123Z", "iteration": step, "epoch": step // 2}
            file.write(json.dumps({**record, "loss": 1 / (step + 1), "progress": (step + 1) / steps}) + "\n")
            file.flush()
            time.sleep(0.2 if what == "slow" else 0.005)
    (folder / "unfinished").mkdir(exist_ok=True)
    (folder / "unfinished" / "adapter.txt").write_text(json.dumps(settings))
    (folder / "unfinished").rename(folder / "soft_prompt")
    return 0


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
