// The first program of a Node.js environment: gives AWS's runtime client its transport and hands over to it.
import { existsSync } from "node:fs";
import Module from "node:module";
import { fileURLToPath } from "node:url";
import { connect } from "./rapid_client.mjs";

const client = fileURLToPath(new URL("./client/", import.meta.url));
const bundled = existsSync(`${client}dist/index.mjs`);
const native = `${client}${bundled ? "dist/" : ""}rapid-client.node`;

// The client asks for its native part by `require`; the file of that name is empty.
const part = new Module(native);
part.filename = native;
part.exports = await connect(process.env.AWS_LAMBDA_RUNTIME_API);
part.loaded = true;
Module._cache[native] = part;

if (bundled) {
  const { run } = await import("./client/dist/index.mjs");
  await run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
} else {
  await import("./client/index.mjs"); // from nodejs24.x on it starts by itself
}
