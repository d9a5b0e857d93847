export { DotUnstuffer } from './dot-unstuffer.ts';
export {
  type Disposition,
  type Inspector,
  type InspectorSink,
  UNINSPECTED_CAUSES,
  type UninspectedCause,
  type Violation,
  type ViolationCode,
  VIOLATIONS,
} from './inspector.ts';
export { Pop3Inspector } from './pop3/pop3-inspector.ts';
export { withheldNotice } from './pop3/withheld-notice.ts';
export { SmtpInspector } from './smtp/smtp-inspector.ts';
