/** Milliseconds that never go back; only differences mean something. */
export interface Clock {
  now(): number;
}
