import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

const PROBE_MS = 100;

const probes = new Map<string, Promise<boolean>>();

/**
 * Resolves when something listens at the URL; true: not at once. One probe serves all agents of this process that wait: thousands that try again by themselves would take the
 * processor from the server that they wait for, which on this machine is the same one.
 */
export function untilListens(url: string): Promise<boolean> {
  const probe = probes.get(url) ?? probeUntilOpen(url).finally(() => probes.delete(url));
  probes.set(url, probe);
  return probe;
}

async function probeUntilOpen(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  for (let hasWaited = false; ; hasWaited = true) {
    if (await isOpen(hostname, Number(port))) return hasWaited;
    await wait(PROBE_MS);
  }
}

function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
