#!/usr/bin/env bash
# All that the runtime implements for inference, and a tuning from the upload to the clean-up, with curl and jq alone.
set -euo pipefail

base_model=local/tiny-random-llama
project=$WATSONX_PROJECT_ID
in_project="version=2026-10-14&project_id=$project"
asked=$(jq -n --arg model "$base_model" --arg project "$project" '{model_id: $model, project_id: $project}')
grant=grant_type=urn:ibm:params:oauth:grant-type:apikey
schema='{"type": "object", "properties": {"label": {"enum": ["satisfied", "unsatisfied"]}}, "required": ["label"],
         "additionalProperties": false}'

curl() { command curl --silent --show-error --cacert "$SSL_CERT_FILE" "$@"; }

# expect JSON FILTER: fails unless the filter gives true; further arguments are for jq.
expect() {
  local json=$1
  shift
  [[ $(jq "$@" <<<"$json") == true ]] || { echo "Unexpected: jq $* of $json" >&2; exit 1; }
}

# call METHOD PATH [BODY]: gives the answer, with its status as .status_of_http.
call() {
  local method=$1 path=$2 body=${3:-} answer
  answer=$(curl --request "$method" "$WATSONX_URL$path" --write-out '\n%{http_code}' \
    --header "Authorization: Bearer $token" ${body:+--header "Content-Type: application/json" --data "$body"})
  jq --slurp --argjson status "${answer##*$'\n'}" '(.[0] // {}) + {status_of_http: $status}' <<<"${answer%$'\n'*}"
}

# stream PATH BODY: gives the data of the events, as a list.
stream() {
  curl --no-buffer "$WATSONX_URL$1" --header "Authorization: Bearer $token" \
    --header "Content-Type: application/json" --data "$2" |
    sed -n 's/^data: //p' | jq -s .
}

with() { jq -c ". + $1" <<<"$asked"; }

sign_in() {
  token=$(curl "$WATSONX_IAM_URL" --data "$grant" --data "apikey=$WATSONX_APIKEY" | jq -er .access_token)
  expect "$(curl "$WATSONX_IAM_URL" --data "$grant" --data apikey=wrong)" \
    '.errorMessage | startswith("Provided API key could not be found")'
}

list_models() {
  local models
  models=$(curl "$WATSONX_URL/ml/v1/foundation_model_specs?version=2026-10-14")  # needs no token
  expect "$models" --arg model "$base_model" '[.resources[].model_id] | index($model) != null'
}

generate_text() {
  local body answer pieces
  body=$(with '{input: "Hi", parameters: {max_new_tokens: 6}}')
  answer=$(call POST "/ml/v1/text/generation?version=2026-10-14" "$body")
  expect "$answer" '.results[0].generated_token_count == 6'
  pieces=$(stream "/ml/v1/text/generation_stream?version=2026-10-14" "$body")
  expect "$pieces" --argjson answer "$answer" \
    '[.[].results[0].generated_text] | add == $answer.results[0].generated_text'
  body=$(with '{input: "Hi there", parameters: {return_tokens: true}}')
  expect "$(call POST "/ml/v1/text/tokenization?version=2026-10-14" "$body")" \
    '.result.token_count == 8 and .result.tokens[0] == "H"'
}

chat() {
  local body answer
  body=$(with '{messages: [{role: "user", content: "Hi"}], temperature: 0, max_tokens: 6}')
  answer=$(call POST "/ml/v1/text/chat?version=2026-10-14" "$body")
  expect "$answer" '.usage.completion_tokens == 6'
  expect "$(stream "/ml/v1/text/chat_stream?version=2026-10-14" "$body")" --argjson answer "$answer" \
    '[.[].choices[0].delta.content // ""] | add == $answer.choices[0].message.content'
  body=$(with "{messages: [{role: \"user\", content: \"Hi\"}], guided_choice: [\"yes\", \"no\"]}")
  expect "$(call POST "/ml/v1/text/chat?version=2026-10-14" "$body")" \
    '.choices[0].message.content | . == "yes" or . == "no"'
  body=$(with "{messages: [{role: \"user\", content: \"Hi\"}],
                response_format: {type: \"json_schema\", json_schema: {name: \"judgement\", schema: $schema}}}")
  expect "$(call POST "/ml/v1/text/chat?version=2026-10-14" "$body")" \
    '.choices[0].message.content | fromjson.label | . == "satisfied" or . == "unsatisfied"'
}

upload() {
  local attachments made
  asset=$(call POST "/v2/assets?project_id=$project" '{"metadata": {"name": "rows", "asset_type": "data_asset"}}' |
    jq -er .metadata.asset_id)
  attachments=/v2/assets/$asset/attachments
  made=$(call POST "$attachments?project_id=$project" '{"asset_type": "data_asset", "name": "rows"}')
  jq -n '[{input: "So kind!", output: "1"}, {input: "Late.", output: "0"}]' |
    curl --fail --output /dev/null --upload-file - "$(jq -er .url1 <<<"$made")"
  made=$(call POST "$attachments/$(jq -er .attachment_id <<<"$made")/complete?project_id=$project")
  expect "$made" '.status_of_http == 200'
}

tune() {
  local body now='{"entity": {"status": {"state": "pending"}}}'
  body=$(jq -n --arg project "$project" --arg asset "$asset" --arg model "$base_model" \
    '{name: "from curl", project_id: $project, auto_update_model: true,
      training_data_references: [{type: "data_asset", location: {id: $asset, href: "/v2/assets/\($asset)"}}],
      prompt_tuning: {base_model: {model_id: $model}, task_id: "classification", num_epochs: 1}}')
  training=$(call POST "/ml/v4/trainings?version=2026-10-14" "$body" | jq -er .metadata.id)
  while jq -e '.entity.status.state | . == "queued" or . == "pending" or . == "running"' <<<"$now" >/dev/null; do
    sleep 0.2
    now=$(call GET "/ml/v4/trainings/$training?$in_project")
  done
  expect "$now" '.entity.status.state == "completed"'
  model=$(jq -er .entity.model_id <<<"$now")
  expect "$(call GET "/ml/v4/models?$in_project")" --arg model "$model" \
    '[.resources[].metadata.id] | index($model) != null'
}

deploy() {
  local body path answer
  body=$(jq -n --arg project "$project" --arg model "$model" \
    '{name: "from curl", project_id: $project, asset: {id: $model}, online: {parameters: {serving_name: "from_curl"}}}')
  deployment=$(call POST "/ml/v4/deployments?version=2026-10-14" "$body" | jq -er .metadata.id)
  expect "$(call GET "/ml/v4/deployments?$in_project&serving_name=from_curl")" --arg deployment "$deployment" \
    '[.resources[].metadata.id] == [$deployment]'
  path=/ml/v1/deployments/$deployment/text
  answer=$(call POST "$path/generation?version=2026-10-14" '{"input": "Hi"}')
  expect "$answer" '.results[0].generated_token_count > 0'
  expect "$(stream "$path/generation_stream?version=2026-10-14" '{"input": "Hi"}')" --argjson answer "$answer" \
    '[.[].results[0].generated_text] | add == $answer.results[0].generated_text'
  expect "$(call POST "/ml/v1/deployments/from_curl/text/generation?version=2026-10-14" '{"input": "Hi"}')" \
    --argjson answer "$answer" '.results == $answer.results'
  expect "$(call POST "$path/chat?version=2026-10-14" '{"messages": []}')" \
    '.status_of_http == 404 and (.errors[0].message | startswith("A prompt-tuned deployment does not chat"))'
}

clean_up() {
  expect "$(call DELETE "/ml/v4/deployments/$deployment?$in_project")" '.status_of_http == 204'
  expect "$(call DELETE "/ml/v4/models/$model?$in_project")" '.status_of_http == 204'
  expect "$(call DELETE "/ml/v4/trainings/$training?$in_project&hard_delete=true")" '.status_of_http == 204'
  expect "$(call DELETE "/v2/assets/$asset?project_id=$project")" '.status_of_http == 204'
  expect "$(call GET "/ml/v4/deployments/$deployment?$in_project")" \
    '.status_of_http == 404 and (.errors[0].message | startswith("This project has no deployment of this id"))'
}

fail() {
  local unknown rest
  unknown=$(with '{model_id: "ibm/unknown", input: "Hi", messages: [{role: "user", content: "Hi"}]}')
  for rest in generation generation_stream chat chat_stream tokenization; do
    expect "$(call POST "/ml/v1/text/$rest?version=2026-10-14" "$unknown")" \
      '.status_of_http == 404 and (.errors[0].message | startswith("Model \"ibm/unknown\" is not served here."))'
  done
  expect "$(call POST "/ml/v1/text/generation" "$unknown")" \
    '.status_of_http == 400 and (.errors[0].message | test("version"))'
  expect "$(token=wrong && call GET "/v2/projects/$project")" '.status_of_http == 401'
}

sign_in
list_models
generate_text
chat
upload
tune
deploy
clean_up
fail
echo "Stop the runtime, please."
read -r
code=0
curl "$WATSONX_URL/health" || code=$?
[[ $code == 7 ]]  # curl's own code where nobody listens
