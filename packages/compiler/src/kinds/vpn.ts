import { defineKind, type Kind } from '../kind.ts';

/** No table has VPNs: who has rows of them computes their slices by `vpnSlices`. */
export const vpnKind: Kind = defineKind({ name: 'vpn', header: () => undefined });
