import { mapEntries } from '../agent-state.ts';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, expect, expectPings } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { LAUNCHER } from '../names.ts';
import type { LabProcess } from '../processes.ts';
import { defineStory, type Story } from '../story.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

type LiveWorld = typeof WORLD;
type LiveLab = Lab<LiveWorld>;

const DEADLINE_MS = 60_000;

/** What a line of `--json` says. */
type Line = Readonly<Record<string, unknown>> & { readonly peer?: { readonly name: string } | null };

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

async function untilFollowed({ host, portId, name }: Guest, isFollowed: boolean): Promise<void> {
  const what = `${host.short} to tell of ${name}${isFollowed ? '' : ' no more'}`;
  await eventually({ what, deadlineMs: DEADLINE_MS }, async () => {
    const rows = ((await mapEntries(host)).get('cb_vif_2') ?? []) as readonly Readonly<Record<string, unknown>>[];
    const flags = rows.find((row) => row['port_id'] === portId)?.['flags'];
    return typeof flags === 'string' && flags.split(' ').includes('followed') === isFollowed ? true : undefined;
  });
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
      const { h2 } = lab.hosts;
      await untilFollowed(vm2, false);
      return whileRunning(lab, 'follow-killed', ['flows', vm2.portId, '--follow'], async (shown) => {
        await untilFollowed(vm2, true);
        expect(h2.agent !== undefined, 'h2 has no agent');
        await h2.agent.kill();
        await h2.agent.start();
        await untilSynced(h2);
        await shown.untilSaid('begun anew');
        await expectPings(vm1, vm2);
        await shown.until('a ping', ({ kind, protocol }) => kind === 'begin' && protocol === 1);
        return 'begun anew';
      });
    },
  },
  {
    group: 'follow',
    name: 'at the end nobody is followed',
    concerns,
    run: async (lab) => {
      await Promise.all(Object.values(lab.guests).map((guest) => untilFollowed(guest, false)));
      return 'no port';
    },
  },
];

export const LIVE: Story = defineStory({
  name: 'live',
  sentence: 'What flows do and which packets pass is shown as it happens.',
  world: WORLD,
  checks: CHECKS,
});
