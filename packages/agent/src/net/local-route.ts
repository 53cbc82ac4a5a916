import { succeeded } from '../ffi/errno.ts';
import { encodeIp } from './ip.ts';
import { bytes, fixedHeader, u32 } from './message.ts';
import { ROUTE_PROTOCOL, RTA, RTM_ROUTE } from './route.ts';
import { type NetlinkSocket, NLM } from './socket.ts';

const TABLE_LOCAL = 255;
const SCOPE_HOST = 254;
const TYPE_LOCAL = 2;

/** Has the host take for its own what comes to the address by the device, too; `metric`: lower ones go before it. It goes with the device. What is there is fine. */
export function ensureLocalRoute(socket: NetlinkSocket, address: string, ifindex: number, metric: number): void {
  const { family, bytes: destination } = encodeIp(address);
  const lengths = [[1, destination.length * 8] as const, [1, 0] as const];
  const routing = [[1, TABLE_LOCAL] as const, [1, ROUTE_PROTOCOL] as const, [1, SCOPE_HOST] as const];
  const request = {
    type: RTM_ROUTE.create,
    flags: NLM.create | NLM.exclusive,
    fixed: fixedHeader([1, family], ...lengths, [1, 0], ...routing, [1, TYPE_LOCAL], [4, 0]),
    attributes: [bytes(RTA.destination, destination), u32(RTA.ifindex, ifindex), u32(RTA.metric, metric)],
    tried: `take ${address} for the host's own on device ${ifindex}`,
  };
  succeeded(() => socket.change(request), ['EEXIST']);
}
