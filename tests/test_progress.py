"""How far a run is, read from whatever its details say."""

from prompt_tuning_helpers._progress import Meter, progress_of
from tests.support.examples import ODD_RECORDS
from tests.support.runs import details, metric


def test_progress_is_read_from_either_form_of_metrics() -> None:
    assert progress_of(details("running"))[2] is None
    assert progress_of(details("running", metric(1, 0.5, progress=0.4))) == (2, 0.5, 0.4)
    assert progress_of(details("running", metric(1, 0.5))) == (2, 0.5, 0.25)
    assert progress_of(details("running", {"data": {"epoch": 2, "value": 0.25}})) == (3, 0.25, 0.5)


def test_progress_skips_what_is_missing_or_odd() -> None:
    good = metric(1, 0.5, progress=0.4)
    for odd in ODD_RECORDS:
        assert progress_of(details("running", good, odd)) == (2, 0.5, 0.4), odd
    assert progress_of(details("running", {"data": {"epoch": 1}}))[::2] == (2, 0.25)
    assert progress_of({"entity": {"status": {"state": "running"}}})[2] is None


def test_the_meter_may_go_back() -> None:
    meter = Meter()
    for epoch, progress in ((1, 0.5), (0, 0.1)):
        line = meter.text(details("running", metric(epoch, 2.0, progress=progress)), now=100.0 - epoch)
    assert "Epoch 1 of 4" in line


def test_the_meter_shows_epoch_loss_and_time_left() -> None:
    meter = Meter()
    assert "queued" in meter.text(details("queued"))
    meter.text(details("running", metric(0, 2.0, progress=0.0)), now=100.0)
    line = meter.text(details("running", metric(1, 0.5, progress=0.25)), now=130.0)
    assert "Epoch 2 of 4, loss 0.500" in line
    assert "25%" in line
    assert "01:30 left" in line
