import {
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_LEASED,
  CB_ENDPOINT_NAT,
  CB_ENDPOINT_ROUTER,
  CB_ENDPOINT_SHARED,
  CB_ENDPOINT_VIF,
  type CbEndpoint,
  MAPS,
} from '../bpf/abi.gen.ts';
import { type ByteText, textBytes } from '../bpf/codec.ts';

/** An address of a network that is at another MAC address than before. */
export type MovedAddress = {
  /** Number of the network. */
  readonly net: number;
  /** In the 128-bit form. */
  readonly address: Uint8Array;
  readonly mac: Uint8Array;
  /** The VIF of this host that has it; 0: none has. */
  readonly vif: number;
  /** This host answers for it: it is of a VIF here, or is the outside of something here. */
  readonly isHere: boolean;
  /** It is a router's in a network of its guests. */
  readonly isRouter: boolean;
};

/** Addresses that are gone and of which the last MAC is remembered. */
const REMEMBERED = 16_384;

/**
 * What is written to `cb_ep_2`, as those see it who ask for addresses and keep the answers: an address whose MAC is another now than it was last,
 * though nobody may have had it for a while.
 */
export class MovedAddresses {
  /** Entries that are gone, the oldest first. */
  readonly #gone = new Map<ByteText, ByteText>();
  readonly #moved = new Map<ByteText, MovedAddress>();

  /** An entry was written. `before`: what it replaced. */
  put(key: ByteText, before: ByteText | undefined, after: ByteText): void {
    const last = before ?? this.#gone.get(key);
    this.#gone.delete(key);
    const { kind, mac, vif } = endpointOf(after);
    // Its holders announce it themselves, or the host that answers for it does.
    if (kind === CB_ENDPOINT_SHARED || kind === CB_ENDPOINT_LEASED) return;
    // Who is outside may know the address from a host of which nothing is known here.
    const isOutside = kind === CB_ENDPOINT_NAT || kind === CB_ENDPOINT_ROUTER;
    if (isOutside ? before === after : last === undefined || last === after) return;
    if (!isOutside && last !== undefined && Buffer.compare(endpointOf(last).mac, mac) === 0) return;
    const { net, addr } = MAPS.cb_ep_2.key.decode(textBytes(key));
    const isHere = isOutside || kind === CB_ENDPOINT_VIF;
    this.#moved.set(key, { net, address: addr, mac, vif, isHere, isRouter: kind === CB_ENDPOINT_GATEWAY });
  }

  /** An entry was deleted. */
  delete(key: ByteText, before: ByteText): void {
    this.#moved.delete(key);
    this.#gone.delete(key);
    this.#gone.set(key, before);
    const oldest = this.#gone.size > REMEMBERED ? this.#gone.keys().next().value : undefined;
    if (oldest !== undefined) this.#gone.delete(oldest);
  }

  /** Those since the last call, each as it is now. */
  take(): readonly MovedAddress[] {
    if (this.#moved.size === 0) return [];
    const taken = [...this.#moved.values()];
    this.#moved.clear();
    return taken;
  }
}

function endpointOf(value: ByteText): CbEndpoint {
  return MAPS.cb_ep_2.value.decode(textBytes(value));
}
