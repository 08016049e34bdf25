// SPDX-License-Identifier: Apache-2.0
// A server of other people's making for what is pushed: Connect, gRPC-Web and gRPC by @connectrpc/connect-node, messages by
// @bufbuild/protobuf. server.mjs DESCRIPTORS
//
// The first line of its output is {"port": N}; then each request is a line {"path", "headers", "type", "message" | "body"}.
// POST /script with a list makes the next requests fail in turn: the name of a Connect code, or a status of HTTP, or null.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';

const find = createRequire(process.cwd() + '/');
const load = (name) => import(pathToFileURL(find.resolve(name)).href);
const { create, createFileRegistry, fromBinary, toBinary, toJson } = await load('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = await load('@bufbuild/protobuf/wkt');
const { Code, ConnectError } = await load('@connectrpc/connect');
const { connectNodeAdapter } = await load('@connectrpc/connect-node');

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(process.argv[2])));
let script = [];

const tell = (o) => process.stdout.write(JSON.stringify(o) + '\n');
const codes = Object.fromEntries(Object.entries(Code).filter(([, v]) => typeof v === 'number')
  .map(([k, v]) => [k.replace(/[A-Z]/g, (c, i) => (i ? '_' : '') + c.toLowerCase()), v]));

function headersOf(headers) {
  return Object.fromEntries([...headers.entries()].map(([k, v]) => [k.toLowerCase(), v]));
}

// One call of a method: noted, and answered as the script says.
const call = (type) => (message, context) => {
  const step = script.shift() ?? null;
  tell({ path: new URL(context.url).pathname, headers: headersOf(context.requestHeader), protocol: context.protocolName,
    type, message: toJson(registry.getMessage(type), message, { registry }), answer: step });
  if (step !== null)
    throw new ConnectError('because ' + step, codes[step]);
  return {};
};

const methods = connectNodeAdapter({
  requireConnectProtocolHeader: true,
  routes(router) {
    router.service(registry.getService('push.v1.PusherService'), { push: call('push.v1.PushRequest') });
    router.service(registry.getService('parca.profilestore.v1alpha1.ProfileStoreService'),
      { writeRaw: call('parca.profilestore.v1alpha1.WriteRawRequest') });
  },
  fallback: other,
});

async function bodyOf(req) {
  const parts = [];
  for await (const p of req)
    parts.push(p);
  return Buffer.concat(parts);
}

function answerOtlp(res, req, body, step) {
  const type = 'otlp.ExportRequest';
  const bytes = req.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
  const message = toJson(registry.getMessage(type), fromBinary(registry.getMessage(type), bytes), { registry });
  const rejected = step === 'rejected' ? { partialSuccess: { rejectedProfiles: 1n, errorMessage: 'because rejected' } } : {};
  const schema = registry.getMessage('otlp.ExportResponse');
  tell({ path: req.url, headers: req.headers, type, message, answer: step });
  res.writeHead(typeof step === 'number' ? step : 200, { 'Content-Type': 'application/x-protobuf' });
  res.end(toBinary(schema, create(schema, rejected)));
}

async function other(req, res) {
  const body = await bodyOf(req);
  if (req.url === '/script') {
    script = JSON.parse(body.toString());
    tell({ script });
    res.end('{}');
    return;
  }
  const step = script.shift() ?? null;
  if (req.url === '/v1development/profiles') {
    answerOtlp(res, req, body, step);
  } else {
    tell({ path: req.url, headers: req.headers, body: body.toString('base64'), answer: step });
    res.writeHead(req.url.startsWith('/ingest?') ? 200 : 404).end();
  }
}

// A status of HTTP is for whichever protocol is next.
const server = createServer((req, res) => {
  if (req.url !== '/script' && req.url !== '/v1development/profiles' && typeof script[0] === 'number') {
    const status = script.shift();
    bodyOf(req).then(() => {
      tell({ path: req.url, headers: req.headers, answer: status });
      res.writeHead(status, { 'Retry-After': '0' }).end('because ' + status);
    });
    return;
  }
  methods(req, res);
});
server.listen(0, '127.0.0.1', () => tell({ port: server.address().port }));
