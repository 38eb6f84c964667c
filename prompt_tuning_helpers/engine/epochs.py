"""The soft prompts of a job's epochs, kept beside the result: what had been learnt at the end of each."""

import shutil
from pathlib import Path

from .settings import MOST_EPOCHS

EPOCHS = "epochs"  # of the job's folder; holds an adapter for each epoch, named by its number
MOST_KEPT = MOST_EPOCHS  # of a longer run, the later ones are not kept


def epoch_folder(job: Path, epoch: int) -> Path:
    """Give the folder of an epoch's soft prompt, whether it is there or not.

    Args:
        job: the job's folder.
        epoch: counted from 0, as in the metrics.
    """
    return job / EPOCHS / str(epoch)


def kept_epochs(job: Path) -> list[int]:
    """List the epochs whose soft prompts are there, counted from 0; none if the folder cannot be read.

    Args:
        job: the job's folder.
    """
    return [epoch for epoch in range(MOST_KEPT) if epoch_folder(job, epoch).is_dir()]


def forget_unfinished(job: Path, finished: int) -> None:
    """Remove what an interrupted run left of epochs that are to be done again.

    Args:
        job: the job's folder.
        finished: the number of epochs that are not.
    """
    if not (job / EPOCHS).is_dir():
        return
    finished_names = {str(epoch) for epoch in range(finished)}
    for folder in (job / EPOCHS).iterdir():
        if folder.name not in finished_names:
            shutil.rmtree(folder)
