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
