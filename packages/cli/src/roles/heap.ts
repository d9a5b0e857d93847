import { setFlagsFromString } from 'node:v8';

/** Of V8 in Node 24 and 26; another version would complain, on standard error, about what it does not know. */
const KNOWN_UP_TO_MAJOR = 26;
/** With less, the heap's limit lies below the 64 MB of young buffers at which V8 collects the young generation for them. */
const GROWING_PERCENT = 400;

/**
 * Makes V8 count the buffers of relayed bytes as a part of the heap, and lets this grow to five times what lived after the
 * last full collection. By itself V8 marks the whole heap whenever 20 MB of buffers have passed, a third of the CPU time
 * that relaying costs; so the young generation's collection takes them, which is cheap as they do not live
 * (docs/performance.md). For a process that relays, before it does.
 */
export function countBuffersAsHeap(): void {
  if (Number(process.versions.node.split('.')[0]) > KNOWN_UP_TO_MAJOR) return;
  setFlagsFromString('--external-memory-accounted-in-global-limit');
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
}
