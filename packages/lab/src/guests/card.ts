import { ipBatch } from '../exec.ts';
import type { Ledger } from '../ledger.ts';
import { type LabHost, type LabNames, REPOSITORY } from '../names.ts';
import type { LabProcess, Processes } from '../processes.ts';
import { createNamespace } from '../topology.ts';
import { type Guest, tapName } from './guest.ts';

export type GuestDeps = { readonly names: LabNames; readonly processes: Processes; readonly ledger: Ledger };

/** A VM's namespace, and the host that it is on. */
export type CardOwner = { readonly name: string; readonly netns: string; readonly host: LabHost };

/** A network card: a device of the guest behind the tap of a port, as virtio's are. */
export type Card = {
  readonly device: string;
  readonly portId: string;
  readonly macAddress: string;
  /** Nova sets a tap's MTU to the network's. */
  readonly mtuBytes: number;
  /** Further devices of the guest, each for what has a VLAN tag on its tap. */
  readonly vlans?: readonly VlanDevice[];
  /** A FIFO by which it is told to go to another host; absent: it stays. */
  readonly control?: string;
};

/** A guest's device for a VLAN tag (1..4094) of its card, with the sub-port's MAC address. */
export type VlanDevice = { readonly vlan: number; readonly name: string; readonly macAddress: string };

/** The first card of every guest. */
export const FIRST_CARD = 'eth0';

const RELAY = `${REPOSITORY}/build/lab/tap-relay`;

/** Makes a VM that has no card yet. */
export async function createVm(name: string, host: LabHost, { names, ledger }: GuestDeps): Promise<CardOwner> {
  const netns = `${names.lab}-${name}`;
  await createNamespace(netns, ledger);
  return { name, netns, host };
}

/** Plugs a card whose devices are up when this resolves. It goes with the process. */
export async function plugCard(owner: CardOwner, card: Card, { processes }: GuestDeps): Promise<LabProcess> {
  const { name, netns, host } = owner;
  const { device, portId, mtuBytes, vlans = [] } = card;
  const tap = tapName(portId);
  const control = card.control === undefined ? [] : ['-c', card.control];
  const tagged = vlans.map((one) => `${one.vlan}:${one.name}`);
  const relay = await processes.start({
    name: `relay-${device === FIRST_CARD ? name : `${name}-${device}`}`,
    command: [RELAY, ...control, `/run/netns/${host.netns}`, tap, `/run/netns/${netns}`, device, ...tagged],
    ready: /^ready$/m,
  });
  await ipBatch(host.netns, [`link set ${tap} mtu ${mtuBytes} up`]);
  const devices = [{ name: device, macAddress: card.macAddress }, ...vlans];
  await ipBatch(
    netns,
    devices.map((one) => `link set ${one.name} address ${one.macAddress} mtu ${mtuBytes} up`),
  );
  return relay;
}

/** A guest as it is known at one of its cards. */
export function atCard(
  guest: Pick<Guest, 'name' | 'host'> & { readonly netns: string | null },
  { device, portId, macAddress }: Pick<Card, 'device' | 'portId' | 'macAddress'>,
  ip: string,
): Guest {
  const { name, netns, host } = guest;
  const known = { name, netns, host, portId, macAddress, device, ip, kind: 'vm' } as const;
  return { ...known, lease: undefined, tookMs: 0, dhcp: undefined, remove: async () => undefined };
}
