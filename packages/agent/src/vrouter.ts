import type { Logger } from '@cable/kit';
import { overlayIpVersion } from '@cable/model';
import { loadTracePrograms, type TracePrograms } from './asks/trace-programs.ts';
import type { RodataValue } from './bpf/rodata.ts';
import { attachFragmenter } from './devices/fragmenter.ts';
import { dropUnkeptHops } from './devices/next-hops.ts';
import type { OwnLinks } from './devices/own-links.ts';
import { timeoutBytes } from './flow-timeouts.ts';
import type { ChosenOptions } from './options.ts';
import { NO_ADDRESS, parseAddress, parseMac } from './plan/address.ts';
import { type KernelDataPlane, openKernelDataPlane, type VrouterDevices } from './reconcile/kernel-data-plane.ts';
import { loadVrouterPrograms, type VrouterPrograms } from './reconcile/vrouter-programs.ts';

type Where = Pick<ChosenOptions, 'object' | 'pinDir' | 'underlay' | 'encapsulation' | 'flowTimeouts'>;

/** Loads the vrouter's programs, made for these devices, over the maps that are there, and puts them in place of those that run. */
export function openVrouter(where: Where, own: OwnLinks, deps: { readonly log: Logger }): KernelDataPlane {
  return openKernelDataPlane({ programs: loadVrouter(where, own), ...devicesOf(own) }, deps);
}

/** The same for devices that were made anew. */
export function reloadVrouter(plane: KernelDataPlane, where: Where, own: OwnLinks): void {
  plane.reload(loadVrouter(where, own), devicesOf(own));
}

/** Loads programs that only trace, beside those that run, which must have been loaded before. */
export function openTrace(where: Where, own: OwnLinks): TracePrograms {
  return loadTracePrograms({ ...where, config: configOf(where, own) });
}

function configOf(
  { underlay, encapsulation, flowTimeouts }: Where,
  own: OwnLinks,
): Readonly<Record<string, RodataValue>> {
  return {
    cfg_overlay_ifindex: own.overlay.ifindex,
    ...underlayConfig(underlay),
    cfg_own_encapsulation: encapsulation === 'own' ? 1 : 0,
    cfg_queue_ifindex: own.queue.ifindex,
    cfg_queue_end_ifindex: own.queueEnd.ifindex,
    cfg_mirror_ifindex: own.mirror.ifindex,
    cfg_mirror_end_ifindex: own.mirrorEnd.ifindex,
    cfg_service_ifindex: own.servicePeer.ifindex,
    cfg_frag_ifindex: own.fragmenter.link.ifindex,
    cfg_timeout: timeoutBytes(flowTimeouts),
    cfg_service_mac: parseMac(own.service.mac) ?? new Uint8Array(6),
  };
}

function loadVrouter(where: Where, own: OwnLinks): VrouterPrograms {
  const { object, pinDir } = where;
  const programs = loadVrouterPrograms({ object, pinDir, config: configOf(where, own) });
  attachFragmenter(own.fragmenter, programs.fragmenter);
  const [peers, hops] = [programs.maps.get('cb_peer_2'), programs.maps.get('cb_hop_1')];
  if (peers !== undefined && hops !== undefined) dropUnkeptHops({ peers, hops });
  return programs;
}

/** This host's address in the underlay, as programs are told it. */
export function underlayConfig(text: string): Readonly<Record<string, RodataValue>> {
  const bytes = Buffer.from(parseAddress(text) ?? NO_ADDRESS);
  return overlayIpVersion(text) === 4 ? { cfg_underlay: bytes.readUInt32BE(12) } : { cfg_underlay6: bytes };
}

function devicesOf(own: OwnLinks): VrouterDevices {
  return {
    overlayIfindex: own.overlay.ifindex,
    serviceIfindex: own.servicePeer.ifindex,
    queues: { ifindex: own.queue.ifindex, endIfindex: own.queueEnd.ifindex },
    fragIfindex: own.fragmenter.link.ifindex,
    mirrors: { ifindex: own.mirror.ifindex, endIfindex: own.mirrorEnd.ifindex },
  };
}
