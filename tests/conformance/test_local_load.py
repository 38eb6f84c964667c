"""Many clients on two deployments while a training runs: what ``make bench`` measures, with fewer requests."""

from ibm_watsonx_ai import Credentials

from benchmarks.load import Target, ask_from_many, ask_one_by_one, bear
from prompt_tuning_helpers.runtime.endpoint import Endpoint


def test_each_client_gets_its_own_answers(live_runtime: Endpoint, credentials: Credentials) -> None:
    load = bear(credentials, live_runtime.project_id, live_runtime.pid, clients=8, requests=25)
    assert load.errors == []
    assert load.mixed_up == 0
    assert len(load.latencies) == 8 * 25


def test_a_base_model_answers_many_clients_as_it_answers_one(live_runtime: Endpoint, credentials: Credentials) -> None:
    target = Target.base_model(live_runtime.models[0], live_runtime.project_id)
    questions = [(target, f"{number}. A dog came home") for number in range(20)]
    expected = ask_one_by_one(credentials, questions)
    load = ask_from_many(credentials, expected, live_runtime.pid, clients=4, requests=20)
    assert (load.errors, load.mixed_up, len(load.latencies)) == ([], 0, 4 * 20)
    assert load.requests_per_s > 0
    assert 0 < load.percentile_ms(50) <= load.percentile_ms(99)
