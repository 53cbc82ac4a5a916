/** `--bandwidth`: what ports may be promised of the host's bandwidth. */
import { type HostBandwidth, MAX_KBPS, PACKETS, TUNNELLED } from '@cable/model';

/** Parses Neutron's form, `NAME:EGRESS:INGRESS` with commas between, a number left out where it is not known; text: what is wrong. */
export function parseBandwidth(text: string): HostBandwidth | string {
  const all = new Map<string, HostBandwidth[string]>();
  for (const one of text.split(',')) {
    const [, name = '', egress = '', ingress = ''] = /^([^:]+):(\d*):(\d*)$/.exec(one.trim()) ?? [];
    const isGiven = name !== '' && Buffer.byteLength(name) <= 64 && egress + ingress !== '';
    if (!isGiven || Number(egress) > MAX_KBPS || Number(ingress) > MAX_KBPS) {
      return `Give NAME:EGRESS:INGRESS in kbit/s, more of them with commas between, such as physnet1:10000000:10000000; ${TUNNELLED} for tunnelled networks.`;
    }
    if (name === PACKETS) return `${PACKETS} is no physical network: give --packet-rate.`;
    if (all.has(name)) return `Physical network ${name} is named twice.`;
    all.set(name, {
      ...(egress === '' ? {} : { egress: Number(egress) }),
      ...(ingress === '' ? {} : { ingress: Number(ingress) }),
    });
  }
  if (all.size > 65) return 'Give at most 64 physical networks.';
  return Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Parses `ANY`, or `EGRESS:INGRESS`, in thousands of packets a second; text: what is wrong. */
export function parsePacketRate(text: string): HostBandwidth | string {
  const [, any = '', egress = '', ingress = ''] = /^(?:(\d+)|(\d*):(\d*))$/.exec(text.trim()) ?? [];
  const rates = Object.entries({ any, egress, ingress }).filter(([, rate]) => rate !== '');
  if (rates.length === 0 || rates.some(([, rate]) => Number(rate) > MAX_KBPS)) {
    return 'Give thousands of packets a second, sent and received together such as 2000, or EGRESS:INGRESS such as 1000:1000.';
  }
  return { [PACKETS]: Object.fromEntries(rates.map(([name, rate]) => [name, Number(rate)])) };
}

/** A physical network that the host is not on; undefined: there is none. */
export function strayOf(bandwidth: HostBandwidth, mappings: ReadonlyMap<string, string>): string | undefined {
  return Object.keys(bandwidth).find((name) => name !== TUNNELLED && name !== PACKETS && !mappings.has(name));
}
