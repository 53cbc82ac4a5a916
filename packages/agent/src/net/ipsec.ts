/** Policies of the kernel's IPsec (XFRM, linux/xfrm.h), read only. */
import { absentOn } from '../ffi/errno.ts';
import { encodeIp } from './ip.ts';
import { decodeAttributes, type NetlinkMessage, viewOf } from './message.ts';
import type { NetnsRef } from './netns.ts';
import { NETLINK, NetlinkSocket } from './socket.ts';

const XFRM_MSG_GETPOLICY = 0x15;
const XFRMA_TMPL = 5;
/** struct xfrm_userpolicy_id, and struct xfrm_userpolicy_info, whose first part is a struct xfrm_selector. */
const ID_BYTES = 64;
const INFO_BYTES = 168;
const SOURCE_AT = 16;
const FAMILY_AT = 40;
const SOURCE_BITS_AT = 43;
const PROTOCOL_AT = 44;
const INDEX_AT = 156;
const DIRECTION_MASK = 7;
const DIRECTION_OUT = 1;
const IPPROTO_UDP = 17;

/**
 * Whether what this host sends from an address by UDP may be meant for IPsec, whoever it goes to: some policy for outgoing packets transforms what comes
 * from there. False also where the kernel has no IPsec. `netns`: default the one this process is in.
 */
export function isSentByIpsec(address: string, netns?: NetnsRef): boolean {
  const { family: own, bytes: source } = encodeIp(address);
  return listPolicies(netns).some(({ body }) => {
    if (body.length < INFO_BYTES) return false;
    const view = viewOf(body);
    const isOut = (view.getUint32(INDEX_AT, true) & DIRECTION_MASK) === DIRECTION_OUT;
    const [family, protocol] = [view.getUint16(FAMILY_AT, true), view.getUint8(PROTOCOL_AT)];
    if (!isOut || ![0, own].includes(family) || ![0, IPPROTO_UDP].includes(protocol)) return false;
    // Without a template a policy lets packets pass as they are, or refuses them.
    if (!decodeAttributes(body, INFO_BYTES).has(XFRMA_TMPL)) return false;
    return startsAlike(body.subarray(SOURCE_AT, SOURCE_AT + source.length), source, view.getUint8(SOURCE_BITS_AT));
  });
}

function listPolicies(netns: NetnsRef | undefined): readonly NetlinkMessage[] {
  const request = { type: XFRM_MSG_GETPOLICY, fixed: new Uint8Array(ID_BYTES), tried: 'list the IPsec policies' };
  const list = (): readonly NetlinkMessage[] => {
    const socket = new NetlinkSocket({ protocol: NETLINK.xfrm, ...(netns === undefined ? {} : { netns }) });
    try {
      return socket.dump(request);
    } finally {
      socket.close();
    }
  };
  return absentOn(['EPROTONOSUPPORT', 'EOPNOTSUPP'], list) ?? [];
}

function startsAlike(one: Uint8Array, other: Uint8Array, bits: number): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const mask = 0xff << Math.max(0, 8 - (bits - bit));
    if ((((one[bit / 8] ?? 0) ^ (other[bit / 8] ?? 0)) & mask & 0xff) !== 0) return false;
  }
  return true;
}
