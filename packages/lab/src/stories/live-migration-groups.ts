/** A VM that moves, and the groups of multicast that it has joined. */
import { askAgent } from '../agent-socket.ts';
import { type Check, expect } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { mustRun } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { LabHost } from '../names.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { leave, type MoveLab, makeVm, migrate, type WORLD } from './live-migration-steps.ts';

const [GROUP, OTHER_GROUP] = ['239.1.2.3', '239.9.9.9'];
const SENT = 50;
/** What the kernel says about groups does not leave, when it is asked; what it said when it joined has. */
const ANSWERS_NOTHING = `table ip quiet { chain out { type filter hook output priority 0; ip protocol igmp drop; }; }
table ip6 quiet { chain out { type filter hook output priority 0; icmpv6 type { 131, 132, 143 } drop; }; }
`;

export const KEEPS_ITS_GROUPS: Check<typeof WORLD> = {
  group: 'groups',
  name: 'a VM that is in a group of multicast, and whose firewall lets no answer out, moves: it stays in its group, and comes into no other',
  concerns: ['agent'],
  run: async (lab) => {
    const { guest, ...vm } = await makeVm(lab, 'member', 'blue');
    const { h1, h2 } = lab.hosts;
    const { source, target } = lab.guests;
    await join(lab, guest);
    await untilJoined(h1, guest, GROUP);
    await mustRun(['nft', '-f', '-'], { netns: guest.netns, input: ANSWERS_NOTHING });
    await migrate(lab, h2, { guest, ...vm });
    await leave(lab, h1, { guest, ...vm });
    await untilJoined(h2, guest, GROUP);
    for (const one of [guest, target]) await untilKnown(h2, one);

    const own = await framesOf(guest, () => send(source, GROUP));
    expect(own >= SENT, `of ${SENT} datagrams to its group the VM gets ${own}`);
    const spared = await framesOf(target, () => send(source, GROUP));
    expect(spared < SENT, `who is not in the group gets ${spared} frames`);
    const others = await framesOf(guest, () => send(source, OTHER_GROUP));
    expect(others < SENT, `the VM gets ${others} frames of a group that it is not in`);
    return `${SENT} of ${SENT} datagrams of its group at ${h2.name}, and of another group’s none`;
  },
};

/** Its kernel is in the group as long as somebody there has joined it. */
async function join({ processes }: MoveLab, { name, netns, ip }: Guest): Promise<void> {
  const command = ['socat', '-u', `UDP4-RECV:0,ip-add-membership=${GROUP}:${ip}`, 'STDOUT'];
  await processes.start({ name: `group-${name}`, command, netns: netns ?? '' });
}

async function send({ netns }: Guest, group: string): Promise<void> {
  const words = `for n in $(seq ${SENT}); do echo $n; sleep 0.005; done | socat -u STDIN UDP4-SENDTO:${group}:${OPEN_PORT}`;
  await mustRun(['sh', '-c', words], { netns });
}

async function framesOf({ netns }: Guest, run: () => Promise<void>): Promise<number> {
  const received = async (): Promise<number> => {
    const links = JSON.parse(await mustRun(['ip', '-j', '-s', 'link'], { netns })) as readonly Link[];
    return links.filter(({ ifname }) => ifname !== 'lo').reduce((sum, { stats64 }) => sum + stats64.rx.packets, 0);
  };
  const before = await received();
  await run();
  return (await received()) - before;
}

type Link = { readonly ifname: string; readonly stats64: { readonly rx: { readonly packets: number } } };

async function rowOf(host: LabHost, map: string, { portId }: Guest): Promise<Readonly<Record<string, unknown>>> {
  const maps = (await askAgent(host, '/maps')) as Readonly<Record<string, readonly Record<string, unknown>[]>>;
  return maps[map]?.find((row) => row['port_id'] === portId) ?? {};
}

async function untilJoined(host: LabHost, guest: Guest, group: string): Promise<void> {
  await eventually(
    { what: `${guest.name} to be in ${group} at ${host.name}`, deadlineMs: 60_000, everyMs: 200 },
    async () => ((await rowOf(host, 'cb_joined_1', guest))['groups'] === group ? true : undefined),
  );
}

/** Waits until the host knows what the guest has joined: it was asked, and had the time to answer. */
async function untilKnown(host: LabHost, guest: Guest): Promise<void> {
  await eventually(
    { what: `${host.name} to know the groups of ${guest.name}`, deadlineMs: 120_000, everyMs: 500 },
    async () => ((await rowOf(host, 'cb_asked_2', guest))['counts'] === true ? true : undefined),
  );
}
