export { ChannelError, type ChannelErrorCode } from './channel-error.ts';
export { ControlConnection, type ControlHandler, type ControlInit } from './control-connection.ts';
export {
  connectEndpoint,
  type ConnectInit,
  type Credentials,
  type Expectation,
  identityMismatch,
  secureContext,
} from './endpoint.ts';
export { type Answered, greet, type Greeting, type GreetInit, greetRelay, type RelayGreeting, sayHello } from './greet.ts';
export { HeldBytes } from './held-bytes.ts';
export { Listener, type ListenerHandler, type ListenerInit, type RejectReason, SELF_CHECK_ALPN } from './listener.ts';
export { MuxConnection, type MuxConnectionHandler, type MuxConnectionInit } from './mux-connection.ts';
export { addressOf, identityOf, networkOf, type Peer, peerOf } from './peer.ts';
export { resetSocket } from './reset-socket.ts';
export { SessionKeys } from './session-keys.ts';
export { SessionStore } from './session-store.ts';
export { Splice, type SpliceEnd, type SpliceOwner } from './splice.ts';
export { type About, CLOCK_DIFFERS_MS, digestNumber, type WelcomeInit, welcomeMessage } from './welcome.ts';
