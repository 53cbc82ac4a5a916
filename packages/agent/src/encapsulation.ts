import type { Logger } from '@cable/kit';
import { isSentByIpsec } from './net/ipsec.ts';
import type { AgentOptions, ChosenOptions } from './options.ts';

/**
 * Who makes VXLAN where that is left to the host: the vrouter itself, unless the kernel's IPsec is to have what is sent from the underlay address, which the vrouter
 * would send past it. Looked at once, at the start.
 */
export function chooseEncapsulation(options: AgentOptions, log: Logger): ChosenOptions {
  const { encapsulation, underlay } = options;
  const isSent = encapsulation !== 'kernel' && isSentByIpsec(underlay);
  if (encapsulation !== 'auto') {
    if (isSent)
      log.warn(
        { underlay },
        'IPsec policies are about the underlay address; with --encapsulation own tunnelled packets are sent past them',
      );
    return { ...options, encapsulation };
  }
  if (isSent) log.info({ underlay }, 'IPsec policies are about the underlay address: the kernel makes VXLAN');
  return { ...options, encapsulation: isSent ? 'kernel' : 'own' };
}
