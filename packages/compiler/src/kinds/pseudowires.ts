import type { Pseudowire, PseudowireEnd, PseudowireMatch, PseudowirePort, PseudowireStart } from '@cable/model';
import { compareText, type HostRow, hostOf, isBound, type PortRow, type PseudowireRow } from '../compiler-tables.ts';
import { defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** What a host says that knows of pseudowires. */
const FEATURE = 'pseudowires';

/** Pseudowires that begin or end at a port of the host. */
export const pseudowiresKind: Kind = defineKind({
  name: 'pseudowires',
  header: (_reader, id) => ({ value: { host: id }, refs: [] }),
  items: {
    table: 'port',
    index: 'binding:host_id',
    sourceKeys: (id) => [id],
    compute: (reader, port, id) => {
      if (!isBound(port) || !isAble(reader, id)) return [];
      return wiresAt(reader, port.id).flatMap((wire) => {
        const value = hasItem(reader, wire, port, id) ? wireOf(reader, wire) : undefined;
        return value === undefined ? [] : [{ key: `${port.id}/${wire.id}`, value, refs: [] }];
      });
    },
  },
});

/** What a host with the port needs for its wires. `isClosed`: it does not know of them, so that the port is to pass nothing. */
export function pseudowiresOf(
  reader: Reader,
  port: PortRow,
): { readonly refs: readonly NodeKey[]; readonly isClosed: boolean } {
  if (wiresAt(reader, port.id).length === 0) return NO_WIRES;
  const host = hostOf(port);
  return isAble(reader, host) ? { refs: [`pseudowires:${host}`], isClosed: false } : { refs: [], isClosed: true };
}

/** Whether a wire begins or ends at the port. */
export function hasWires(reader: Reader, port: PortRow): boolean {
  return wiresAt(reader, port.id).length > 0;
}

const NO_WIRES = { refs: [], isClosed: false } as const;

function wiresAt(reader: Reader, portId: string): readonly PseudowireRow[] {
  return reader.by('pseudowire', 'port_ids', portId);
}

function isAble(reader: Reader, host: string): boolean {
  return knowsPseudowires(reader.get('host', host));
}

/** Whether the host says that it knows of pseudowires. Undefined: it is not registered. */
export function knowsPseudowires(host: Pick<HostRow, 'features'> | undefined): boolean {
  return host?.features?.includes(FEATURE) === true;
}

/** Of a wire with both ends on the host only where it begins. */
function hasItem(reader: Reader, { port_ids: [from = '', to = ''] }: PseudowireRow, port: PortRow, host: string) {
  if (port.id === from) return true;
  const start = reader.get('port', from);
  return port.id === to && start !== undefined && isBound(start) && hostOf(start) !== host;
}

/** Undefined: nothing enters. */
function wireOf(reader: Reader, wire: PseudowireRow): Pseudowire | undefined {
  const [from = '', to = ''] = wire.port_ids;
  const start = reader.get('port', from);
  if (start === undefined || !isBound(start)) return undefined;
  const { id, name, project_id: projectId, vni, admitted_kbps: admittedKbps, guaranteed_kbps: guaranteedKbps } = wire;
  return {
    ...{ id, name, projectId, vni },
    from: { ...placeOf(reader, start, hostOf(start)), ...startOf(reader, wire) },
    to: { ...endPlaceOf(reader, wire, to), ...endOf(wire) },
    ...(admittedKbps === null ? {} : { admittedKbps }),
    ...(guaranteedKbps === null ? {} : { guaranteedKbps }),
  };
}

function placeOf(reader: Reader, port: PortRow, host: string): PseudowirePort {
  const underlay = host === '' ? null : (reader.get('host', host)?.underlay ?? null);
  return { portId: port.id, macAddress: port.mac_address, host, underlay };
}

/** What cannot get there is dropped, and does not go another way. */
function endPlaceOf(reader: Reader, wire: PseudowireRow, portId: string): PseudowirePort {
  const end = reader.get('port', portId);
  if (end === undefined) return { portId, macAddress: NO_MAC, host: '', underlay: null };
  return placeOf(reader, end, isTaken(reader, wire, end) ? hostOf(end) : '');
}

const NO_MAC = '00:00:00:00:00:00';

/** Whether frames are taken at the end: where a function gives packets back by another port, that is on the same host. */
function isTaken(reader: Reader, { back_port_id: backId }: PseudowireRow, end: PortRow): boolean {
  if (!isBound(end) || !isAble(reader, hostOf(end))) return false;
  const back = backId === null ? end : reader.get('port', backId);
  return back !== undefined && isBound(back) && hostOf(back) === hostOf(end);
}

/** A line has no path; that of a chain begins at a port, and goes on from each function. */
function startOf(reader: Reader, wire: PseudowireRow): Omit<PseudowireStart, keyof PseudowirePort> {
  if (wire.at_port_id === null) return { at: 'sent', order: 0 };
  if (wire.port_ids[0] !== wire.at_port_id) return { at: 'sent', order: 0, path: pathOf(wire) };
  return { at: wire.at, matches: wire.matches.map(matchOf), order: orderOf(reader, wire) };
}

function endOf(wire: PseudowireRow): Omit<PseudowireEnd, keyof PseudowirePort> {
  const { at_port_id: atId, at, back_port_id: back, transparent } = wire;
  if (atId === null) return { as: 'deliver' };
  if (wire.port_ids[1] === atId) return { as: 'resume', path: pathOf(wire), at };
  const more = { ...(back === null ? {} : { back }), ...(transparent ? { transparent } : {}) };
  return { as: 'function', path: pathOf(wire), ...more };
}

/** The same of all wires of one way: what a classifier leads at one port, in one direction. */
function pathOf({ object_id: classifier, at_port_id: portId, at }: PseudowireRow): string {
  return `${classifier}/${portId}/${at}`;
}

/** Place among those that begin at the same port, at the same side of it. */
function orderOf(reader: Reader, wire: PseudowireRow): number {
  const beside = wiresAt(reader, wire.at_port_id ?? '').filter(
    ({ port_ids: [from], at_port_id: portId, at }) => from === portId && portId === wire.at_port_id && at === wire.at,
  );
  const sorted = [...beside].sort((a, b) => a.precedence - b.precedence || compareText(a.id, b.id));
  return sorted.findIndex(({ id }) => id === wire.id);
}

function matchOf(match: PseudowireRow['matches'][number]): PseudowireMatch {
  const { source, destination, protocol } = match;
  const [sourcePorts, destinationPorts] = [rangeOf(match.source_ports), rangeOf(match.destination_ports)];
  return {
    ipVersion: match.ip_version === 6 ? 6 : 4,
    ...(source === null ? {} : { source }),
    ...(destination === null ? {} : { destination }),
    ...(protocol === null ? {} : { protocol }),
    ...(sourcePorts === undefined ? {} : { sourcePorts }),
    ...(destinationPorts === undefined ? {} : { destinationPorts }),
  };
}

function rangeOf(ports: PseudowireRow['matches'][number]['source_ports']): readonly [number, number] | undefined {
  return ports === null ? undefined : [ports.first, ports.last];
}
