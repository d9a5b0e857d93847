// The package carries no types; it has the interface of ioredis.
declare module 'ioredis-mock' {
  export { Redis as default } from 'ioredis';
}
