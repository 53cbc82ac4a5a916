import { startAgent } from '../agent.ts';
import { mapEntries } from '../agent-state.ts';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, expect, expectPings } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import type { Restartable } from '../restartable.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { type FlowCollector, type FlowData, startFlowCollector } from '../traffic/ipfix.ts';
import { OPEN_PORT, type TransferResult } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

type FlowWorld = typeof WORLD;
type FlowLab = Lab<FlowWorld>;

/** In the underlay: a machine that is no host of Cable's. */
const COLLECTOR = '10.255.255.200';
const COLLECTOR_PORT = 4739;
const CLOSED_PORT = 81;
const PINGS = 5;

/** Elements by their names in the registry of IPFIX, and Cable's own. */
const ELEMENT = {
  sourcePort: '0/7',
  destinationPort: '0/11',
  protocol: '0/4',
  bytes: '0/1',
  packets: '0/2',
  totalBytes: '0/85',
  answerBytes: '29305/1',
  answerPackets: '29305/2',
  event: '0/233',
  ended: '0/136',
  fromPort: '32473/1',
  fromName: '32473/2',
  toPort: '32473/4',
  network: '32473/8',
  rule: '32473/9',
  drop: '32473/10',
  host: '32473/11',
} as const;
const EVENT = { begin: 1, end: 2, drop: 3 } as const;
const TCP_CLOSED = 3;

const collectors = new WeakMap<object, FlowCollector>();
/** As they were started by the first check. */
const agents = new WeakMap<object, Restartable>();

function collectorOf(lab: FlowLab): FlowCollector {
  const collector = collectors.get(lab.names);
  expect(collector !== undefined, 'there is no collector');
  return collector;
}

function of(record: FlowData, name: keyof typeof ELEMENT): string | number {
  return record[ELEMENT[name]] ?? '';
}

/** For as long as `work` takes the guest's port exports one of `oneOf` flows; its host does so when `work` begins. */
async function whileExported<T>(lab: FlowLab, guest: Guest, oneOf: number, work: () => Promise<T>): Promise<T> {
  const { blue } = lab.tenants;
  await blue.update('port', guest.portId, { 'cable:flow_export': oneOf });
  await untilTells(guest, oneOf);
  try {
    return await work();
  } finally {
    await blue.update('port', guest.portId, { 'cable:flow_export': null });
    await untilTells(guest, 0);
  }
}

async function untilTells({ host, name }: Guest, oneOf: number): Promise<void> {
  const what = `${host.short} to tell of one of ${oneOf} flows of ${name}`;
  await eventually({ what, deadlineMs: 60_000 }, async () => {
    const rows = ((await mapEntries(host)).get('cb_vif_2') ?? []) as readonly Readonly<Record<string, unknown>>[];
    return rows.some((row) => Object.values(row).includes(name) && row['tells'] === oneOf) || undefined;
  });
}

async function fails(from: Guest, address: string): Promise<void> {
  const script = `exec 3<>/dev/tcp/${address}/${CLOSED_PORT}`;
  const { code } = await run(['timeout', '2', 'bash', '-c', script], { netns: from.netns, timeoutMs: 20_000 });
  expect(code !== 0, 'a connection that no rule allows was made');
}

const concerns = ['agent', 'server'];

const CHECKS: readonly Check<FlowWorld>[] = [
  {
    group: 'collector',
    name: 'a collector in the underlay, and agents that know it',
    concerns,
    run: async (lab) => {
      const { underlayNamespace: netns } = lab.names;
      const { code } = await run(['ip', 'address', 'add', `${COLLECTOR}/24`, 'dev', 'br0'], { netns });
      expect(code === 0, `no address ${COLLECTOR}`);
      collectors.set(lab.names, await startFlowCollector({ netns, address: COLLECTOR, port: COLLECTOR_PORT }));
      for (const host of Object.values(lab.hosts)) {
        expect(host.agent !== undefined, `${host.short} has no agent`);
        await host.agent.stop();
        const more = ['--flow-collector', `${COLLECTOR}:${COLLECTOR_PORT}`];
        agents.set(host, await startAgent(lab.names, lab.processes, host, lab.encapsulation, more));
        await untilSynced(host);
      }
      return `${COLLECTOR}:${COLLECTOR_PORT}`;
    },
  },
  {
    group: 'collector',
    name: 'a connection is told when it begins and ends, on the host of the port alone that exports, in names, with all its bytes',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      return whileExported(lab, vm1, 1, async () => {
        const result = await inGuest<TransferResult>(vm1, 'put', { ip: vm2.ip, port: OPEN_PORT }, { seconds: 1 });
        expect(result.ok, 'TCP did not arrive whole');
        const mine = (one: FlowData): boolean =>
          of(one, 'fromPort') === vm1.portId && of(one, 'protocol') === 6 && of(one, 'destinationPort') === OPEN_PORT;
        const records = await collectorOf(lab).until('begin and end of the connection', (all) =>
          all.some((one) => mine(one) && of(one, 'event') === EVENT.end && Number(of(one, 'totalBytes')) > 1_000_000),
        );
        const end = records.find(
          (one) => mine(one) && of(one, 'event') === EVENT.end && Number(of(one, 'totalBytes')) > 1_000_000,
        );
        const begin = records.find(
          (one) =>
            mine(one) && of(one, 'event') === EVENT.begin && of(one, 'sourcePort') === of(end ?? {}, 'sourcePort'),
        );
        expect(begin !== undefined && end !== undefined, 'a begin is missing');
        expect(of(end, 'ended') === TCP_CLOSED, `flowEndReason ${of(end, 'ended')}`);
        expect(
          Number(of(end, 'totalBytes')) >= result.received,
          `${of(end, 'totalBytes')} of ${result.received} bytes`,
        );
        expect(Number(of(end, 'answerPackets')) > 0, 'no answers are counted');
        const names = [of(end, 'fromName'), of(end, 'network'), of(end, 'host')];
        expect(names.join() === [vm1.name, 'blue', vm1.host.name].join(), `names ${names}`);
        const rule = await lab.tenants.blue.list('security_group_rule', { id: String(of(end, 'rule')) });
        expect(rule.length === 1, `rule ${of(end, 'rule')} is none`);
        expect(
          !records.some((one) => of(one, 'host') === vm2.host.name && of(one, 'fromPort') !== ''),
          'vm2 exports nothing',
        );
        return `${of(end, 'packets')} packets, ${of(end, 'totalBytes')} bytes, ${of(end, 'answerBytes')} back`;
      });
    },
  },
  {
    group: 'collector',
    name: 'what a port is refused is told with the reason; what no port exports is not told',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      await expectPings(vm1, vm2, PINGS);
      const before = (await collectorOf(lab).until('nothing more', () => true)).length;
      await whileExported(lab, vm2, 1, async () => {
        await fails(vm1, vm2.ip);
        await collectorOf(lab).until('the drop', (all) =>
          all.some(
            (one) =>
              of(one, 'event') === EVENT.drop &&
              of(one, 'drop') === 'policy_ingress' &&
              of(one, 'toPort') === vm2.portId &&
              of(one, 'destinationPort') === CLOSED_PORT,
          ),
        );
      });
      const more = (await collectorOf(lab).until('nothing more', () => true)).slice(before);
      const strange = more.filter(
        (one) =>
          of(one, 'event') === EVENT.begin && of(one, 'fromPort') !== vm2.portId && of(one, 'toPort') !== vm2.portId,
      );
      expect(strange.length === 0, `told of others: ${JSON.stringify(strange[0])}`);
      return `${more.length} records`;
    },
  },
  {
    group: 'collector',
    name: 'an agent that is killed tells what its vrouter told meanwhile; a collector that is gone harms nobody',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const { h2 } = lab.hosts;
      return whileExported(lab, vm2, 1, async () => {
        const before = (await collectorOf(lab).until('what was told', () => true)).length;
        const agent = agents.get(h2);
        expect(agent !== undefined, 'h2 has no agent');
        await agent.kill();
        await expectPings(vm1, vm2, PINGS);
        await agent.start();
        await collectorOf(lab).until('the ping of meanwhile', (all) =>
          all.slice(before).some((one) => of(one, 'toPort') === vm2.portId && of(one, 'protocol') === 1),
        );
        await collectorOf(lab).stop();
        await expectPings(vm1, vm2, PINGS);
        return 'told after the restart';
      });
    },
  },
];

/** Flow records from end to end. */
export const FLOW_EXPORT: Story = defineStory({
  name: 'flow-export',
  sentence: 'Flow export: a collector is told of the connections and drops of ports that say so, in users’ names.',
  world: WORLD,
  checks: CHECKS,
});
