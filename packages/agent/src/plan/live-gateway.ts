import type { GatewayHost, RouterGateway, RouterHeader } from '@cable/model';
import type { PlanReader } from './unit.ts';

/** A router's gateway on the host that has it as this one sees it: a standby may have taken the place of the host that the server says. */
export function liveGateway(
  routerId: string,
  router: RouterHeader | undefined,
  reader: PlanReader,
): RouterGateway | undefined {
  const gateway = router?.gateway;
  if (gateway === undefined) return undefined;
  const host = reader.gatewayHost(routerId);
  if (host === undefined || host === gateway.host) return gateway;
  const nobody: GatewayHost = { host: '', underlay: null };
  const place = host === '' ? nobody : (gateway.standbys?.find((one) => one.host === host) ?? gateway);
  return { ...gateway, host: place.host, underlay: place.underlay };
}

/** All hosts that may be the gateway, the server's choice first. */
export function gatewayHosts({ host, underlay, standbys = [] }: RouterGateway): readonly GatewayHost[] {
  return host === '' ? [] : [{ host, underlay }, ...standbys];
}
