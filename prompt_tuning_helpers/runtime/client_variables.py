"""What other clients than ``connect()`` need to find a runtime: variables of theirs, and the lines that work."""

from .endpoint import Endpoint

VERSION = "2026-10-14"
# Each reads what it needs from the variables that ``env`` prints; none shows a secret.
LINES_OF_CLIENTS = {
    "Python, ibm-watsonx-ai": 'url = os.environ["WATSONX_URL"]; '
    "client = APIClient(Credentials(url=url, platform_url=url, "
    'auth_url=url + "/identity/token", api_key=os.environ["WATSONX_APIKEY"], verify=os.environ["SSL_CERT_FILE"]), '
    'project_id=os.environ["WATSONX_PROJECT_ID"])',
    "Python, langchain-ibm": 'ChatWatsonx(model_id="MODEL", watsonx_client=client)  # the client of the line above',
    "Python, llama-index-llms-ibm": 'WatsonxLLM(model_id="MODEL", api_client=client)  # likewise',
    "Python, litellm": 'litellm.completion(model="watsonx/MODEL", messages=[{"role": "user", "content": "Hello"}])',
    "Node, @ibm-cloud/watsonx-ai": f'WatsonXAI.newInstance({{ version: "{VERSION}", serviceUrl: '
    "process.env.WATSONX_URL })",
    "Java, watsonx-ai": 'baseUrl(URI.create(System.getenv("WATSONX_URL"))) in the builders of both the authenticator '
    "and the service; import the certificates of SSL_CERT_FILE into the trust store",
    "curl, for a token": 'curl --cacert "$SSL_CERT_FILE" "$WATSONX_IAM_URL" '
    '-d grant_type=urn:ibm:params:oauth:grant-type:apikey -d "apikey=$WATSONX_APIKEY"',
}


def variables_of_clients(endpoint: Endpoint) -> dict[str, str]:
    """Give the variables that other clients look for, next to those that ``connect()`` reads.

    litellm exchanges the key at ``WATSONX_IAM_URL``. IBM's SDK for Node reads ``WATSONX_AI_*`` and appends the path of
    the token to the address itself, and Node takes further certificates from ``NODE_EXTRA_CA_CERTS``.
    """
    return {
        "WATSONX_IAM_URL": f"{endpoint.url}/identity/token",
        "WATSONX_AI_AUTH_TYPE": "iam",
        "WATSONX_AI_APIKEY": endpoint.api_key,
        "WATSONX_AI_AUTH_URL": endpoint.url,
        "NODE_EXTRA_CA_CERTS": endpoint.ca_bundle,
    }
