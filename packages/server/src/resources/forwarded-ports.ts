/** The ports of a port forwarding: a single one or a range, on either side, and the protocols that have such. */
import { protocolNumber } from '@cable/compiler';
import { CableError, type PortForwarding } from '@cable/model';

/** First and last port, both included. */
export type PortRange = { readonly first: number; readonly last: number };

type Side = 'external' | 'internal';

/** What a side is given as, or stored as: `range` is there always, `port` where it is a single one. */
type Given = { readonly port: number | null | undefined; readonly range: string | null | undefined };

type Ports = Pick<PortForwarding, 'external_port' | 'external_port_range' | 'internal_port' | 'internal_port_range'>;

/** Names by number, of the protocols whose packets have ports. */
const PROTOCOLS: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 33: 'dccp', 132: 'sctp', 136: 'udplite' };

/** The name of a protocol, given by name or number. Throws `InvalidInput` for what is none, and `BadRequest` for one that has no ports. */
export function forwardedProtocol(given: string): string {
  const number = protocolNumber(given.toLowerCase(), 'IPv4');
  if (number === undefined) {
    throw new CableError(
      'InvalidInput',
      `Invalid input for operation: IP protocol '${given}' is not supported. Only protocol names and their integer representation (0 to 255) are supported.`,
      { detail: `Give one of ${Object.values(PROTOCOLS).join(', ')}.` },
    );
  }
  const name = number === null ? undefined : PROTOCOLS[number];
  if (name !== undefined) return name;
  const why =
    number === 1 ? 'has no ports: the floating IP itself answers echo requests' : 'is none whose packets have ports';
  throw badForwarding(`protocol ${given} ${why}. Give one of ${Object.values(PROTOCOLS).join(', ')}`);
}

/** The ports of a new port forwarding. Throws `BadRequest`, and `HTTPBadRequest` for what is no range. */
export function givenPorts(given: Partial<Ports>): Ports {
  return {
    ...external(sideOf('external', { port: given.external_port, range: given.external_port_range })),
    ...internal(sideOf('internal', { port: given.internal_port, range: given.internal_port_range })),
  };
}

/** The same after a change: of either side what was changed counts. */
export function changedPorts(before: Ports, after: Ports): Ports {
  const change = (side: Side): PortRange => {
    const [port, range] = [`${side}_port`, `${side}_port_range`] as const;
    const isPort = after[port] !== before[port];
    const isRange = after[range] !== before[range];
    if (!isPort && !isRange) return storedRange(before[range]);
    return sideOf(side, { port: isPort ? after[port] : null, range: isRange ? after[range] : null });
  };
  return { ...external(change('external')), ...internal(change('internal')) };
}

/** The ports of a stored range. */
export function storedRange(range: string | null): PortRange {
  const [first = 0, last = first] = (range ?? '').split(':').map(Number);
  return { first, last };
}

/** Why the ports of one side cannot lead to those of the other; undefined: they can. */
export function portsProblem({ protocol, ...ports }: Ports & { readonly protocol: string }): string | undefined {
  const [outside, inside] = [storedRange(ports.external_port_range), storedRange(ports.internal_port_range)];
  const count = inside.last - inside.first;
  if (count !== 0 && count !== outside.last - outside.first) {
    return `the ports ${ports.external_port_range} lead to one port or to as many, and not to ${ports.internal_port_range}`;
  }
  if (protocol !== 'sctp' || ports.external_port_range === ports.internal_port_range) return undefined;
  return (
    `SCTP leads to the same ports only, and not from ${ports.external_port_range} to ${ports.internal_port_range}: ` +
    'the checksum of its packets covers all of them, so their ports stay as they are'
  );
}

/** True when the ranges have a port in common. */
export function overlap(a: PortRange, b: PortRange): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** The error for what a port forwarding cannot be. */
export function badForwarding(reason: string): CableError {
  return new CableError('BadRequest', `Bad port_forwarding request: ${reason}.`);
}

function external(range: PortRange): Pick<Ports, 'external_port' | 'external_port_range'> {
  return { external_port: single(range), external_port_range: textOf(range) };
}

function internal(range: PortRange): Pick<Ports, 'internal_port' | 'internal_port_range'> {
  return { internal_port: single(range), internal_port_range: textOf(range) };
}

function single({ first, last }: PortRange): number | null {
  return first === last ? first : null;
}

function textOf({ first, last }: PortRange): string {
  return `${first}:${last}`;
}

function sideOf(side: Side, { port = null, range = null }: Given): PortRange {
  const ports = range === null ? undefined : rangeOf(side, range);
  if (ports === undefined && port === null) throw badForwarding(`${side}_port or ${side}_port_range is required`);
  if (port === null || ports === undefined) return ports ?? { first: port ?? 0, last: port ?? 0 };
  if (ports.first === port && ports.last === port) return ports;
  throw badForwarding(
    `${side}_port ${port} and ${side}_port_range ${range} cannot be given together: they say different things`,
  );
}

function rangeOf(side: Side, range: string): PortRange {
  const [, first = NaN, last = first] = (/^(\d{1,5})(?::(\d{1,5}))?$/.exec(range) ?? []).map(toNumber);
  if (first >= 1 && first <= last && last <= 65_535) return { first, last };
  const attribute = `${side}_port_range`;
  throw new CableError(
    'HTTPBadRequest',
    `Invalid input for ${attribute}. Reason: ${range} is no range of ports from 1 to 65535.`,
    { detail: 'Write it as 8000:8010.', fields: { attribute } },
  );
}

function toNumber(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
