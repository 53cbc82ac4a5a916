/** Loaded before each test file: by SIGUSR2 its process says on standard error what keeps it from ending. */
import { readFileSync, writeSync } from 'node:fs';

process.on('SIGUSR2', async () => {
  const kept = [...(await timers()), ...handles(), ...requests()];
  const lines = kept.length === 0 ? ['nothing that Node knows of'] : kept;
  for (const line of lines) writeSync(2, `what keeps the process: ${line}\n`);
});

/** Node lists no timers: they are looked up on the heap. Of each its function is told: it says who waits. */
async function timers() {
  const { Session } = await import('node:inspector');
  const session = new Session();
  session.connect();
  const { result: prototype } = post(session, 'Runtime.evaluate', {
    expression: 'Object.getPrototypeOf(setTimeout(() => undefined).unref())',
  });
  const { objects } = post(session, 'Runtime.queryObjects', { prototypeObjectId: prototype.objectId });
  const told = post(session, 'Runtime.callFunctionOn', {
    objectId: objects.objectId,
    functionDeclaration: `function () {
      const running = this.filter((one) => !one._destroyed && one.hasRef());
      return running.map((one) => [one._repeat ?? one._idleTimeout, one._repeat !== null, String(one._onTimeout)]);
    }`,
    returnByValue: true,
  });
  session.disconnect();
  return told.result.value.map(
    ([ms, isInterval, what]) =>
      `timer ${isInterval ? 'every' : 'of'} ${ms} ms: ${what.replace(/\s+/g, ' ').slice(0, 200)}`,
  );
}

function post(session, method, parameters) {
  let answer;
  session.post(method, parameters, (err, result) => {
    if (err !== null) throw err;
    answer = result;
  });
  return answer;
}

/** Sockets, pipes, programs and the like. */
function handles() {
  // It would ask DNS for the names of addresses.
  process.report.excludeNetwork = true;
  const { libuv } = process.report.getReport();
  const kept = libuv.filter((one) => one.is_active && one.is_referenced && !['loop', 'timer'].includes(one.type));
  return kept.map(({ type, pid, localEndpoint, remoteEndpoint, ...more }) => {
    const ends = [localEndpoint, remoteEndpoint].flatMap((one) => (one ? `${one.ip4 ?? one.ip6}:${one.port}` : []));
    return [type, ...ends, more.filename ?? '', pid === undefined ? '' : `${pid} ${commandOf(pid)}`].join(' ').trim();
  });
}

/** What Node has asked the kernel for, by kind: of files, names and connections. */
function requests() {
  return process._getActiveRequests().map((one) => `request ${one.constructor.name}`);
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
