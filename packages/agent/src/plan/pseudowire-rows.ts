import type { Pseudowire } from '@cable/model';

/** The device of the tunnels by which frames of pseudowires go to other hosts. */
export const WIRE_DEVICE = 'cablew0';

/** Where frames wait that are over the limit of a pseudowire, and where they come out. */
export const WIRE_QUEUE = 'cablew1';
export const WIRE_QUEUE_END = 'cablew2';

/** UDP port of these tunnels. */
export const WIRE_UDP_PORT = 14_789;

/** A port's place: `elsewhere`: on another host; `absent`: here, and nothing may pass by it now; else its device. */
export type WirePlace = 'elsewhere' | 'absent' | { readonly name: string; readonly ifindex: number };

/** A pseudowire as it is on this host. */
export type PseudowireRow = {
  readonly wire: Pseudowire;
  readonly from: WirePlace;
  readonly to: WirePlace;
  /** Of the port from which the function at its end gives back. */
  readonly back: WirePlace;
};
