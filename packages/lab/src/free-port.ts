import { createHash } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ports that the kernel gives to outgoing connections: a process that is started again finds its port free. */
const FIRST = 20_000;
const COUNT = 12_000;

/**
 * A free TCP port on loopback: `wanted`, or one that another lab, or another use in this lab, is unlikely to come upon, also when both look at the
 * same time.
 */
export async function choosePort(lab: string, use: string, wanted?: number): Promise<number> {
  if (wanted !== undefined && (await isFree(wanted))) return wanted;
  const start = createHash('sha256').update(`${lab}/${use}`).digest().readUInt32BE(0);
  for (let step = 0; step < COUNT; step += 1) {
    const port = FIRST + ((start + step) % COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`no TCP port from ${FIRST} to ${FIRST + COUNT} is free`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
