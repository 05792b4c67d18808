// The debug adapter, tried with the client by which VS Code's own adapters are tested.
// GRAPHNN names the command; `make dap` sets it.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");
const { DebugClient } = require("@vscode/debugadapter-testsupport");

const GRAPHNN = process.env.GRAPHNN || "graphnn";
const MODEL = path.join(__dirname, "model.py");
const TEXT = fs.readFileSync(MODEL, "utf8").split("\n");
const PATIENCE = 30_000;

const lineWith = (text) => TEXT.findIndex((line) => line.includes(text)) + 1;
const HIDDEN = lineWith("hidden = ");
const RELU = lineWith("active = ");
const LOGITS = lineWith("logits = ");
const LOSS = lineWith("return nn.");
const AT_RELU = { path: MODEL, line: RELU };
const thread = { threadId: 1 };

const flat = (value) => value.flat(Infinity);
const product = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, element, k) => sum + element * b[k][j], 0)));

function close(actual, expected, what) {
  assert.equal(flat(actual).length, flat(expected).length, what);
  flat(actual).forEach((element, i) => assert.ok(Math.abs(element - flat(expected)[i]) < 1e-4, `${what}: ${element} at ${i}`));
}

describe("graphnn dap", function () {
  this.timeout(PATIENCE);
  let client;

  beforeEach(async () => {
    client = new DebugClient(GRAPHNN, "dap", "graphnn");
    client.defaultTimeout = PATIENCE;
    await client.start();
  });
  afterEach(() => client?.stop());

  // What a request that moves leads to: the body of the next "stopped".
  async function moved(request, args = thread) {
    const [event] = await Promise.all([client.waitForEvent("stopped"), client.send(request, args)]);
    return event.body;
  }

  const stack = async () => (await client.stackTraceRequest(thread)).body.stackFrames;
  const children = async (reference, page = {}) =>
    (await client.variablesRequest({ variablesReference: reference, ...page })).body.variables;

  async function scope(name) {
    const [top] = await stack();
    const scopes = (await client.scopesRequest({ frameId: top.id })).body.scopes;
    return scopes.find((each) => each.name === name) ?? assert.fail(`no scope ${name}: ${scopes.map((each) => each.name)}`);
  }

  async function variable(scopeName, name) {
    const all = await children((await scope(scopeName)).variablesReference);
    return all.find((each) => each.name === name) ?? assert.fail(`no ${name} in ${scopeName}: ${all.map((each) => each.name)}`);
  }

  // The numbers of an array, read by its rows.
  async function numbers(of) {
    if (!of.variablesReference) return Number(of.value);
    const parts = await children(of.variablesReference);
    return Promise.all(parts.filter((each) => each.presentationHint?.kind !== "virtual").map(numbers));
  }

  async function value(expression) {
    const answer = await client.evaluateRequest({ expression, context: "watch" });
    return answer.body.variablesReference ? numbers(answer.body) : Number(answer.body.result);
  }

  const hit = () => client.hitBreakpoint({ target: `${MODEL}:build` }, AT_RELU);

  async function launched(args = {}, configure = async () => {}) {
    const initialized = client.waitForEvent("initialized").then(async () => {
      await configure();
      await client.configurationDoneRequest();
    });
    const [event] = await Promise.all([client.waitForEvent("stopped"), initialized, client.launch({ target: `${MODEL}:build`, ...args })]);
    return event.body;
  }

  it("says that it goes back", async () => {
    const { body } = await client.initializeRequest();
    for (const ability of ["StepBack", "SetVariable", "DataBreakpoints", "FunctionBreakpoints", "ConditionalBreakpoints"])
      assert.equal(body[`supports${ability}`], true, ability);
  });

  it("stops where the run enters", async () => {
    assert.equal((await launched({ stopOnEntry: true })).reason, "entry");
  });

  it("leaves alone what VS Code's extension for Python adds to a launch", async () => {
    const added = { console: "internalConsole", debugOptions: ["ShowReturnValue"], env: {}, justMyCode: true, python: "/usr/bin/python3" };
    const folder = { cwd: __dirname, target: "model.py:build", workspaceFolder: __dirname, __sessionId: "1", debugServer: 4711 };
    await launched({ ...added, ...folder, step: true, stopOnEntry: true });
    assert.equal((await stack())[0].line, HIDDEN);
  });

  it("hits a line forward, then in the backward pass", async () => {
    await hit();
    assert.match((await stack()).at(-1).name, /forward/);
    await Promise.all([client.assertStoppedLocation("breakpoint", AT_RELU), client.continueRequest(thread)]);
    assert.match((await stack()).at(-1).name, /backward/);
  });

  it("shows the values of the operation", async () => {
    await hit();
    const [x, weight, bias] = [await value("x"), await value("dense_1/weight"), await value("dense_1/bias")];
    const hidden = product(x, weight).map((row) => row.map((element, j) => element + bias[j]));
    close(
      await numbers(await variable("Operation", "result")),
      hidden.map((row) => row.map((element) => Math.max(element, 0))),
      "relu",
    );
    const { value: line } = await variable("Operation", "result");
    assert.match(line, /^\(4, 3\) float64/);
  });

  it("steps over, back, and on again", async () => {
    await hit();
    await Promise.all([client.assertStoppedLocation("step", { path: MODEL, line: LOGITS }), client.nextRequest(thread)]);
    await Promise.all([client.assertStoppedLocation("breakpoint", AT_RELU), client.stepBackRequest(thread)]);
    await Promise.all([client.assertStoppedLocation("step", { path: MODEL, line: HIDDEN }), client.stepBackRequest(thread)]);
    await Promise.all([client.assertStoppedLocation("breakpoint", AT_RELU), client.nextRequest(thread)]);
  });

  it("goes back to a breakpoint, and to the start", async () => {
    await hit();
    const before = await numbers(await variable("Operation", "result"));
    await moved("continue");
    await moved("continue"); // no further breakpoint: to the end
    await Promise.all([client.assertStoppedLocation("breakpoint", AT_RELU), client.reverseContinueRequest(thread)]);
    assert.match((await stack()).at(-1).name, /backward/);
    await Promise.all([client.assertStoppedLocation("breakpoint", AT_RELU), client.reverseContinueRequest(thread)]);
    assert.match((await stack()).at(-1).name, /forward/);
    assert.deepEqual(await numbers(await variable("Operation", "result")), before);
    await moved("reverseContinue");
    await Promise.all([client.assertStoppedLocation("breakpoint", AT_RELU), client.continueRequest(thread)]);
  });

  it("stays at the end, and ends at disconnect only", async () => {
    let terminated = false;
    client.on("terminated", () => (terminated = true));
    await launched({ stopOnEntry: true });
    const end = await moved("continue");
    assert.equal(terminated, false, end.description);
    await moved("stepBack");
    await Promise.all([client.waitForEvent("terminated"), client.disconnectRequest()]);
    client = null; // its adapter is gone
  });

  it("changes a value, and what depends on it follows", async () => {
    await hit();
    await client.setBreakpointsRequest({ source: { path: MODEL }, breakpoints: [] });
    const { variablesReference } = await scope("Operation");
    await Promise.all([client.waitForEvent("output"), client.setVariableRequest({ variablesReference, name: "result", value: "0" })]);
    close(await value("relu"), Array(12).fill(0), "what was set");
    await moved("continue");
    const bias = await value("dense_2/bias");
    close(await value("dense_2/add"), Array(4).fill(bias), "logits of zeros");
    const most = Math.max(...bias);
    const log = most + Math.log(bias.reduce((sum, element) => sum + Math.exp(element - most), 0));
    const losses = (await value("labels")).map((label) => log - bias[label]);
    close([await value("softmax_crossentropy_1/mean")], [losses.reduce((a, b) => a + b) / 4], "loss");
  });

  it("changes one number", async () => {
    await hit();
    const before = await value("relu");
    const { variablesReference } = await variable("Operation", "result");
    const row = (await children(variablesReference)).find((each) => each.name === "[2]");
    await client.setVariableRequest({ variablesReference: row.variablesReference, name: "[1]", value: "7.5" });
    before[2][1] = 7.5;
    assert.deepEqual(await value("relu"), before);
  });

  it("steps through a whole training step, and back to the same values", async () => {
    const one = { ...thread, granularity: "instruction" };
    const here = async () => [(await stack())[0].name, await numbers(await variable("Operation", "result"))];
    await launched({ stopOnEntry: true });
    const stops = [];
    for (let stop; (stop = await moved("next", one)) && stops.at(-1)?.[0] !== (await stack())[0].name;) stops.push(await here());
    assert.ok(stops.length > 30, `${stops.length} operations`);
    const result = Object.fromEntries(stops);
    const labels = await value("labels");
    const scores = result["dense_2/add"].map((logits) => logits.map(Math.exp));
    const slopes = scores.map((row, i) => row.map((score, j) => (score / (row[0] + row[1]) - (j === labels[i])) / 4));
    const gradient = [0, 1].map((j) => slopes.reduce((sum, row) => sum + row[j], 0));
    close(result["grad/dense_2/sum_to"], gradient, "gradient");
    const bias = await value("dense_2/bias");
    close(
      result["sgd_1/dense_2/bias/subtract"],
      bias.map((element, j) => element - gradient[j] / 2),
      "update",
    );
    for (const stop of stops.slice(0, -1).reverse()) {
      await moved("stepBack", one);
      assert.deepEqual(await here(), stop);
    }
  });

  it("evaluates expressions and verbs", async () => {
    await hit();
    close([await value("max(relu)")], [Math.max(...flat(await value("relu")))], "max");
    const verb = await client.evaluateRequest({ expression: "why relu[3, 1]", context: "repl" });
    assert.match(verb.body.result, /relu/);
    await assert.rejects(client.evaluateRequest({ expression: "__import__('os')", context: "watch" }));
  });

  it("stops when data become what was asked", async () => {
    await launched({ stopOnEntry: true });
    const info = await client.dataBreakpointInfoRequest({ name: "dense_2/add" });
    assert.ok(info.body.dataId, info.body.description);
    const answer = await client.setDataBreakpointsRequest({ breakpoints: [{ dataId: info.body.dataId, condition: "any > -100" }] });
    assert.equal(answer.body.breakpoints[0].verified, true, answer.body.breakpoints[0].message);
    await Promise.all([client.assertStoppedLocation("data breakpoint", { path: MODEL, line: LOGITS }), client.continueRequest(thread)]);
  });

  it("stops at a function, at a condition, and logs", async () => {
    await launched({ stopOnEntry: true }, async () => {
      await client.setFunctionBreakpointsRequest({ breakpoints: [{ name: "exp" }] });
      await client.setBreakpointsRequest({
        source: { path: MODEL },
        breakpoints: [
          { line: RELU, condition: "max > 1e6" },
          { line: LOGITS, logMessage: "logits {dense_2/matmul}" },
        ],
      });
    });
    const logged = client.waitForEvent("output");
    await Promise.all([client.assertStoppedLocation("function breakpoint", { path: MODEL, line: LOSS }), client.continueRequest(thread)]);
    assert.match((await logged).body.output, /logits \(4, 2\) float64/);
  });

  it("does not verify a line that made nothing", async () => {
    await launched({ stopOnEntry: true });
    const answer = await client.setBreakpointsRequest({ source: { path: MODEL }, breakpoints: [{ line: 1 }] });
    assert.equal(answer.body.breakpoints[0].verified, false);
  });

  it("stops where a NaN arises", async () => {
    const stopped = await launched({ target: `${MODEL}:broken` }, () => client.setExceptionBreakpointsRequest({ filters: ["nan"] }));
    assert.equal(stopped.reason, "exception");
    assert.equal((await stack())[0].line, lineWith("gn.log("));
  });
});

describe("graphnn dap --port", function () {
  this.timeout(PATIENCE);

  it("serves one client over the loopback, and ends", async () => {
    const server = spawn(GRAPHNN, ["dap", "--port", "0"], { stdio: ["ignore", "pipe", "pipe"] });
    const said = new Promise((resolve) => {
      let text = "";
      for (const stream of [server.stdout, server.stderr])
        stream.on("data", (more) => {
          text += more;
          const port = /\b(\d{4,5})\b/.exec(text);
          if (port) resolve(Number(port[1]));
        });
    });
    const client = new DebugClient("", "", "graphnn");
    await client.start(await said);
    const ended = once(server, "exit");
    await client.hitBreakpoint({ target: `${MODEL}:build` }, AT_RELU);
    await client.stop();
    assert.deepEqual(await ended, [0, null]);
  });
});
