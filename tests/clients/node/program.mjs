// All that @ibm-cloud/watsonx-ai offers of what the runtime implements: models, text, chat, trainings, deployments.
import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { WatsonXAI } from "@ibm-cloud/watsonx-ai";

const BASE_MODEL = "local/tiny-random-llama";
const UNKNOWN_MODEL = "ibm/unknown";
const WRONG_MODEL = /is not served here\. Served: /;
const LABELS = ["satisfied", "unsatisfied"];
const LABEL_SCHEMA = {
  type: "object",
  properties: { label: { enum: LABELS } },
  required: ["label"],
  additionalProperties: false,
};
const input = "Hi";
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: input }] },
];
const projectId = process.env.WATSONX_PROJECT_ID;
const { TEST_DEPLOYMENT_ID: tunedId, TEST_DATA_ASSET_ID: assetId } = process.env;
const text = { modelId: BASE_MODEL, projectId, input, parameters: { max_new_tokens: 6 } };
const talk = { modelId: BASE_MODEL, projectId, messages, temperature: 0, maxTokens: 6 };

// The line that `env` prints.
const connect = () => WatsonXAI.newInstance({ version: "2026-10-14", serviceUrl: process.env.WATSONX_URL });

async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

const answerOf = ({ result }) => result.results[0].generated_text;
const contentOf = ({ result }) => result.choices[0].message.content;
const joinText = (pieces) => pieces.map(({ data }) => data.results[0].generated_text).join("");
const joinTalk = (pieces) => pieces.map(({ data }) => data.choices[0]?.delta.content ?? "").join("");

async function listModels(service) {
  const { result } = await service.listFoundationModelSpecs({ filters: "function_text_chat" });
  const ids = result.resources.map((model) => model.model_id);
  assert.ok(ids.includes(BASE_MODEL));
  const pages = new WatsonXAI.FoundationModelSpecsPager(service, { limit: 1 });
  assert.deepEqual((await pages.getAll()).map((model) => model.model_id), ids);
  const tasks = new WatsonXAI.FoundationModelTasksPager(service, { limit: 3 });
  assert.equal((await tasks.getAll()).length, 7);
}

async function generateText(service) {
  const answer = await service.generateText(text);
  assert.equal(answer.result.results[0].generated_token_count, 6);
  assert.equal(joinText(await collect(await service.generateTextStream({ ...text, returnObject: true }))), answerOf(answer));
  const lines = await collect(await service.generateTextStream(text));
  assert.ok(lines.some((line) => line.startsWith("data: ")));
  const options = { return_options: { input_text: true, generated_tokens: true, token_logprobs: true } };
  const described = await service.generateText({ ...text, parameters: { ...text.parameters, ...options } });
  assert.equal(described.result.results[0].input_text, input);
  assert.ok(described.result.results[0].generated_tokens.every((token) => token.logprob <= 0));
  const sampled = { ...text, parameters: { max_new_tokens: 6, decoding_method: "sample", random_seed: 3 } };
  assert.equal(answerOf(await service.generateText(sampled)), answerOf(await service.generateText(sampled)));
  const counted = await service.tokenizeText({ modelId: BASE_MODEL, projectId, input, parameters: { return_tokens: true } });
  assert.deepEqual(counted.result.result, { token_count: 2, tokens: ["H", "i"] });
}

async function chat(service) {
  const answer = await service.textChat({ ...talk, logprobs: true, topLogprobs: 1 });
  assert.equal(answer.result.usage.completion_tokens, 6);
  for (const token of answer.result.choices[0].logprobs.content) {
    assert.equal(token.logprob, token.top_logprobs[0].logprob);
  }
  const pieces = await collect(await service.textChatStream({ ...talk, returnObject: true }));
  assert.equal(joinTalk(pieces), contentOf(answer));
  assert.ok(pieces.every(({ data }) => data.object === "chat.completion.chunk"));
  const sampled = { ...talk, temperature: 1, seed: 3, presencePenalty: 0.5, frequencyPenalty: 0.5 };
  assert.equal(contentOf(await service.textChat(sampled)), contentOf(await service.textChat(sampled)));
  const tools = [{ type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } }];
  const warned = await service.textChat({ ...talk, tools });
  assert.match(warned.result.system.warnings[0].message, /tools is not offered by the local runtime/);
}

async function constrainAnswers(service) {
  const ask = async (constraint) => contentOf(await service.textChat({ modelId: BASE_MODEL, projectId, messages, ...constraint }));
  assert.ok(LABELS.includes(await ask({ guidedChoice: LABELS })));
  assert.match(await ask({ guidedRegex: "[ab]{3}" }), /^[ab]{3}$/);
  assert.ok(["yes", "no"].includes(await ask({ guidedGrammar: 'root ::= "yes" | "no"' })));
  assert.ok(LABELS.includes(JSON.parse(await ask({ guidedJSON: LABEL_SCHEMA })).label));
  const responseFormat = { type: "json_schema", json_schema: { name: "judgement", schema: LABEL_SCHEMA } };
  assert.ok(LABELS.includes(JSON.parse(await ask({ responseFormat })).label));
}

async function tuneAndDeploy(service) {
  const started = await service.createTraining({
    name: "from Node",
    projectId,
    tags: ["node"],
    autoUpdateModel: true,
    resultsReference: { type: "container", location: { path: "results" } },
    trainingDataReferences: [{ type: "data_asset", location: { href: `/v2/assets/${assetId}`, id: assetId } }],
    promptTuning: { base_model: { model_id: BASE_MODEL }, task_id: "classification", num_epochs: 1 },
  });
  const trainingId = started.result.metadata.id;
  let training;
  do {
    await sleep(200);
    training = (await service.getTraining({ trainingId, projectId })).result;
  } while (["queued", "pending", "running"].includes(training.entity.status.state));
  assert.equal(training.entity.status.state, "completed");
  const found = await service.listTrainings({ projectId, tagValue: "node" });
  assert.deepEqual(found.result.resources.map((one) => one.metadata.id), [trainingId]);

  const modelId = training.entity.model_id;
  assert.equal((await service.getModel({ modelId, projectId })).result.metadata.name, "from Node");
  const renaming = [{ op: "replace", path: "/name", value: "renamed" }];
  await service.updateModel({ modelId, projectId, jsonPatch: renaming });
  const models = await service.listModels({ projectId });
  assert.equal(models.result.resources.find((one) => one.metadata.id === modelId).metadata.name, "renamed");

  const deployed = await service.createDeployment({
    name: "from Node",
    projectId,
    asset: { id: modelId },
    online: { parameters: { serving_name: "from_node" } },
  });
  const deploymentId = deployed.result.metadata.id;
  await service.updateDeployment({ deploymentId, projectId, jsonPatch: renaming });
  assert.equal((await service.getDeployment({ deploymentId, projectId })).result.metadata.name, "renamed");
  const listed = await service.listDeployments({ projectId, servingName: "from_node" });
  assert.deepEqual(listed.result.resources.map((one) => one.metadata.id), [deploymentId]);
  await useDeployment(service, deploymentId, "from_node");
  await service.deleteDeployment({ deploymentId, projectId });
  await service.deleteModel({ modelId, projectId });
  await service.deleteTraining({ trainingId, projectId, hardDelete: true });
  const gone = { idOrName: deploymentId, input };
  await assert.rejects(service.deploymentGenerateText(gone), { status: 404, message: /There is no deployment with/ });
}

async function useDeployment(service, deploymentId, servingName) {
  const asked = { idOrName: deploymentId, input, parameters: { max_new_tokens: 6 } };
  const answer = answerOf(await service.deploymentGenerateText(asked));
  assert.notEqual(answer, answerOf(await service.generateText(text)));
  assert.equal(answerOf(await service.deploymentGenerateText({ ...asked, idOrName: servingName })), answer);
  const pieces = await collect(await service.deploymentGenerateTextStream({ ...asked, returnObject: true }));
  assert.equal(joinText(pieces), answer);
  const refusal = { status: 404, message: /A prompt-tuned deployment does not chat/ };
  await assert.rejects(service.deploymentsTextChat({ idOrName: deploymentId, messages }), refusal);
}

async function fail(service) {
  const unknown = { status: 404, message: WRONG_MODEL };
  await assert.rejects(service.generateText({ ...text, modelId: UNKNOWN_MODEL }), unknown);
  await assert.rejects(service.textChat({ ...talk, modelId: UNKNOWN_MODEL }), unknown);
  // Of a stream's error, this client reads the status alone.
  await assert.rejects(service.generateTextStream({ ...text, modelId: UNKNOWN_MODEL }), { status: 404 });
  const tooHot = { status: 400, message: /temperature must be a number from 0 to 2/ };
  await assert.rejects(service.textChat({ ...talk, temperature: 9 }), tooHot);
  await assert.rejects(service.listFineTunings({ projectId }), { status: 404, message: /Fine-tuning is not offered/ });

  const key = process.env.WATSONX_AI_APIKEY;
  process.env.WATSONX_AI_APIKEY = "wrong";
  const wrongKey = { status: 400, message: /Provided API key could not be found/ };
  await assert.rejects(connect().generateText(text), wrongKey);
  process.env.WATSONX_AI_APIKEY = key;
}

async function waitForTheEndOfTheRuntime() {
  console.log("Stop the runtime, please.");
  await once(process.stdin, "data");
  process.stdin.destroy();
}

const service = connect();
await listModels(service);
await generateText(service);
await chat(service);
await constrainAnswers(service);
await useDeployment(service, tunedId, "tuned");
await tuneAndDeploy(service);
await fail(service);
await waitForTheEndOfTheRuntime();
const unreachable = { message: /ECONNREFUSED/, statusText: "ECONNREFUSED" };
for (const stopped of [service, connect()]) {
  await assert.rejects(stopped.generateText(text), unreachable);
  await assert.rejects(stopped.textChatStream(talk), unreachable);
}
