export { OvsdbClient, type OvsdbClientOptions, type OvsdbListener } from './ovsdb/ovsdb-client.ts';
