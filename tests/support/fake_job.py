"""A stand-in for the engine's tuning process; the init_text says how it goes: fail, crash, full, late, slow, well."""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path


def work(folder: Path, parent: int) -> int:
    job = json.loads((folder / "job.json").read_text())
    settings = job["settings"]
    what = str(settings["init_text"])
    if what == "fail":
        (folder / "failure.json").write_text(json.dumps({"code": "tuning_failed", "message": "It failed on purpose."}))
        return 1
    if what == "crash":
        sys.stderr.write("out of luck\n")
        return 7
    if what == "full":
        return 120
    if (folder / "soft_prompt").is_dir():
        return 0
    steps = 2 * settings["num_epochs"]
    metrics = folder / "metrics.jsonl"
    done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    if what == "late":
        time.sleep(0.5)
    with metrics.open("a") as file:
        for step in range(done, steps):
            record = {"timestamp": f"2026-01-01T00:00:{step % 60:02d}.123Z", "iteration": step, "epoch": step // 2}
            file.write(json.dumps({**record, "loss": 1 / (step + 1), "progress": (step + 1) / steps}) + "\n")
            file.flush()
            if os.getppid() != parent:
                return 3
            time.sleep(0.2 if what in ("late", "slow") else 0.005)
    (folder / "unfinished").mkdir(exist_ok=True)
    (folder / "unfinished" / "tuning_settings.json").write_text(json.dumps(settings))
    (folder / "unfinished").rename(folder / "soft_prompt")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    job_folder = Path(sys.argv[1])
    with (job_folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits for the first
        sys.exit(work(job_folder, int(sys.argv[2])))
