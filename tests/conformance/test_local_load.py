"""Many clients on two deployments while a training runs: what ``make bench`` measures, with fewer requests."""

from ibm_watsonx_ai import Credentials

from benchmarks.load import bear
from prompt_tuning_helpers.runtime.endpoint import Endpoint


def test_each_client_gets_its_own_answers(live_runtime: Endpoint, credentials: Credentials) -> None:
    load = bear(credentials, live_runtime.project_id, live_runtime.pid, clients=8, requests=25)
    assert load.errors == []
    assert load.mixed_up == 0
    assert len(load.latencies) == 8 * 25
