import type { Resource, ResourceModel } from './declaration.ts';
import * as extensions from './extensions/all.ts';
import type { ExtensionDeclaration } from './extensions/extension.ts';
import { composeRegistry, type Registry } from './registry.ts';
import { hostResource } from './resources/host.ts';
import { hostCertificateResource } from './resources/host-certificate.ts';
import { joinTokenResource } from './resources/join-token.ts';
import { networkResource } from './resources/network.ts';
import { portResource } from './resources/port.ts';
import { portOwnerResource } from './resources/port-owner.ts';
import { protonResource } from './resources/proton.ts';
import { protonControllerResource } from './resources/proton-controller.ts';
import { protonNetworkResource } from './resources/proton-network.ts';
import { pseudowireResource } from './resources/pseudowire.ts';
import { subnetResource } from './resources/subnet.ts';
import { vpnPeeringResource, vpnTargetResource } from './resources/vpn.ts';

/** The resources that are there whichever extensions are loaded. */
export const CORE_RESOURCES: readonly Resource[] = [
  networkResource,
  subnetResource,
  portResource,
  hostResource,
  hostCertificateResource,
  joinTokenResource,
  protonResource,
  portOwnerResource,
  protonNetworkResource,
  pseudowireResource,
  vpnTargetResource,
  vpnPeeringResource,
  protonControllerResource,
];

/** The extensions Cable ships with. */
export const BUILT_IN_EXTENSIONS: readonly ExtensionDeclaration[] = Object.values(extensions);

/** What a process loads when nothing else is asked for. Take a registry as a parameter, do not import this one. */
export const BUILT_IN_REGISTRY: Registry = composeRegistry(CORE_RESOURCES, BUILT_IN_EXTENSIONS);

/** The models of the built-in registry. Further ones may be added at run time: take a list as a parameter, do not import this one. */
export const BUILT_IN_RESOURCES: readonly ResourceModel[] = BUILT_IN_REGISTRY.models;
