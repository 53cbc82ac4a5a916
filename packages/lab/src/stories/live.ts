import { existsSync, statSync } from 'node:fs';
import { mapEntries } from '../agent-state.ts';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, expect, expectPings, pingFrom } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { LAUNCHER } from '../names.ts';
import { checkAlive, type LabProcess } from '../processes.ts';
import { defineStory, type Story } from '../story.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  ...TWO_VMS,
  guests: { ...TWO_VMS.guests, pod1: { kind: 'pod', host: 'h2', network: 'blue', group: 'blue' } },
} as const;

type LiveWorld = typeof WORLD;
type LiveLab = Lab<LiveWorld>;

const DEADLINE_MS = 60_000;

/** What a line of `--json` says. */
type Line = Readonly<Record<string, unknown>> & { readonly peer?: { readonly name: string } | null };

function flowOf(line: Line): Line | null {
  return (line['flow'] ?? null) as Line | null;
}

function portOf(line: Line): string {
  return (line['port'] as { readonly name: string }).name;
}

/** A command line of Cable's that goes on, for as long as `work` takes. */
async function whileRunning<T>(
  lab: LiveLab,
  name: string,
  words: readonly string[],
  work: (shown: Shown) => Promise<T>,
): Promise<T> {
  const command = [process.execPath, LAUNCHER, '--server', lab.control.url, ...words, '--json'];
  const running = await lab.processes.start({ name, command });
  try {
    return await work(shownBy(running));
  } finally {
    // Nothing is said to the host: it must find out itself.
    await running.stop('SIGKILL');
  }
}

type Shown = {
  /** The first line that fits, of those that come or have come. */
  until(what: string, fits: (line: Line) => boolean): Promise<Line>;
  /** What is said beside the lines. */
  untilSaid(text: string): Promise<void>;
};

function shownBy({ log }: LabProcess): Shown {
  const lines = (): readonly Line[] =>
    log
      .read()
      .split('\n')
      .slice(0, -1)
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []));
  const said = (): string => log.lastLines(5).join('\n');
  const explained = async <T>(what: string, find: () => Promise<T | undefined>): Promise<T> => {
    try {
      return await eventually({ what, deadlineMs: DEADLINE_MS, everyMs: 100 }, find);
    } catch (err) {
      throw new Error(`${err instanceof Error ? err.message : String(err)}; shown last: ${said()}`);
    }
  };
  return {
    until: (what, fits) => explained(what, async () => lines().find(fits)),
    untilSaid: async (text) => {
      await explained(text, async () => (log.read().includes(`-- ${text}`) ? true : undefined));
    },
  };
}

/** Undefined: it has no row. */
async function flagsOf(host: Guest['host'], portId: string): Promise<readonly string[] | undefined> {
  const rows = ((await mapEntries(host)).get('cb_vif_2') ?? []) as readonly Readonly<Record<string, unknown>>[];
  const flags = rows.find((row) => row['port_id'] === portId)?.['flags'];
  return typeof flags === 'string' ? flags.split(' ') : undefined;
}

async function untilFollowed({ host, portId, name }: Guest, isFollowed: boolean): Promise<void> {
  const what = `${host.short} to tell of ${name}${isFollowed ? '' : ' no more'}`;
  await eventually({ what, deadlineMs: DEADLINE_MS }, async () => {
    const flags = await flagsOf(host, portId);
    return flags !== undefined && flags.includes('followed') === isFollowed ? true : undefined;
  });
}

async function restartAgent({ hosts: { h2 } }: LiveLab): Promise<void> {
  expect(h2.agent !== undefined, 'h2 has no agent');
  await h2.agent.kill();
  await h2.agent.start();
  await untilSynced(h2);
}

/** A TCP connection from vm1 to vm2 that sends some bytes ten times a second, for as long as `work` takes. */
async function whileConnected<T>(lab: LiveLab, name: string, work: () => Promise<T>): Promise<T> {
  const { vm1, vm2 } = lab.guests;
  const script = `exec 3<>/dev/tcp/${vm2.ip}/${OPEN_PORT}; echo '{"verb":"put"}' >&3; while echo x >&3; do sleep 0.1; done`;
  const connection = await lab.processes.start({
    name,
    command: ['bash', '-c', script],
    netns: vm1.netns ?? '',
  });
  try {
    return await work();
  } finally {
    await connection.stop('SIGKILL');
  }
}

/** The rule that lets TCP to the open port in is gone for as long as `work` takes. */
async function withoutRule<T>(lab: LiveLab, work: () => Promise<T>): Promise<T> {
  const { blue } = lab.tenants;
  const of = { security_group_id: lab.groups.blue.id, direction: 'ingress', protocol: 'tcp' };
  const [rule] = (await blue.list('security_group_rule', of)).filter(({ port_range_min: from }) => from === OPEN_PORT);
  expect(rule !== undefined, 'there is no rule for TCP');
  await blue.delete('security_group_rule', rule.id);
  try {
    return await work();
  } finally {
    await blue.create('security_group_rule', { ...of, port_range_min: OPEN_PORT, port_range_max: OPEN_PORT });
  }
}

type Capture = {
  readonly file: string;
  readonly process: LabProcess;
  /** Waits until it has so many bytes more than `from`. */
  untilMore(from: number): Promise<number>;
};

/** The words of somebody who is not root, a member of a project. */
function nobodys(lab: LiveLab, project: string, words: readonly string[]): readonly string[] {
  const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
  return [
    ...nobody,
    process.execPath,
    LAUNCHER,
    '--server',
    lab.control.url,
    '--project',
    project,
    '--role',
    'member',
    ...words,
  ];
}

/** A capture by him, for as long as `work` takes; it has begun. */
async function whileCapturing<T>(
  lab: LiveLab,
  name: string,
  words: readonly string[],
  work: (capture: Capture) => Promise<T>,
): Promise<T> {
  const file = `${lab.names.dir}/${name}.pcap`;
  const command = ['sh', '-c', 'file=$1; shift; exec "$@" >"$file"', 'sh', file];
  const running = await lab.processes.start({
    name,
    command: [...command, ...nobodys(lab, 'blue', ['capture', ...words])],
    env: { HOME: '/nonexistent' },
  });
  const untilMore = (from: number): Promise<number> =>
    eventually({ what: `${name} to have more than ${from} bytes`, deadlineMs: DEADLINE_MS }, async () => {
      checkAlive(running);
      const bytes = existsSync(file) ? statSync(file).size : 0;
      return bytes > from ? bytes : undefined;
    });
  try {
    await untilMore(0);
    return await work({ file, process: running, untilMore });
  } finally {
    await running.stop('SIGKILL');
  }
}

/** What tshark reads of it, a line a packet. */
async function read(file: string): Promise<readonly string[]> {
  const fields = ['ip.src', 'ip.dst', 'icmp.type', 'tcp.dstport'].flatMap((field) => ['-e', field]);
  const { code, stdout, stderr } = await run(['tshark', '-n', '-r', file, '-T', 'fields', ...fields]);
  expect(code === 0, `tshark ended with ${code}: ${stderr}`);
  return stdout.split('\n').filter((line) => line !== '');
}

type Asked = { readonly marker: string };

const concerns = ['agent', 'server'];

const CHECKS: readonly Check<LiveWorld>[] = [
  {
    group: 'follow',
    name: 'who follows a port is shown what begins, what the rules end, and what is dropped then, with the remedy',
    concerns,
    run: async (lab) => {
      const { vm2 } = lab.guests;
      return whileRunning(lab, 'follow-vm2', ['flows', vm2.portId, '--follow', '--protocol', 'tcp'], async (shown) => {
        await untilFollowed(vm2, true);
        return whileConnected(lab, 'connection-1', async () => {
          const isOurs = ({ destination_port: port }: Line): boolean => port === OPEN_PORT;
          const begin = await shown.until('the begin', (line) => line['kind'] === 'begin' && isOurs(line));
          expect(begin.peer?.name === 'vm1', `peer ${begin.peer?.name}`);
          expect(typeof begin['rule'] === 'string', 'no rule is named');
          return withoutRule(lab, async () => {
            const end = await shown.until('the end', (line) => line['kind'] === 'end' && isOurs(line));
            expect(end['ended'] === 'forced', `ended by ${String(end['ended'])}`);
            expect(Number(end['packets']) > 0, 'no packets are counted');
            const drop = await shown.until('the drop', (line) => line['kind'] === 'drop' && isOurs(line));
            expect(drop['reason'] === 'policy_ingress', `dropped for ${String(drop['reason'])}`);
            expect(String(drop['remedy']).startsWith('Add an ingress rule'), `remedy: ${String(drop['remedy'])}`);
            return `${String(end['packets'])} packets, then ${String(drop['reason'])}`;
          });
        });
      });
    },
  },
  {
    group: 'follow',
    name: 'when who followed is gone, nothing more is told; a killed agent is asked again, and says that it begins anew',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      await untilFollowed(vm2, false);
      return whileRunning(lab, 'follow-killed', ['flows', vm2.portId, '--follow'], async (shown) => {
        await untilFollowed(vm2, true);
        await restartAgent(lab);
        await shown.untilSaid('begun anew');
        await untilFollowed(vm2, true);
        await expectPings(vm1, vm2);
        await shown.until('a ping', ({ kind, protocol }) => kind === 'begin' && protocol === 1);
        return 'begun anew';
      });
    },
  },
  {
    group: 'live',
    name: 'packets of a connection are shown at both ends as they were decided, and, once the rule is gone, that they are dropped, where, why, and what to do',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      return whileConnected(lab, 'connection-2', async () => {
        const words = ['--from', vm1.portId, '--to', vm2.ip, '--proto', 'tcp', '--dport', String(OPEN_PORT)];
        return whileRunning(lab, 'live-tcp', ['trace', '--live', ...words], async (shown) => {
          const isPacket = (line: Line, port: string, sent: boolean): boolean =>
            line['kind'] === 'packet' && portOf(line) === port && line['sent'] === sent && flowOf(line) !== null;
          const sent = await shown.until('what vm1 sends', (line) => isPacket(line, 'vm1', true));
          await shown.until('what vm1 is given', (line) => isPacket(line, 'vm1', false));
          await shown.until('what vm2 sends', (line) => isPacket(line, 'vm2', true));
          const given = await shown.until('what vm2 is given', (line) => isPacket(line, 'vm2', false));
          expect(flowOf(sent)?.['peer_host'] === vm2.host.name, `the tunnel to ${String(flowOf(sent)?.['peer_host'])}`);
          expect(typeof flowOf(given)?.['rule'] === 'string', 'no rule is named');
          const said = await withoutRule(lab, async () => {
            const drop = await shown.until('the drop', ({ kind }) => kind === 'drop');
            expect(drop['host'] === vm2.host.name, `dropped on ${String(drop['host'])}`);
            expect(drop['reason'] === 'policy_ingress', `dropped for ${String(drop['reason'])}`);
            expect(String(drop['remedy']).startsWith('Add an ingress rule'), `remedy: ${String(drop['remedy'])}`);
            return `${String(drop['reason'])} on ${vm2.host.short}`;
          });
          await restartAgent(lab);
          const restarted = new Date().toISOString();
          await shown.untilSaid('begun anew');
          const isLater = (line: Line): boolean => String(line['at']) > restarted && isPacket(line, 'vm2', false);
          await shown.until('what vm2 is given when its agent was killed', isLater);
          return said;
        });
      });
    },
  },
  {
    group: 'live',
    name: 'what a pod is given is shown, too, with one end on the same host; after so many packets it ends, in words',
    concerns,
    run: async (lab) => {
      const { vm1, vm2, pod1 } = lab.guests;
      const said: string[] = [];
      for (const from of [vm1, vm2]) {
        const words = ['trace', '--live', '--from', from.portId, '--to', pod1.ip, '--count', '12', '--rate', '20'];
        const live = run([process.execPath, LAUNCHER, '--server', lab.control.url, ...words]);
        try {
          await untilFollowed(pod1, true);
          await pingFrom(from, pod1.ip, { count: 40, intervalMs: 50, deadlineSeconds: 20 });
        } finally {
          await live;
        }
        const { code, stdout, stderr } = await live;
        expect(code === 0, `it ended with ${code}: ${stderr}`);
        for (const text of [
          `${from.name} sends icmp ${from.ip} > ${pod1.ip} type 8`,
          `${pod1.name} is given icmp`,
          'as its connection was decided: rule',
        ])
          expect(stdout.includes(text), `'${text}' is not in: ${stdout.slice(0, 2000)}`);
        said.push(`${from.name}: ${stdout.split('\n').length - 1} lines`);
        await untilFollowed(pod1, false);
      }
      return said.join('; ');
    },
  },
  {
    group: 'capture',
    name: 'who is not root captures a port of his project on another host, so many packets of those he wants, for Wireshark to read; another project’s is not there',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const words = [vm2.name, '--filter', `icmp and host ${vm1.ip}`, '--count', '10'];
      const lines = await whileCapturing(lab, 'capture-vm2', words, async ({ process: running, file }) => {
        await pingFrom(vm1, vm2.ip, { count: 30, intervalMs: 100, deadlineSeconds: 30 });
        await eventually({ what: 'the capture to end', deadlineMs: DEADLINE_MS }, async () =>
          running.alive() ? undefined : true,
        );
        expect(
          running.log.read().includes('10 packets (as many as were asked for)\n'),
          running.log.lastLines(5).join('\n'),
        );
        return read(file);
      });
      const there = lines.filter((line) => line.startsWith(`${vm1.ip}\t${vm2.ip}\t8`));
      const back = lines.filter((line) => line.startsWith(`${vm2.ip}\t${vm1.ip}\t0`));
      expect(lines.length === 10 && there.length + back.length === 10, `other packets: ${lines.join('; ')}`);
      expect(there.length > 0 && back.length > 0, `one way only: ${lines.join('; ')}`);
      const { code, stderr } = await run(nobodys(lab, 'red', ['capture', vm2.portId]), {
        env: { HOME: '/nonexistent' },
      });
      expect(code === 1 && stderr.includes('PortNotFound'), `${code}: ${stderr}`);
      return `${there.length} there, ${back.length} back`;
    },
  },
  {
    group: 'capture',
    name: 'a hundred that ask at once have two places of a port, and give them back',
    concerns,
    run: async (lab) => {
      const path = `/cable/v1/ports/${lab.guests.vm1.portId}/capture`;
      const { blue } = lab.tenants;
      const said = await Promise.allSettled(Array.from({ length: 100 }, () => blue.request('GET', path)));
      const begun = said.flatMap((one) => (one.status === 'fulfilled' ? [one.value as Asked] : []));
      const ended = begun.map(({ marker }) => blue.request('GET', `${path}?marker=${marker}&end=true`));
      await Promise.all(ended);
      expect(begun.length === 2, `${begun.length} have begun`);
      const again = (await blue.request('GET', path)) as Asked;
      await blue.request('GET', `${path}?marker=${again.marker}&end=true`);
      return '2 of 100';
    },
  },
  {
    group: 'capture',
    name: 'it goes on after the agent was killed, and after who captures was stopped; meanwhile nobody captures',
    concerns,
    run: async (lab) => {
      const { vm2, pod1 } = lab.guests;
      const isCaptured = async (is: boolean): Promise<void> => {
        const what = `pod1 to be captured${is ? '' : ' no more'}`;
        await eventually({ what, deadlineMs: DEADLINE_MS }, async () => {
          const flags = await flagsOf(pod1.host, pod1.portId);
          return flags !== undefined && flags.includes('peer') !== is ? true : undefined;
        });
      };
      return whileCapturing(lab, 'capture-pod1', [pod1.portId], async (capture) => {
        const { log } = capture.process;
        const untilSaid = (count: number): Promise<true> =>
          eventually({ what: 'that it begins anew', deadlineMs: DEADLINE_MS }, async () =>
            log.read().split('-- begun anew').length > count ? true : undefined,
          );
        const untilPinged = async (): Promise<void> => {
          const before = statSync(capture.file).size;
          await expectPings(vm2, pod1);
          await capture.untilMore(before);
        };
        await isCaptured(true);
        await untilPinged();
        await restartAgent(lab);
        await untilSaid(1);
        await isCaptured(true);
        await untilPinged();
        capture.process.signal('SIGSTOP');
        await isCaptured(false);
        capture.process.signal('SIGCONT');
        await untilSaid(2);
        await isCaptured(true);
        await untilPinged();
        capture.process.signal('SIGINT');
        await eventually({ what: 'the capture to end', deadlineMs: DEADLINE_MS }, async () =>
          capture.process.alive() ? undefined : true,
        );
        await isCaptured(false);
        const lines = await read(capture.file);
        const pings = lines.filter((line) => line.startsWith(`${vm2.ip}\t${pod1.ip}\t8`));
        expect(pings.length >= 15, `${pings.length} of 15 pings: ${lines.join('; ')}`);
        return `${lines.length} packets; ${log.lastLines(1).join('')}`;
      });
    },
  },
  {
    group: 'follow',
    name: 'at the end nobody is followed, and what a pod is given goes the short way again',
    concerns,
    run: async (lab) => {
      await Promise.all(Object.values(lab.guests).map((guest) => untilFollowed(guest, false)));
      const { host, portId } = lab.guests.pod1;
      await eventually({ what: 'the short way of pod1', deadlineMs: DEADLINE_MS }, async () =>
        (await flagsOf(host, portId))?.includes('peer') === true ? true : undefined,
      );
      return 'no port';
    },
  },
];

export const LIVE: Story = defineStory({
  name: 'live',
  sentence: 'What flows do and which packets pass is shown, and captured, as it happens.',
  world: WORLD,
  checks: CHECKS,
});
