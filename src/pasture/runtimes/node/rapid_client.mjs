// What the native part of AWS's client for Node.js does, without one: `next` waits for an event, `done` and `error`
// post and return when the Runtime API has answered. One connection, kept for as long as the environment lives.
//
// Posting holds up the event loop, as it does on AWS: nothing of the function runs between its answer and the moment
// the answer has been taken, and an exit right behind it loses nothing. While an event is handled the connection does
// not keep the process alive: the client finds out by that when a function has nothing left to do.
import { readSync, writeSync } from "node:fs";
import { Socket } from "node:net";

const PREFIX = "/2018-06-01/runtime/invocation";
const PAUSE_MS = 0.05;
const ENOUGH = 65536;

export async function connect(address) {
  const [host, port] = address.split(":");
  const socket = new Socket();
  await new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.connect({ host, port: Number(port), noDelay: true }, resolve);
  });
  socket.removeAllListeners("error");
  return new RapidClient(socket, address);
}

class RapidClient {
  constructor(socket, host) {
    this.socket = socket;
    this.host = host;
    this.next = this.next.bind(this);
    this.done = this.done.bind(this);
    this.error = this.error.bind(this);
    socket.unref();
    socket.on("error", () => {});
    socket.on("close", () => this.lost());
    socket.on("data", (chunk) => this.received(chunk));
  }

  next() {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject, answer: new Answer() };
      this.socket.ref();
      this.socket.write(`GET ${PREFIX}/next HTTP/1.1\r\nHost: ${this.host}\r\nUser-Agent: ${agent()}\r\n\r\n`);
    });
  }

  // Nobody is there to give events or to be told anything.
  lost() {
    process.stderr.write("The Runtime API has closed the connection.\n");
    process.exit(1);
  }

  received(chunk) {
    const { answer, resolve, reject } = this.waiting;
    if (!answer.take(chunk)) return;
    this.waiting = undefined;
    this.socket.unref();
    if (answer.status === 200) resolve({ bodyJson: answer.body, headers: answer.headers });
    else reject(new Error(`Failed to get next invocation, error ${answer.status}`));
  }

  done(id, body) {
    this.post(`${PREFIX}/${id}/response`, body, {});
    return null;
  }

  error(id, body, xray) {
    const headers = { "Lambda-Runtime-Function-Error-Type": errorType(body) };
    if (xray && Buffer.byteLength(xray) < ENOUGH) headers["Lambda-Runtime-Function-XRay-Error-Cause"] = latin(xray);
    this.post(`${PREFIX}/${id}/error`, body, headers);
    return null;
  }

  post(path, text, headers) {
    const body = Buffer.from(text);
    const lines = [`POST ${path} HTTP/1.1`, `Host: ${this.host}`, `User-Agent: ${agent()}`];
    lines.push("Content-Type: application/json", `Content-Length: ${body.length}`);
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
    const { fd } = this.socket._handle;
    writeAll(fd, Buffer.concat([head, body]));
    const answer = new Answer();
    const chunk = Buffer.alloc(ENOUGH);
    let count;
    do {
      count = patiently(() => readSync(fd, chunk));
      if (count === 0) throw new Error("the Runtime API has closed the connection");
    } while (!answer.take(chunk.subarray(0, count)));
  }
}

// An HTTP answer as the Runtime API gives it: always with its length.
class Answer {
  chunks = [];
  size = 0;
  start = -1;

  // Whether it is whole.
  take(chunk) {
    this.chunks.push(Buffer.from(chunk));
    this.size += chunk.length;
    if (this.start < 0) this.head();
    if (this.start < 0 || this.size < this.start + this.length) return false;
    this.body = Buffer.concat(this.chunks).toString("utf8", this.start, this.start + this.length);
    return true;
  }

  head() {
    const bytes = Buffer.concat(this.chunks);
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return;
    this.start = end + 4;
    const [first, ...lines] = bytes.toString("utf8", 0, end).split("\r\n");
    this.status = Number(first.split(" ")[1]);
    this.headers = {};
    for (const line of lines) {
      const colon = line.indexOf(":");
      this.headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    this.length = Number(this.headers["content-length"] ?? 0);
  }
}

function writeAll(fd, bytes) {
  for (let sent = 0; sent < bytes.length; ) {
    sent += patiently(() => writeSync(fd, bytes, sent));
  }
}

// The descriptor does not block: what would have to wait is tried again.
const clock = new Int32Array(new SharedArrayBuffer(4));
function patiently(call) {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (error.code !== "EAGAIN" && error.code !== "EINTR") throw error;
      Atomics.wait(clock, 0, 0, PAUSE_MS);
    }
  }
}

function errorType(body) {
  try {
    return latin(String(JSON.parse(body)?.errorType ?? "unhandled"));
  } catch {
    return "unhandled";
  }
}

// A header may hold no line breaks, and nothing but Latin-1.
function latin(text) {
  return text.replace(/[^\x20-\x7e]/g, (character) => (character === "\n" || character === "\r" ? " " : "?"));
}

function agent() {
  return `aws-lambda-nodejs/${process.version}`;
}
