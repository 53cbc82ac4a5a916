/**
 * Programs on what devices receive: one direct-action eBPF filter at the clsact qdisc's ingress. It belongs to the device, so it outlives
 * the agent and goes with the device. Our mark is the filter's handle. Replacing is atomic: each packet passes the old program or the new.
 *
 * A tcx link would do the same, but the kernel waits for an RCU grace period in each attach (ADR 0012).
 */
import { absentOn, KernelError } from '../ffi/errno.ts';
import { getLink } from './link.ts';
import {
  type AttributeMap,
  decodeAttributes,
  fixedHeader,
  type NetlinkMessage,
  nest,
  readText,
  readU32,
  text,
  u32,
  viewOf,
} from './message.ts';
import { type NetlinkSocket, NLM } from './socket.ts';

/** A loaded program: what BpfProgram is, as far as it is needed here. */
export type FilterProgram = { readonly fd: number; readonly info: { readonly name: string } };

/** Message types and attributes (linux/rtnetlink.h, linux/pkt_cls.h). */
const RTM = { newQdisc: 36, deleteQdisc: 37, getQdisc: 38, newFilter: 44, deleteFilter: 45, getFilter: 46 } as const;
const TCA = { kind: 1, options: 2 } as const;
const TCA_BPF = { fd: 6, name: 7, flags: 8, id: 11 } as const;
const DIRECT_ACTION = 1;

const CLSACT_HANDLE = 0xffff0000;
const CLSACT_PARENT = 0xfffffff1;
const INGRESS_PARENT = 0xfffffff2;
const EGRESS_PARENT = 0xfffffff3;
/** Before other filters; of all protocols (ETH_P_ALL in network order). */
const OUR_PRIORITY = 1;
const PRIORITY_AND_PROTOCOL = (OUR_PRIORITY << 16) | 0x0300;
const OUR_HANDLE = 0xcab1e;

/** struct tcmsg: its length and where its fields are. */
const TCMSG_BYTES = 20;
const IFINDEX_AT = 4;
const HANDLE_AT = 8;
const PARENT_AT = 12;
const INFO_AT = 16;

/** What the kernel says of a device that goes just now: one or the other. */
const GONE: ReadonlySet<string> = new Set(['ENODEV', 'ENXIO', 'EINVAL']);

/** What is on a device's ingress: of ours, the program's id; undefined: nothing. */
export type IngressFilter = { readonly ifindex: number; readonly programId: number | undefined };

/** Makes the device's received packets pass the program. Idempotent. False: the device is not there, or vanished meanwhile. */
export function ensureIngressFilter(socket: NetlinkSocket, ifindex: number, program: FilterProgram): boolean {
  return ensureFilter(socket, ifindex, program, INGRESS_PARENT);
}

/** The same for what the device sends. */
export function ensureEgressFilter(socket: NetlinkSocket, ifindex: number, program: FilterProgram): boolean {
  return ensureFilter(socket, ifindex, program, EGRESS_PARENT);
}

type Parent = typeof INGRESS_PARENT | typeof EGRESS_PARENT;

function ensureFilter(socket: NetlinkSocket, ifindex: number, program: FilterProgram, parent: Parent): boolean {
  try {
    putFilter(socket, ifindex, program, parent);
    return true;
  } catch (err) {
    const maybeGone = err instanceof KernelError && GONE.has(err.code);
    if (maybeGone && getLink(socket, ifindex) === undefined) return false;
    throw err;
  }
}

function putFilter(socket: NetlinkSocket, ifindex: number, program: FilterProgram, parent: Parent): void {
  const { name } = program.info;
  const tried = `attach ${name} to ${parent === INGRESS_PARENT ? 'ingress' : 'egress'} of device ${ifindex}`;
  absentOn(['EEXIST'], () =>
    socket.change({
      type: RTM.newQdisc,
      flags: NLM.create | NLM.exclusive,
      fixed: tcmsg(ifindex, CLSACT_HANDLE, CLSACT_PARENT),
      attributes: [text(TCA.kind, 'clsact')],
      tried,
    }),
  );
  const options = [u32(TCA_BPF.fd, program.fd), text(TCA_BPF.name, `cable:${name}`), u32(TCA_BPF.flags, DIRECT_ACTION)];
  socket.change({
    type: RTM.newFilter,
    flags: NLM.create,
    fixed: tcmsg(ifindex, OUR_HANDLE, parent, PRIORITY_AND_PROTOCOL),
    attributes: [text(TCA.kind, 'bpf'), nest(TCA.options, options)],
    tried,
  });
}

/** Id of the program that we put on the device; undefined: none, or no such device. */
export function ingressProgramId(socket: NetlinkSocket, ifindex: number): number | undefined {
  const fixed = tcmsg(ifindex, OUR_HANDLE, INGRESS_PARENT, PRIORITY_AND_PROTOCOL);
  const request = { type: RTM.getFilter, fixed, tried: `look at the program of device ${ifindex}` };
  const answer = absentOn(['ENOENT', 'ENODEV', 'EINVAL'], () => socket.get(request));
  return answer === undefined ? undefined : programIdOf(decodeAttributes(answer.body, TCMSG_BYTES));
}

/** A filter of somebody else: its kind, such as `bpf` or `u32`; of a bpf filter its name and the id of its program. */
export type OtherFilter = { readonly kind: string; readonly name: string; readonly programId: number };

/** Filters on what the device receives that a packet meets before ours. None when ours is not there. */
export function filtersBeforeOurs(socket: NetlinkSocket, ifindex: number): readonly OtherFilter[] {
  const filters = listFilters(socket, ifindex, INGRESS_PARENT);
  const isOurs = ({ body }: NetlinkMessage): boolean => {
    const view = viewOf(body);
    return view.getUint32(HANDLE_AT, true) === OUR_HANDLE && view.getUint32(INFO_AT, true) === PRIORITY_AND_PROTOCOL;
  };
  const before = filters.slice(0, Math.max(filters.findIndex(isOurs), 0));
  return before.map(({ body }) => {
    const attributes = decodeAttributes(body, TCMSG_BYTES);
    const options = decodeAttributes(attributes.get(TCA.options) ?? new Uint8Array());
    const kind = readText(attributes.get(TCA.kind));
    return kind === 'bpf'
      ? { kind, name: readText(options.get(TCA_BPF.name)), programId: programIdOf(attributes) }
      : { kind, name: '', programId: 0 };
  });
}

/** Devices that have the qdisc for such filters, a datagram a turn. False: the list changed while it was read. */
export function listIngressQdiscs(socket: NetlinkSocket, take: (ifindex: number) => void): Promise<boolean> {
  const request = { type: RTM.getQdisc, fixed: tcmsg(0, 0, 0), tried: 'list the qdiscs' };
  return socket.dumpInTurns(request, ({ body }) => {
    if (viewOf(body).getUint32(PARENT_AT, true) === CLSACT_PARENT) take(viewOf(body).getInt32(IFINDEX_AT, true));
  });
}

/** What an event of RTNLGRP_TC says of our filters; undefined: nothing. With the qdisc they go unmentioned. */
export function decodeFilterEvent(message: NetlinkMessage): IngressFilter | undefined {
  const { type, body } = message;
  if (body.length < TCMSG_BYTES) return undefined;
  const view = viewOf(body);
  const ifindex = view.getInt32(IFINDEX_AT, true);
  const handle = view.getUint32(HANDLE_AT, true);
  const parent = view.getUint32(PARENT_AT, true);
  if (type === RTM.deleteQdisc) return parent === CLSACT_PARENT ? { ifindex, programId: undefined } : undefined;
  if (parent !== INGRESS_PARENT) return undefined;
  if (type === RTM.newFilter && handle === OUR_HANDLE) {
    return { ifindex, programId: programIdOf(decodeAttributes(body, TCMSG_BYTES)) };
  }
  // Handle 0: all filters of a priority, or all.
  const priority = view.getUint32(INFO_AT, true) >>> 16;
  const ours = handle === OUR_HANDLE || (handle === 0 && priority <= OUR_PRIORITY);
  return type === RTM.deleteFilter && ours ? { ifindex, programId: undefined } : undefined;
}

/** Takes our program off, and the qdisc with it when nobody else uses it; absent is fine. False: it was not there. */
export function removeIngressFilter(socket: NetlinkSocket, ifindex: number): boolean {
  if (ingressProgramId(socket, ifindex) === undefined) return false;
  const fixed = tcmsg(ifindex, OUR_HANDLE, INGRESS_PARENT, PRIORITY_AND_PROTOCOL);
  const tried = `take the program off device ${ifindex}`;
  absentOn(['ENOENT', 'ENODEV'], () =>
    socket.change({ type: RTM.deleteFilter, fixed, attributes: [text(TCA.kind, 'bpf')], tried }),
  );
  if ([INGRESS_PARENT, EGRESS_PARENT].some((parent) => hasFilters(socket, ifindex, parent))) return true;
  const qdisc = tcmsg(ifindex, CLSACT_HANDLE, CLSACT_PARENT);
  absentOn(['ENOENT', 'EINVAL', 'ENODEV'], () => socket.change({ type: RTM.deleteQdisc, fixed: qdisc, tried }));
  return true;
}

function hasFilters(socket: NetlinkSocket, ifindex: number, parent: number): boolean {
  return listFilters(socket, ifindex, parent).length > 0;
}

/** In the order in which packets meet them. */
function listFilters(socket: NetlinkSocket, ifindex: number, parent: number): readonly NetlinkMessage[] {
  const request = {
    type: RTM.getFilter,
    fixed: tcmsg(ifindex, 0, parent),
    tried: `list the filters of device ${ifindex}`,
  };
  const answers = absentOn(['ENODEV', 'EINVAL', 'ENOENT'], () => socket.dump(request)) ?? [];
  // Each priority is first listed as such, without a filter.
  return answers.filter(({ body }) => viewOf(body).getUint32(HANDLE_AT, true) !== 0);
}

function programIdOf(attributes: AttributeMap): number {
  if (readText(attributes.get(TCA.kind)) !== 'bpf') return 0;
  return readU32(decodeAttributes(attributes.get(TCA.options) ?? new Uint8Array()).get(TCA_BPF.id));
}

/** struct tcmsg. */
function tcmsg(ifindex: number, handle: number, parent: number, info = 0): Uint8Array {
  return fixedHeader([1, 0], [1, 0], [2, 0], [4, ifindex], [4, handle], [4, parent], [4, info]);
}
