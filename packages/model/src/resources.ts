import { defineResource, type ResourceModel } from './declaration.ts';
import { agentResource, hostResource } from './resources/host.ts';
import { networkResource } from './resources/network.ts';
import { portResource } from './resources/port.ts';
import { routerResource } from './resources/router.ts';
import { securityGroupResource, securityGroupRuleResource } from './resources/security-group.ts';
import { subnetResource } from './resources/subnet.ts';

/** The resources Cable ships with. Further ones may be added at run time: take a list as a parameter, do not import this one. */
export const BUILT_IN_RESOURCES: readonly ResourceModel[] = [
  defineResource(networkResource),
  defineResource(subnetResource),
  defineResource(portResource),
  defineResource(routerResource),
  defineResource(securityGroupResource),
  defineResource(securityGroupRuleResource),
  defineResource(hostResource),
  defineResource(agentResource),
];
