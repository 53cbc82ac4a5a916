import { type Endpoint, type NetworkSlice, type RouterInterface, SERVICE_MAC } from '@cable/model';
import {
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_SERVICE,
  CB_ENDPOINT_VIF,
  CB_VIF_F_PEER,
  type CbEndpoint,
  MAPS,
} from '../bpf/abi.gen.ts';
import { NO_ADDRESS, parseAddress, parseMac } from './address.ts';
import type { PlanContext } from './context.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { METADATA_ADDRESS, type Vif } from './vifs.ts';

export type EndpointPlanner = (context: PlanContext, network: NetworkSlice, vifs: readonly Vif[]) => readonly Planned[];

/**
 * Plans cb_ep_1 and cb_mac_1 of one network: its VIFs on this host, its endpoints on others, its routers' interfaces, then the
 * service addresses. Keeps the encoded entries of a remote endpoint as long as it is the same object.
 */
export function createEndpointPlanner(): EndpointPlanner {
  const remotes = new WeakMap<Endpoint, { vni: number; planned: readonly Planned[] }>();
  const remote = (network: NetworkSlice, endpoint: Endpoint): readonly Planned[] => {
    const known = remotes.get(endpoint);
    if (known?.vni === network.vni) return known.planned;
    const planned = planRemote(network, endpoint);
    remotes.set(endpoint, { vni: network.vni, planned });
    return planned;
  };
  return (context, network, vifs) => {
    const local = new Set(vifs.map((vif) => vif.port.id));
    const away = network.endpoints.filter((one) => one.host !== context.local.host && !local.has(one.portId));
    return [
      ...planGateways(context, network),
      ...vifs.flatMap((vif) => planLocal(network, vif)),
      ...away.flatMap((endpoint) => remote(network, endpoint)),
      ...planServices(context, network),
    ];
  };
}

function planLocal(network: NetworkSlice, vif: Vif): readonly Planned[] {
  const value = {
    ...NOTHING,
    kind: CB_ENDPOINT_VIF,
    ifindex: vif.device.ifindex,
    flags: vif.flags & CB_VIF_F_PEER,
    mac: vif.mac,
  };
  return at(
    network,
    value,
    vif.port.fixedIps.map((ip) => ip.ipAddress),
  );
}

/** Nothing while the endpoint's host is unreachable: there is nowhere to send to. */
function planRemote(network: NetworkSlice, endpoint: Endpoint): readonly Planned[] {
  const remote = endpoint.underlay === null ? undefined : parseAddress(endpoint.underlay);
  const mac = parseMac(endpoint.macAddress);
  if (remote === undefined || mac === undefined) return [];
  return at(network, { ...NOTHING, kind: CB_ENDPOINT_REMOTE, mac, remote }, endpoint.ipAddresses);
}

function planGateways(context: PlanContext, network: NetworkSlice): readonly Planned[] {
  return interfacesIn(context, network).flatMap(({ vrf, one }) => {
    const mac = parseMac(one.macAddress);
    return mac === undefined ? [] : at(network, { ...NOTHING, kind: CB_ENDPOINT_GATEWAY, vrf, mac }, [one.ipAddress]);
  });
}

/** The service MAC carries the vrf of the gateway's router: a guest that learned it before the router came is routed all the same. */
function planServices(context: PlanContext, network: NetworkSlice): readonly Planned[] {
  const gateways = network.subnets.flatMap((subnet) => subnet.gatewayIp ?? []);
  const router = interfacesIn(context, network).find(({ one }) => gateways.includes(one.ipAddress));
  const mac = parseMac(SERVICE_MAC) ?? NO_ADDRESS.subarray(0, 6);
  const value = { ...NOTHING, kind: CB_ENDPOINT_SERVICE, mac };
  return [
    ...at(network, value, [...gateways, METADATA_ADDRESS]).filter(({ map }) => map === 'cb_ep_1'),
    {
      map: 'cb_mac_1',
      entry: encodeEntry(MAPS.cb_mac_1, { vni: network.vni, mac }, { ...value, vrf: router?.vrf ?? 0 }),
    },
  ];
}

function interfacesIn(context: PlanContext, network: NetworkSlice): readonly { vrf: number; one: RouterInterface }[] {
  return (context.routersOf.get(network.id) ?? []).flatMap((router) => {
    const vrf = context.vrfs.get(router.id) ?? 0;
    return router.interfaces.filter((one) => one.networkId === network.id).map((one) => ({ vrf, one }));
  });
}

const NOTHING: Omit<CbEndpoint, 'kind' | 'mac'> = { ifindex: 0, vrf: 0, flags: 0, remote: NO_ADDRESS };

/** The endpoint under each of its addresses and under its MAC. */
function at(network: NetworkSlice, value: CbEndpoint, addresses: readonly string[]): readonly Planned[] {
  const { vni } = network;
  const planned: Planned[] = addresses.flatMap((text) => {
    const addr = parseAddress(text);
    return addr === undefined ? [] : [{ map: 'cb_ep_1', entry: encodeEntry(MAPS.cb_ep_1, { vni, addr }, value) }];
  });
  planned.push({ map: 'cb_mac_1', entry: encodeEntry(MAPS.cb_mac_1, { vni, mac: value.mac }, value) });
  return planned;
}
