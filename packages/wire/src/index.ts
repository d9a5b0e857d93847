export { Refusal, type RefusalCode, refusalCode, REFUSALS, type RefusalTraits } from './codes.ts';
export { chooseVersion, encodeFrame, FrameReader } from './frames.ts';
export {
  CONTROL_ALPN,
  DATA_ALPN,
  MAIL_PROTOCOLS,
  type MailProtocol,
  MAX_CERTIFICATE_BYTES,
  MAX_DESTINATION_BYTES,
  MAX_HOST_BYTES,
  MAX_NAME_BYTES,
  MAX_RELAYS,
  MAX_SIGNATURE_BYTES,
  MAX_TEXT_BYTES,
  type Message,
  type MessageBody,
  type MessageName,
  MESSAGES,
  PROTOCOL_OF_PORT,
  PROTOCOL_VERSIONS,
  type RelayAddress,
  type RelayInspection,
  type RelayReport,
  SESSION_ID_BYTES,
} from './messages.ts';
export {
  CLOCK_SKEW_MS,
  openTicket,
  packRights,
  type Right,
  RIGHTS,
  sealTicket,
  type Ticket,
  type TicketExpectation,
  ticketTimes,
} from './ticket.ts';
export { Mux, type MuxHandler, type MuxInit } from './yamux/mux.ts';
export { MuxError, type MuxErrorCode } from './yamux/error.ts';
export { type MuxStream, type MuxStreamHandler } from './yamux/stream.ts';
export { IdentityError, type IdentityErrorCode } from './identity-error.ts';
export { WireError, type WireErrorCode } from './wire-error.ts';
export {
  type DeviceIdentity,
  formatIdentity,
  type Identity,
  parseIdentity,
  parseRights,
  parseSiteName,
  SERVER_ROLES,
  type ServerIdentity,
  type ServerRole,
} from './identity.ts';
export { formatMac, macBytes, parseMac } from './mac.ts';
