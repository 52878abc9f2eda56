import { spawn } from 'node:child_process';
import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES = {
  '.mjs': 'text/javascript',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};
/** Without these, Chromium asks for services that tests do not need. */
const QUIET = [
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const MINUTES = 60_000;

const page = (cases, device) => `<!doctype html><script type="importmap">
{"imports": {"@huggingface/transformers": "/modules/@huggingface/transformers/dist/transformers.web.js",
 "onnxruntime-web/webgpu": "/modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs",
 "onnxruntime-common": "/modules/onnxruntime-common/dist/esm/index.js"}}
</script><script type="module">
const tell = (row) => fetch('/result', { method: 'POST', body: JSON.stringify(row) });
try {
  const transformers = await import('@huggingface/transformers');
  const { judge, readSafetensors } = await import('/judge.mjs');
  Object.assign(transformers.env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: '/package/', useBrowserCache: false });
  transformers.env.backends.onnx.wasm.wasmPaths = '/modules/onnxruntime-web/dist/';
  transformers.env.backends.onnx.wasm.numThreads = 1;
  for (const { name } of ${JSON.stringify(cases)}) {
    const golden = readSafetensors(await (await fetch('/golden/' + name)).arrayBuffer());
    await tell({ name, ...(await judge(transformers, name, golden, { device: '${device}' }).catch((error) => ({ error: String(error) }))) });
  }
} catch (error) { await tell({ name: 'page', error: String(error) }); }
await tell({ done: true });
</script>`;

/** transformers.js in headless Chromium, each package served as it lies there. Resolves with a row a case. */
export async function runInBrowser(chromium, folder, cases, device = 'wasm') {
  const rows = [];
  const byName = new Map(cases.map((each) => [each.name, each]));
  const profile = mkdtempSync(join(tmpdir(), 'halfbyte-chromium-'));
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const fileOf = (path) => {
    const [, kind, ...rest] = path.split('/');
    if (kind === 'judge.mjs') return fileURLToPath(new URL('judge.mjs', import.meta.url));
    if (kind === 'modules') return join(folder, 'node_modules', ...rest);
    if (kind === 'golden') return byName.get(rest[0])?.golden;
    const found = kind === 'package' && byName.get(rest[0]);
    return found ? join(found.dir, ...rest.slice(1)) : undefined;
  };
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (part) => (body += part));
      request.on('end', () => {
        const row = JSON.parse(body);
        if (row.done) finish();
        else rows.push(row);
        response.end();
      });
      return;
    }
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    if (path === '/') {
      response.setHeader('content-type', 'text/html');
      return response.end(page(cases, device));
    }
    const file = fileOf(path);
    const size = file && statSync(file, { throwIfNoEntry: false })?.size;
    if (size === undefined) return response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-length': size,
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', ...QUIET, `--user-data-dir=${profile}`, url];
  const child = spawn(chromium, flags, { stdio: 'ignore', detached: true });
  const limit = setTimeout(finish, 5 * MINUTES);
  await finished;
  clearTimeout(limit);
  // The browser and the processes that it started are one group.
  process.kill(-child.pid, 'SIGKILL');
  await new Promise((resolve) => (child.exitCode === null ? child.once('exit', resolve) : resolve()));
  await new Promise((resolve) => setTimeout(resolve, 500));
  server.closeAllConnections();
  server.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
  return rows;
}
