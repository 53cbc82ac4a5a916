/** The device on which the networks of VPNs have their uplink. */
export const VPN_DEVICE = 'cablep0';

/** Its other end, to which nothing goes: not every kernel has a device without one. */
export const VPN_DEVICE_END = 'cablep1';

/**
 * What programs of `vrouter/labels.bpf.c` are to know. `lsp`: a frame with this tag and destination MAC goes to `remote`, with this label. `label`: what comes with the label from `remote` is a
 * packet for the router with the MAC in the network with the tag, and `from` stands for its sender there; null: nobody in particular, but the label is a VPN's of this host. `isBack`: that sender's MAC is
 * meant, to which a router answers. Remotes are underlay addresses.
 */
export type LabelRow =
  | {
      readonly kind: 'lsp';
      readonly vlan: number;
      readonly mac: Uint8Array;
      readonly remote: string;
      readonly label: number;
      readonly isBack?: true;
    }
  | {
      readonly kind: 'label';
      readonly label: number;
      readonly remote: string | null;
      readonly vlan: number;
      readonly mac: Uint8Array;
      readonly from: Uint8Array;
    };
