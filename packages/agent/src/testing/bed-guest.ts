import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sourceProgram } from '@cable/kit/testing';
import type { LocalPort } from '@cable/model';
import { createNetns, type TestNetns } from '../net/testing.ts';
import { deviceName } from '../plan/device-names.ts';
import type { BedHost } from './agent-bed.ts';

/** For tests: a machine behind a port's tap, as a network namespace with the device `c0`, which has the port's MAC. */
export type BedGuest = {
  readonly netns: TestNetns;
  /** Gets a lease by one DISCOVER, and one REQUEST; its words. Rejects when one is not answered within so many seconds, default 20. */
  lease(seconds?: number): Promise<string>;
  /** Body of the answer to a metadata request; the guest needs its address for it. Rejects when none comes within 20 seconds. */
  metadata(path: string): Promise<string>;
  /** What dig prints of a question to 169.254.169.254. Rejects when no answer comes within 20 seconds, or as `+time` says. */
  dig(...words: readonly string[]): Promise<string>;
  /** Sends as fast as it can, until `stop`. Resolves when it sends. */
  flood(kind: 'dhcp' | 'syn'): Promise<Flood>;
  /** Ends the floods that go on. */
  quiet(): Promise<void>;
  remove(): void;
};

/** `stop` tells how many frames went out. */
export type Flood = { stop(): Promise<number> };

const FLOODER = fileURLToPath(new URL('flooder.ts', import.meta.url));
const run = promisify(execFile);

export function createBedGuest(host: BedHost, port: LocalPort): BedGuest {
  const netns = createNetns();
  const device = deviceName('tap', port.id);
  host.exec('ip', 'link', 'add', device, 'up', 'type', 'veth', 'peer', 'name', 'c0', 'netns', netns.name);
  netns.ip('link', 'set', 'c0', 'address', port.macAddress, 'up');
  const address = port.fixedIps[0]?.ipAddress ?? '';
  netns.ip('address', 'add', `${address}/24`, 'dev', 'c0');
  netns.ip('route', 'add', '169.254.169.254', 'dev', 'c0');
  const enter = [`--net=${netns.path}`];
  const inside = async (...command: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await run('nsenter', [...enter, ...command], { timeout: 60_000 });
    return stdout + stderr;
  };
  const floods = new Set<Flood>();
  return {
    netns,
    lease: (seconds = 20) =>
      inside('udhcpc', '-i', 'c0', '-n', '-q', '-f', '-t', '1', '-T', String(seconds), '-s', '/bin/true'),
    metadata: (path) => inside('curl', '-sS', '-f', '-m', '20', `http://169.254.169.254${path}`),
    dig: (...words) => inside('dig', '@169.254.169.254', '+tries=1', '+time=20', ...words),
    flood: async (kind) => {
      const command = [process.execPath, ...sourceProgram(FLOODER), kind, address];
      const flood = await startFlood(
        spawn('nsenter', [...enter, ...command], { stdio: ['ignore', 'pipe', 'inherit'] }),
      );
      floods.add(flood);
      return flood;
    },
    quiet: async () => {
      for (const flood of floods) await flood.stop();
      floods.clear();
    },
    remove: () => netns.remove(),
  };
}

async function startFlood(child: ChildProcess): Promise<Flood> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await Promise.race([once(child.stdout ?? child, 'data'), once(child, 'exit')]);
  if (child.exitCode !== null) throw new Error('the flooder ended before it began');
  return {
    stop: async () => {
      if (child.exitCode === null) {
        const closed = once(child, 'close');
        child.kill('SIGTERM');
        await closed;
      }
      return Number(text.trim().split('\n').at(-1));
    },
  };
}
