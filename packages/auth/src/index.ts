export type { TicketKey } from './pki/keys.ts';
export type { IssuedCertificate } from './pki/leaf.ts';
export {
  type DeviceInit,
  type IssuedSite,
  Operator,
  type OperatorInit,
  type RevokeInit,
  type SiteInit,
  type WallClock,
} from './pki/operator.ts';
export type { OperatorSettings } from './pki/operator-settings.ts';
export {
  REVOCATION_REASONS,
  type RevocationList,
  type RevocationReason,
  type RevokedCertificate,
} from './pki/revocation-list.ts';
export { type AuthComponents, type AuthServer, type AuthStatus, startAuth } from './auth-server.ts';
export type { FailureLimits } from './failure-limiter.ts';
export type { AuthSettings } from './settings.ts';
