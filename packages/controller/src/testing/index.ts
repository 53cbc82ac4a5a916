export { leadCluster } from './lead-cluster.ts';
