/**
 * Programs on what devices receive: one direct-action eBPF filter at the clsact qdisc's ingress. It belongs to the device, so it outlives
 * the agent and goes with the device. Our mark is the filter's handle. Replacing is atomic: each packet passes the old program or the new.
 *
 * A tcx link would do the same, but the kernel waits for an RCU grace period in each attach (ADR 0012).
 */
import { absentOn } from '../ffi/errno.ts';
import {
  type AttributeMap,
  decodeAttributes,
  fixedHeader,
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
const RTM = { newQdisc: 36, deleteQdisc: 37, newFilter: 44, deleteFilter: 45, getFilter: 46 } as const;
const TCA = { kind: 1, options: 2 } as const;
const TCA_BPF = { fd: 6, name: 7, flags: 8, id: 11 } as const;
const DIRECT_ACTION = 1;

const CLSACT_HANDLE = 0xffff0000;
const CLSACT_PARENT = 0xfffffff1;
const INGRESS_PARENT = 0xfffffff2;
const EGRESS_PARENT = 0xfffffff3;
/** Before other filters; of all protocols (ETH_P_ALL in network order). */
const PRIORITY_AND_PROTOCOL = (1 << 16) | 0x0300;
const OUR_HANDLE = 0xcab1e;

/** Makes the device's received packets pass the program. Idempotent. ENODEV: no such device. */
export function ensureIngressFilter(socket: NetlinkSocket, ifindex: number, program: FilterProgram): void {
  const { name } = program.info;
  const tried = `attach ${name} to ingress of device ${ifindex}`;
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
    fixed: tcmsg(ifindex, OUR_HANDLE, INGRESS_PARENT, PRIORITY_AND_PROTOCOL),
    attributes: [text(TCA.kind, 'bpf'), nest(TCA.options, options)],
    tried,
  });
}

/** Id of the program that we put on the device; undefined: none, or no such device. */
export function ingressProgramId(socket: NetlinkSocket, ifindex: number): number | undefined {
  const ours = listFilters(socket, ifindex, INGRESS_PARENT).find((filter) => filter.handle === OUR_HANDLE);
  return ours?.programId;
}

/** Takes our program off, and the qdisc with it when nobody else uses it; absent is fine. False: it was not there. */
export function removeIngressFilter(socket: NetlinkSocket, ifindex: number): boolean {
  if (ingressProgramId(socket, ifindex) === undefined) return false;
  const fixed = tcmsg(ifindex, OUR_HANDLE, INGRESS_PARENT, PRIORITY_AND_PROTOCOL);
  const tried = `take the program off device ${ifindex}`;
  absentOn(['ENOENT', 'ENODEV'], () =>
    socket.change({ type: RTM.deleteFilter, fixed, attributes: [text(TCA.kind, 'bpf')], tried }),
  );
  const others = [INGRESS_PARENT, EGRESS_PARENT].flatMap((parent) => listFilters(socket, ifindex, parent));
  if (others.length > 0) return true;
  const qdisc = tcmsg(ifindex, CLSACT_HANDLE, CLSACT_PARENT);
  absentOn(['ENOENT', 'EINVAL', 'ENODEV'], () => socket.change({ type: RTM.deleteQdisc, fixed: qdisc, tried }));
  return true;
}

type Filter = { readonly handle: number; readonly programId: number };

function listFilters(socket: NetlinkSocket, ifindex: number, parent: number): readonly Filter[] {
  const request = {
    type: RTM.getFilter,
    fixed: tcmsg(ifindex, 0, parent),
    tried: `list the filters of device ${ifindex}`,
  };
  const answers = absentOn(['ENODEV', 'EINVAL', 'ENOENT'], () => socket.dump(request)) ?? [];
  return answers.flatMap(({ body }) => {
    const attributes = decodeAttributes(body, 20);
    const handle = viewOf(body).getUint32(8, true);
    // Each priority is first listed as such, without a filter.
    return handle === 0 ? [] : [{ handle, programId: programIdOf(attributes) }];
  });
}

function programIdOf(attributes: AttributeMap): number {
  if (readText(attributes.get(TCA.kind)) !== 'bpf') return 0;
  return readU32(decodeAttributes(attributes.get(TCA.options) ?? new Uint8Array()).get(TCA_BPF.id));
}

/** struct tcmsg. */
function tcmsg(ifindex: number, handle: number, parent: number, info = 0): Uint8Array {
  return fixedHeader([1, 0], [1, 0], [2, 0], [4, ifindex], [4, handle], [4, parent], [4, info]);
}
