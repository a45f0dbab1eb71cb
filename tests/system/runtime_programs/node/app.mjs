import { appendFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
if (process.env.INIT === "fail") throw new TypeError("no init");

const does = {
  echo: ({ value }) => value,
  environment: ({ names }) => Object.fromEntries(names.map((name) => [name, process.env[name] ?? null])),
  context: (_event, context) => ({
    request_id: context.awsRequestId,
    name: context.functionName,
    version: context.functionVersion,
    arn: context.invokedFunctionArn,
    memory: Number(context.memoryLimitInMB),
    group: context.logGroupName,
    stream: context.logStreamName,
    in_time: context.getRemainingTimeInMillis() > 0 && context.getRemainingTimeInMillis() <= 10000,
    client: context.clientContext ?? null,
  }),
  fail: () => {
    throw new RangeError("boom");
  },
  exit: () => process.exit(7),
  sleep: () => new Promise((resolve) => setTimeout(resolve, 60000)),
  log: ({ text }) => console.log(text),
  count: () => {
    appendFileSync("/tmp/count", "x");
    return readFileSync("/tmp/count").length;
  },
  layer: () => require("from-a-layer"),
};

export const handler = async (event, context) => does[event.do](event, context);
