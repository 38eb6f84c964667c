"""A stand-in for the engine's tuning process; the init_text says how it goes.

It may be: fail, crash, full, late, slow, vain, well.
"""

import fcntl
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from prompt_tuning_helpers.engine.epochs import epoch_folder
from prompt_tuning_helpers.engine.job_folder import (
    CANNOT_WRITE,
    DONE,
    FAILED,
    METRICS,
    SOFT_PROMPT,
    STOPPED,
    Job,
    JobFailure,
    is_done,
)
from prompt_tuning_helpers.engine.metrics import MetricsReader, MetricsWriter
from prompt_tuning_helpers.engine.verdict import Verdict

STEPS_PER_EPOCH = 2
VERDICT = Verdict(0.35, 0.347, "frequencies", "flat", learning_rate=0.02, updates=90)


def work(folder: Path, parent: int) -> int:
    settings = Job.read(folder).settings
    what = settings.init_text
    if what == "fail":
        JobFailure("tuning_failed", "It failed on purpose.").write(folder)
        return FAILED
    if what == "crash":
        sys.stderr.write("out of luck\n")
        return 7
    if what == "full":
        return CANNOT_WRITE
    if is_done(folder):
        return DONE
    steps = STEPS_PER_EPOCH * settings.num_epochs
    done = len(MetricsReader(folder / METRICS).read())
    if what == "late":
        time.sleep(0.5)
    metrics = MetricsWriter(folder / METRICS, done)
    for step in range(done, steps):
        metrics.append(step + 1, step // STEPS_PER_EPOCH, 1 / (step + 1), (step + 1) / steps)
        if (step + 1) % STEPS_PER_EPOCH == 0:
            epoch_folder(folder, step // STEPS_PER_EPOCH).mkdir(parents=True, exist_ok=True)
        if os.getppid() != parent:
            return STOPPED
        time.sleep(0.2 if what in ("late", "slow") else 0.005)
    if what == "vain":
        VERDICT.write(folder)
    unfinished = folder / "unfinished"
    unfinished.mkdir(exist_ok=True)
    (unfinished / "tuning_settings.json").write_text(json.dumps(asdict(settings)))
    unfinished.rename(folder / SOFT_PROMPT)
    return DONE


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))
    job_folder = Path(sys.argv[1])
    with (job_folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits for the first
        sys.exit(work(job_folder, int(sys.argv[2])))
