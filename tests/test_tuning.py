"""Tuning helpers: watching a run, and picking one up again."""

from dataclasses import asdict
from typing import Any
from unittest import mock

import httpx
import pytest
from ibm_watsonx_ai.foundation_models.prompt_tuner import PromptTuner
from ibm_watsonx_ai.wml_client_error import ApiRequestFailure, WMLClientError

from prompt_tuning_helpers._sdk import is_passing
from prompt_tuning_helpers.engine.verdict import Verdict
from prompt_tuning_helpers.tuning import ConnectionLostError, TuningError, _polls, _show, resume, watch
from tests.support.examples import ODD_RECORDS
from tests.support.runs import details, metric


def failure(status: int) -> ApiRequestFailure:
    request = httpx.Request("GET", "https://u/ml/v4/trainings/run-1")
    return ApiRequestFailure("Failure during get", httpx.Response(status, request=request, text="{}"))


def test_watching_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    client = mock.Mock()
    client.training.get_details.side_effect = [
        details("queued"),
        details("running", metric(0, 2.0, progress=0.1)),
        details("completed", metric(0, 2.0), metric(3, 0.125)),
    ]
    result = watch((client, "run-1"), pause=lambda seconds: None)
    assert result["entity"]["status"]["state"] == "completed"
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out == ("The tuning run is completed: 4 epochs, loss 2.000 at the start and 0.125 at the end.\n")


@pytest.mark.parametrize(("step", "polls"), [(0.052, 3), (0.01, 11)])
def test_a_run_that_would_take_too_long_is_cancelled(monkeypatch: pytest.MonkeyPatch, step: float, polls: int) -> None:
    """By its speed as soon as that is known, or, if it hardly moves, when its time is up."""
    client, clock = mock.Mock(), mock.Mock(return_value=0.0)
    monkeypatch.setattr("prompt_tuning_helpers.tuning.time.monotonic", clock)
    client.training.get_details.side_effect = [details("queued")] * 50 + [
        details("running", metric(0, 2.0, progress=0.5 + step * poll)) for poll in range(20)
    ]

    def pause(seconds: float) -> None:
        clock.return_value += 66 if client.training.get_details.call_count > 50 else 1000

    with pytest.raises(
        TuningError, match=r"run-1 was cancelled: .* and 10 were allowed. Allow more, or tune with fewer"
    ):
        watch((client, "run-1"), minutes=10, patience=1e9, pause=pause)
    client.training.cancel.assert_called_once_with("run-1")
    assert client.training.get_details.call_count == 50 + polls


def test_a_run_within_its_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tuner, clock = mock.Mock(id="run-1"), mock.Mock(return_value=0.0)
    monkeypatch.setattr("prompt_tuning_helpers.tuning.time.monotonic", clock)
    tuner.get_run_details.side_effect = [
        *[details("running", metric(0, 2.0, progress=0.1 * poll)) for poll in range(10)],
        details("completed"),
    ]
    watch(tuner, minutes=10, pause=lambda seconds: setattr(clock, "return_value", clock.return_value + 59))
    tuner.cancel_run.assert_not_called()


def test_rows_that_were_left_out_are_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    client = mock.Mock()
    answers = [details("completed", rows={"rows": 320, "left_out": left_out}) for left_out in (3, 0)]
    for answer in answers:
        answer["entity"]["prompt_tuning"]["max_input_tokens"] = 128
    client.training.get_details.side_effect = answers
    watch((client, "run-1"))
    assert capsys.readouterr().out.splitlines() == [
        "The tuning run is completed.",
        "3 of 320 rows were left out: longer than max_input_tokens=128 with the verbalizer. "
        "Raise max_input_tokens, or shorten them.",
    ]
    watch((client, "run-1"))
    assert capsys.readouterr().out == "The tuning run is completed.\n"


def test_half_of_the_rows_left_out_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    client = mock.Mock()
    client.training.get_details.return_value = details("completed", rows={"rows": 4, "left_out": 2})
    client.training.get_details.return_value["entity"]["prompt_tuning"]["max_input_tokens"] = 128
    watch((client, "run-1"))
    assert (
        capsys.readouterr().out.splitlines()[1].endswith("That is half of them or more: nothing was learnt from these.")
    )


def test_a_run_that_shows_nothing_learnt_says_so_in_any_language(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = Verdict(0.35, 0.347, "frequencies", "slow", learning_rate=0.001, updates=36)
    client = mock.Mock()
    client.training.get_details.return_value = details("completed", verdict=asdict(verdict))
    watch((client, "run-1"))
    said = capsys.readouterr().out.splitlines()[1]
    assert said == verdict.text()
    assert "0.350" in said
    assert "search_settings" in said
    monkeypatch.setenv("LESSON_LANGUAGE", "es")
    watch((client, "run-1"))
    assert capsys.readouterr().out.splitlines()[1].startswith("Nada indica")


def test_other_settings_than_were_asked_for_are_told_and_their_epochs_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = mock.Mock()
    done = details("completed", metric(0, 2.0), metric(5, 0.125))
    done["entity"]["local_runtime"] = {"asked": {"num_epochs": 4}, "used": {"num_epochs": 6}}
    client.training.get_details.return_value = done
    watch((client, "run-1"))
    assert capsys.readouterr().out.splitlines() == [
        "The tuning run is completed: 6 epochs, loss 2.000 at the start and 0.125 at the end.",
        "Tuned with num_epochs=6, which suit the model that is really there, instead of num_epochs=4.",
    ]


def test_a_tuner_can_be_watched() -> None:
    """By what the SDK's tuner offers to everybody."""
    tuner = mock.create_autospec(PromptTuner, instance=True, id="run-1", _client=None)
    tuner.get_run_details.return_value = details("completed")
    watch(tuner)
    tuner.get_run_details.assert_called_once_with(include_metrics=True)
    with pytest.raises(ValueError, match="not been run"):
        watch(mock.Mock(id=None))


@pytest.mark.parametrize("state", ["failed", "error", "canceled"])
def test_a_run_that_does_not_complete_gives_its_reason(state: str) -> None:
    client = mock.Mock()
    client.training.get_details.return_value = details(
        state, failure={"errors": [{"code": "invalid_training_data", "message": "Row 7 has no output."}]}
    )
    with pytest.raises(TuningError, match=r"Row 7 has no output\."):
        watch((client, "run-1"))


@pytest.mark.parametrize("failure", ["Out of memory.", ["Out of memory."], {"errors": ["Out of memory."]}])
def test_the_reason_may_have_another_form(failure: Any) -> None:
    client = mock.Mock()
    client.training.get_details.return_value = details("failed", failure=failure)
    with pytest.raises(TuningError, match="Out of memory"):
        watch((client, "run-1"))


def test_the_reason_may_be_in_the_message() -> None:
    client = mock.Mock()
    client.training.get_details.return_value = details("failed", message={"level": "error", "text": "Out of memory."})
    with pytest.raises(TuningError, match="Out of memory"):
        watch((client, "run-1"))


def test_each_poll_is_yielded_and_one_without_an_answer_is_none() -> None:
    running, completed = details("running"), details("completed")
    ask = mock.Mock(side_effect=[running, httpx.ConnectError("gone"), running, completed])
    pauses: list[float] = []
    assert list(_polls("run-1", ask, 2.0, 300.0, pauses.append)) == [running, None, running, completed]
    assert pauses == [2.0, 2.0, 2.0]


def test_the_longer_a_run_reports_the_less_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """But no less often while it waits for its turn, and its end is seen within a hundredth of its time."""
    clock = mock.Mock(return_value=0.0)
    monkeypatch.setattr("prompt_tuning_helpers.tuning.time.monotonic", clock)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.return_value += seconds

    def ask() -> dict[str, Any]:
        if clock.return_value < 1_000:
            return details("queued")
        return details("running" if clock.return_value < 11_000 else "completed", metric(0, 2.0))

    list(_polls("run-1", ask, 2.0, 300.0, pause))
    assert pauses[:600] == [2.0] * 600
    assert pauses == sorted(pauses)
    assert len(pauses) < 1_100  # and not 5,500
    assert 11_000 <= clock.return_value <= 11_100


def test_the_service_is_not_silent_while_it_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = mock.Mock(return_value=0.0)
    monkeypatch.setattr("prompt_tuning_helpers.tuning.time.monotonic", clock)
    running, completed = details("running", metric(0, 2.0)), details("completed")
    ask = mock.Mock(side_effect=[running, httpx.ConnectError("gone"), completed])

    def pause(seconds: float) -> None:
        clock.return_value += 400

    assert list(_polls("run-1", ask, 2.0, 300.0, pause)) == [running, None, completed]


def test_each_poll_is_shown_until_the_run_has_ended() -> None:
    completed = details("completed")
    with mock.patch("prompt_tuning_helpers.tuning.ProgressLine") as line:
        assert _show([details("queued"), None, completed]) == completed
    assert [call.args for call in line.return_value.show.call_args_list] == [
        ("State of the run: queued ...",),
        ("Connection lost, trying again ...",),
    ]
    line.return_value.clear.assert_called_once_with()


def test_a_lost_connection_is_waited_out(capsys: pytest.CaptureFixture[str]) -> None:
    client = mock.Mock()
    client.training.get_details.side_effect = [
        httpx.ConnectError("gone"),
        failure(503),
        failure(429),
        details("completed"),
    ]
    pauses: list[float] = []
    watch((client, "run-1"), every=2.0, pause=pauses.append)
    assert pauses == [2.0, 2.0, 2.0]
    assert "completed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "said"), [(httpx.ConnectError("gone"), "has not answered"), (failure(429), "as too many")]
)
def test_patience_ends(error: Exception, said: str) -> None:
    client = mock.Mock()
    client.training.get_details.side_effect = error
    with pytest.raises(ConnectionLostError, match=rf"{said}.*resume.*run-1"):
        watch((client, "run-1"), patience=0.0, pause=lambda seconds: None)


def test_an_error_that_stays_is_raised_at_once() -> None:
    client = mock.Mock()
    client.training.get_details.side_effect = failure(404)
    with pytest.raises(ApiRequestFailure):
        watch((client, "run-1"))
    assert client.training.get_details.call_count == 1


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (httpx.ReadTimeout("slow"), True),
        (ConnectionResetError("reset"), True),
        (failure(500), True),
        (failure(400), False),
        (WMLClientError("Deployment creation failed. Error: 409. {}", logg_messages=False), False),
        (WMLClientError('{"status_code": 503}', logg_messages=False), True),
        (KeyError("state"), False),
        (FileNotFoundError("reviews.json"), False),
    ],
)
def test_errors_that_pass_are_told_from_those_that_stay(error: Exception, passing: bool) -> None:
    assert is_passing(error) is passing


def test_an_error_may_be_wrapped() -> None:
    error = WMLClientError("Request failed", logg_messages=False)
    error.__cause__ = httpx.ConnectError("gone")
    assert is_passing(error)


@pytest.mark.parametrize("metrics", [*([record] for record in ODD_RECORDS), {"a": 1}, "x", 3])
@pytest.mark.parametrize("tuning", [None, {}, {"num_epochs": "three"}, {"num_epochs": 0}, 3])
def test_odd_details_do_not_end_the_watching(metrics: Any, tuning: Any, capsys: pytest.CaptureFixture[str]) -> None:
    client = mock.Mock()
    answers = [details(state) for state in ("running", "completed")]
    for answer in answers:
        answer["entity"]["prompt_tuning"] = tuning
        answer["entity"]["status"]["metrics"] = metrics
    client.training.get_details.side_effect = answers
    watch((client, "run-1"), pause=lambda seconds: None)
    assert capsys.readouterr().out.startswith("The tuning run is completed")


def test_a_run_is_picked_up_by_its_id() -> None:
    experiment = mock.Mock()
    assert resume(experiment, "run-1") is experiment.runs.get_tuner.return_value
    experiment.runs.get_tuner.assert_called_once_with("run-1")


def test_a_run_is_picked_up_with_a_client() -> None:
    client = mock.Mock(spec=["training"])
    with mock.patch("ibm_watsonx_ai.experiment.fm_tune.TuneRuns") as runs:
        assert resume(client, "run-1") is runs.return_value.get_tuner.return_value
    runs.assert_called_once_with(client=client)


def test_an_unknown_run_is_explained() -> None:
    experiment = mock.Mock()
    experiment.runs.get_tuner.side_effect = failure(404)
    with pytest.raises(ValueError, match=r"runs\.list"):
        resume(experiment, "run-9")
    experiment.runs.get_tuner.side_effect = failure(500)
    with pytest.raises(ApiRequestFailure):
        resume(experiment, "run-9")
